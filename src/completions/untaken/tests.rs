use super::*;

fn body(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn without(untaken: Untaken, request: Value) -> Value {
    LeftOut::from_iter([untaken]).finish(body(request), &Map::new()).into()
}

fn messages(list: Value) -> Value {
    json!({ "messages": list })
}

fn user(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: &str) -> Value {
    json!({"role": "assistant", "content": content})
}

fn calling(content: &str) -> Value {
    let call = json!({"id": "1", "type": "function", "function": {"name": "Read", "arguments": "{\"file_path\":\"a.png\"}"}});
    json!({"role": "assistant", "content": content, "tool_calls": [call]})
}

fn result() -> Value {
    json!({"role": "tool", "tool_call_id": "1", "content": "(an image, which follows)"})
}

fn tool(name: &str, schema: Value) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "d", "parameters": schema}})
}

#[test]
fn words_in_a_file_stand_for_what_is_not_taken() {
    let all = PLAIN.iter().map(|(_, untaken)| untaken.clone());
    for untaken in all.chain([Untaken::Tool("mcp__a b".into()), Untaken::Field("top_k".into())]) {
        assert_eq!(Untaken::of_word(&untaken.word()), Some(untaken));
    }
    for word in ["", "x", "field messages", "field "] {
        assert_eq!(Untaken::of_word(word).filter(|untaken| *untaken != Untaken::Field(String::new())), None, "{word}");
    }
}

#[test]
fn images_are_told_of_in_words() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:"}});
    let asked = messages(json!([{"role": "user", "content": [text_part("look:"), image]}, assistant("I see.")]));
    let expected = messages(json!([user("look:\n[image: not shown to the local model]"), assistant("I see.")]));
    assert_eq!(without(Untaken::Images, asked), expected);
}

#[test]
fn a_system_message_goes_into_the_first_users() {
    let system = json!({"role": "system", "content": "Be brief."});
    let table = [
        (json!([system, user("Hi")]), json!([user("Be brief.\n\nHi")])),
        (json!([system]), json!([user("Be brief.")])),
        (json!([user("Hi")]), json!([user("Hi")])),
        (
            json!([system, {"role": "user", "content": [text_part("Hi")]}]),
            json!([{"role": "user", "content": [text_part("Be brief."), text_part("Hi")]}]),
        ),
    ];
    for (asked, expected) in table {
        assert_eq!(without(Untaken::SystemRole, messages(asked)), messages(expected));
    }
}

#[test]
fn roles_alternate() {
    let image = json!({"role": "user", "content": [json!({"type": "image_url", "image_url": {"url": "data:"}})]});
    let between = assistant("I have the result.");
    let table = [
        (json!([user("a"), user("b"), assistant("c")]), json!([user("a\nb"), assistant("c")])),
        (json!([assistant("a"), user("b")]), json!([user("Go on."), assistant("a"), user("b")])),
        (json!([user("a"), assistant("b"), assistant("c")]), json!([user("a"), assistant("b\nc")])),
        // What Claude Code sends after it has read a picture.
        (json!([user("a"), calling(""), result(), image]), json!([user("a"), calling(""), result(), between, image])),
        (
            json!([user("a"), calling(""), result(), calling("x"), result(), assistant("done"), user("b")]),
            json!([user("a"), calling(""), result(), calling("x"), result(), assistant("done"), user("b")]),
        ),
        (
            json!([user("a"), assistant("b"), calling("c"), result(), user("d")]),
            json!([user("a"), calling("b\nc"), result(), between, user("d")]),
        ),
        (json!([user("a"), {"role": "system", "content": "s"}]), json!([user("a\ns")])),
    ];
    for (asked, expected) in table {
        let ordered = without(Untaken::RoleOrder, messages(asked));
        assert_eq!(ordered, messages(expected));
        // Nothing is left to do.
        assert_eq!(without(Untaken::RoleOrder, ordered.clone()), ordered);
    }
}

#[test]
fn calls_and_results_become_text() {
    let asked = messages(json!([user("a"), calling("Let me see."), result(), user("b")]));
    let call = "Let me see.\n<tool_call>\n{\"name\":\"Read\",\"arguments\":{\"file_path\":\"a.png\"}}\n</tool_call>";
    let told = "<tool_response>\n(an image, which follows)\n</tool_response>\nb";
    assert_eq!(without(Untaken::ToolMessages, asked), messages(json!([user("a"), assistant(call), user(told)])));
}

#[test]
fn tools_are_described_to_who_has_no_place_for_them() {
    let mut asked = messages(json!([{"role": "system", "content": "Be brief."}, user("a"), calling(""), result()]));
    asked["tools"] = json!([tool("Read", json!({"type": "object"})), tool("Bash", json!({"type": "object"}))]);
    asked["parallel_tool_calls"] = false.into();
    let described = without(Untaken::Tools, asked.clone());
    assert!(described.get("tools").is_none() && described.get("parallel_tool_calls").is_none(), "{described}");
    let system = described["messages"][0]["content"].as_str().unwrap();
    assert!(system.starts_with("Be brief.\n\n# Tools\n"), "{system}");
    assert!(system.contains("\"name\":\"Read\"") && system.contains("\"name\":\"Bash\"") && !system.contains("must"), "{system}");
    assert!(described["messages"].as_array().unwrap().iter().all(|message| message["role"] != "tool"), "{described}");
    asked["tool_choice"] = json!({"type": "function", "function": {"name": "Bash"}});
    let described = without(Untaken::Tools, asked);
    let system = described["messages"][0]["content"].as_str().unwrap();
    assert!(!system.contains("\"name\":\"Read\"") && system.ends_with("You must call one of them now."), "{system}");
    assert!(described.get("tool_choice").is_none(), "{described}");
    assert_eq!(without(Untaken::Tools, messages(json!([user("a")]))), messages(json!([user("a")])));
}

#[test]
fn a_tool_that_is_chosen_by_name() {
    let tools = json!([tool("Read", json!({})), tool("Bash", json!({}))]);
    let choice = json!({"type": "function", "function": {"name": "Bash"}});
    let asked = json!({"messages": [], "tools": tools, "tool_choice": choice});
    let only = json!([tool("Bash", json!({}))]);
    let required = json!({"messages": [], "tools": only, "tool_choice": "required"});
    assert_eq!(without(Untaken::NamedToolChoice, asked.clone()), required);
    // Not even strings are taken.
    assert_eq!(without(Untaken::Field("tool_choice".into()), asked.clone()), json!({"messages": [], "tools": only}));
    // A choice of none in particular stays.
    let any = json!({"messages": [], "tools": tools, "tool_choice": "required"});
    assert_eq!(without(Untaken::NamedToolChoice, any.clone()), any);
    // Without the chosen tool there is nothing to choose.
    let rest = json!({"messages": [], "tools": [tool("Read", json!({}))]});
    assert_eq!(without(Untaken::Tool("Bash".into()), asked), rest);
    assert_eq!(without(Untaken::Tool("Read".into()), rest), messages(json!([])));
}

#[test]
fn schemas_become_plain() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "additionalProperties": false, "$defs": {"D": {"type": "object"}},
        "type": "object", "description": "all", "required": ["pattern", "gone"],
        "properties": {
            "pattern": {"type": "string", "pattern": "\\d+", "minLength": 1, "description": "p", "format": "uri"},
            "kind": {"enum": ["a", "b"]}, "count": {"type": ["integer", "null"], "exclusiveMinimum": 0}, "one": {"const": 1},
            "either": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "string", "maxLength": 9}}], "description": "e"},
            "list": {"type": "array", "items": {"oneOf": [{"type": "object", "properties": {"x": {"type": "number"}}}]}},
            "of": {"$ref": "#/$defs/D"}, "any": {"description": "whatever"}, "flag": {"type": "boolean", "default": true},
        },
    });
    let expected = json!({
        "type": "object", "description": "all",
        "properties": {
            "pattern": {"type": "string", "description": "p"},
            "kind": {"type": "string", "enum": ["a", "b"]}, "count": {"type": "integer"}, "one": {"type": "integer", "enum": [1]},
            "either": {"type": "array", "items": {"type": "string"}, "description": "e"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
            "of": {"type": "object"}, "any": {"type": "string", "description": "whatever"}, "flag": {"type": "boolean"},
        },
        "required": ["pattern"],
    });
    let asked = json!({"messages": [], "tools": [tool("T", schema), tool("U", json!({}))]});
    let plain = json!({"messages": [], "tools": [tool("T", expected), tool("U", json!({"type": "object"}))]});
    assert_eq!(without(Untaken::ToolSchemas, asked), plain);
}

#[test]
fn keys_are_left_out_wherever_they_are() {
    let mut tool = tool("T", json!({}));
    tool["function"]["strict"] = true.into();
    let message = json!({"role": "assistant", "content": "a", "reasoning_content": "Hm."});
    let asked = json!({"messages": [message], "tools": [tool], "top_k": 5, "max_tokens": 9});
    assert_eq!(without(Untaken::Field("reasoning_content".into()), asked.clone())["messages"], json!([assistant("a")]));
    assert_eq!(without(Untaken::Field("strict".into()), asked.clone())["tools"][0]["function"].get("strict"), None);
    assert_eq!(without(Untaken::Field("top_k".into()), asked.clone()).get("top_k"), None);
    let renamed = without(Untaken::MaxTokens, asked);
    assert_eq!((renamed.get("max_tokens"), &renamed["max_completion_tokens"]), (None, &json!(9)));
    for needed in ["messages", "model", "tools", "role", "content", "max_tokens", "tool_calls"] {
        assert_eq!(Untaken::field(needed), None);
    }
}

#[test]
fn the_next_to_leave_out_changes_the_request() {
    let field = |name: &str| Untaken::Field(name.into());
    let request = body(json!({
        "messages": [user("Hi")], "temperature": 0.2,
        "tools": [tool("Bash", json!({"type": "object"})), tool("mcp__a", json!({"type": "object", "minProperties": 1}))],
    }));
    let (none, mut left_out) = (Map::new(), LeftOut::default());
    let about = [Untaken::Images, field("top_k"), Untaken::ToolSchemas, field("temperature")];
    let line = "HTTP 400: failed to parse grammar of `mcp__a`, Bashful";
    let mut order = Vec::new();
    while let Some(untaken) = left_out.next(&about, line, &request, &none) {
        order.push(untaken.clone());
        left_out.add(untaken);
    }
    // A tool goes only if it is named, and not for being a part of a word.
    assert_eq!(order, [Untaken::ToolSchemas, Untaken::Tool("mcp__a".into()), field("temperature")]);
    // What the user adds is not left out, and so nothing would change.
    let extra = body(json!({"temperature": 1}));
    assert_eq!(LeftOut::default().next(&[field("temperature")], line, &request, &extra), None);
}
