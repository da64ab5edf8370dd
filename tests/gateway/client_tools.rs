//! The tools that Anthropic defines and the caller runs, how a tool is chosen, and what the API refuses.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Gateway, Server, delta, question, tools, with, with_tools};
use crate::support::stub::{Stub, completion, end, json as json_answer, piece, sse};

/// A whole call, as a server streams it.
fn call(index: u64, name: &str, arguments: &Value) -> String {
    let function = json!({"name": name, "arguments": arguments.to_string()});
    let call = json!({"index": index, "id": format!("c{index}"), "type": "function", "function": function});
    delta(&json!({ "tool_calls": [call] }))
}

fn calls(calls: &[(&str, Value)]) -> String {
    let calls = calls.iter().zip(0..).map(|((name, arguments), index)| call(index, name, arguments));
    calls.collect::<String>() + &end("tool_calls")
}

fn tool_use(name: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "name": name, "input": input})
}

/// Each with what a model that knows its schema calls it with.
fn typed() -> [(Value, Value); 6] {
    let tool = |kind: &str, name: &str| json!({"type": kind, "name": name});
    let view = json!({"command": "view", "path": "/a"});
    [
        (tool("bash_20250124", "bash"), json!({"command": "ls", "restart": false})),
        (tool("text_editor_20250124", "str_replace_editor"), json!({"command": "undo_edit", "path": "/a"})),
        (tool("text_editor_20250429", "str_replace_based_edit_tool"), view.clone()),
        (
            with(tool("text_editor_20250728", "str_replace_based_edit_tool"), json!({"max_characters": 1000})),
            json!({"command": "insert", "path": "/a", "insert_line": 0, "insert_text": "b\n"}),
        ),
        (tool("memory_20250818", "memory"), json!({"command": "rename", "old_path": "/memories/a", "new_path": "/memories/b"})),
        (tool("bash_20241022", "bash"), json!({"restart": true})),
    ]
}

/// The schema holds what is called, and the call comes back under the tool's name with all that it holds.
#[test]
fn typed_tools_are_functions() {
    let server = Server::saying("");
    let gateway = server.gateway();
    for (tool, input) in typed() {
        let name = tool["name"].as_str().unwrap();
        server.say(&calls(&[(name, input.clone())]));
        for choice in [json!({"type": "auto"}), json!({"type": "any"}), json!({"type": "tool", "name": name})] {
            let request = with(question("hi"), json!({"tools": [tool], "tool_choice": choice}));
            let message = gateway.message(&request);
            assert_eq!(message["content"], json!([tool_use(name, &input)]), "{tool}");
            assert_eq!(message["stop_reason"], "tool_use");
            let asked = server.asked();
            let function = &asked["tools"][0]["function"];
            assert_eq!((asked["tools"].as_array().unwrap().len(), &function["name"]), (1, &name.into()));
            assert!(!function["description"].as_str().unwrap().is_empty(), "{function}");
            let schema = &function["parameters"];
            for (key, value) in input.as_object().unwrap() {
                assert!(schema["properties"][key].is_object(), "{key} is not in {schema}");
                if let Some(names) = schema["properties"][key]["enum"].as_array() {
                    assert!(names.contains(value), "{value} is not in {names:?}");
                }
            }
            let wanted = match choice["type"].as_str().unwrap() {
                "auto" => Value::Null,
                "any" => "required".into(),
                _ => json!({"type": "function", "function": {"name": name}}),
            };
            assert_eq!(asked["tool_choice"], wanted);
        }
    }
}

/// The result of a typed tool goes to the model as that of any other.
#[test]
fn results_of_typed_tools() {
    let server = Server::saying(&completion("a and b"));
    let gateway = server.gateway();
    let messages = json!([
        {"role": "user", "content": "what is there?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a\nb"}]},
    ]);
    let request = with(question(""), json!({"messages": messages, "tools": [{"type": "bash_20250124", "name": "bash"}]}));
    assert_eq!(gateway.message(&request)["content"], json!([{"type": "text", "text": "a and b"}]));
    let asked = server.asked();
    assert_eq!(asked["messages"][1]["tool_calls"][0]["function"]["name"], "bash");
    assert_eq!((&asked["messages"][2]["role"], &asked["messages"][2]["content"]), (&"tool".into(), &"a\nb".into()));
}

fn one_at_a_time(request: Value, kind: &str) -> Value {
    with(request, json!({"tool_choice": {"type": kind, "disable_parallel_tool_use": true}}))
}

/// Although the server makes more, in whatever form.
#[test]
fn one_call_where_calls_in_parallel_are_disabled() {
    let (ls, pwd) = (json!({"command": "ls"}), json!({"command": "pwd"}));
    let written = |arguments: &Value| format!("<tool_call>\n{}\n</tool_call>", json!({"name": "Bash", "arguments": arguments}));
    let two = [("Bash", ls.clone()), ("Bash", pwd.clone())];
    let second_is_broken = call(0, "Bash", &ls)
        + &delta(
            &json!({"tool_calls": [{"index": 1, "id": "c1", "type": "function", "function": {"name": "Bash", "arguments": "{\"com"}}]}),
        )
        + &end("tool_calls");
    for answer in [calls(&two), piece(&(written(&ls) + "\n" + &written(&pwd))) + &end("stop"), second_is_broken] {
        let server = Server::saying(&answer);
        let gateway = server.gateway();
        for kind in ["auto", "any"] {
            let message = gateway.message(&one_at_a_time(with_tools(question("hi")), kind));
            assert_eq!(message["content"], json!([tool_use("Bash", &ls)]), "{answer}");
            assert_eq!(message["stop_reason"], "tool_use");
            assert_eq!(server.asked()["parallel_tool_calls"], false);
        }
        assert_eq!(server.stub.chats().len(), 4, "nobody is told of a call that is not there");
    }
    let server = Server::saying(&calls(&two));
    let both = json!([tool_use("Bash", &ls), tool_use("Bash", &pwd)]);
    assert_eq!(server.gateway().message(&with_tools(question("hi")))["content"], both);
}

#[test]
fn no_text_beside_a_call_that_has_to_be() {
    let ls = json!({"command": "ls"});
    let server = Server::saying(&(piece("I look.") + &calls(&[("Bash", ls.clone())])));
    let gateway = server.gateway();
    let text = json!({"type": "text", "text": "I look."});
    assert_eq!(gateway.message(&with_tools(question("hi")))["content"], json!([text, tool_use("Bash", &ls)]));
    for choice in [json!({"type": "any"}), json!({"type": "tool", "name": "Bash"})] {
        let request = with(with_tools(question("hi")), json!({"tool_choice": choice}));
        assert_eq!(gateway.message(&request)["content"], json!([tool_use("Bash", &ls)]));
    }
}

/// Of servers that do not read `tool_choice`.
#[test]
fn a_model_that_makes_no_call_is_told_to() {
    let ls = json!({"command": "ls"});
    let forced = with(with_tools(question("hi")), json!({"tool_choice": {"type": "tool", "name": "Bash"}}));
    let (asked, calling) = (AtomicUsize::new(0), sse(&calls(&[("Bash", ls.clone())])));
    let stub = Stub::new(move |request, stream| {
        let _ = match request.is_chat() {
            true if asked.fetch_add(1, Ordering::SeqCst) % 3 == 2 => stream.write_all(calling.as_bytes()),
            true => stream.write_all(sse(&completion("I could run ls.")).as_bytes()),
            false => stream.write_all(json_answer(404, "{}").as_bytes()),
        };
    });
    let gateway = Gateway::new(&stub.url());
    let message = gateway.message(&forced);
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([tool_use("Bash", &ls)]), &"tool_use".into()));
    let asked = stub.chats();
    assert_eq!(asked.len(), 6);
    let told = "Error: your answer has to be a call of the tool `Bash`, without any text. Make the call now";
    let after = json!([{"role": "assistant", "content": "I could run ls."}, {"role": "user", "content": told}]);
    let messages = asked[2].json()["messages"].clone();
    assert_eq!(messages.as_array().unwrap()[1..], [after.as_array().unwrap().as_slice(); 2].concat());
    // Not for ever: then the text is all that there is.
    let server = Server::saying(&completion("I will not."));
    let message = server.gateway().message(&forced);
    assert_eq!(message["content"], json!([{"type": "text", "text": "I will not."}]));
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(server.stub.chats().len(), 6);
}

/// A call that is cut off is not asked for again: the caller's limit is too low for it.
#[test]
fn text_that_the_limit_cuts_off_before_a_call() {
    let server = Server::saying(&(piece("Well, I") + &end("length")));
    let forced = with(with_tools(question("hi")), json!({"tool_choice": {"type": "any"}}));
    let message = server.gateway().message(&forced);
    assert_eq!(
        (&message["content"], &message["stop_reason"]),
        (&json!([{"type": "text", "text": "Well, I"}]), &"max_tokens".into())
    );
}

#[test]
fn what_the_api_refuses_is_refused() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let says = |role: &str| json!({"messages": [{"role": "user", "content": "a"}, {"role": role, "content": "b"}]});
    let role = |role: &str| format!(r#"messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"."#);
    let choice = |choice: Value| json!({"tools": tools(), "tool_choice": choice});
    let bash = json!({"tools": [{"type": "bash_20250124", "name": "bash"}], "tool_choice": {"type": "tool", "name": "Bash"}});
    for (keys, expected) in [
        (says("tool"), role("tool")),
        (says("developer"), role("developer")),
        (says(""), role("")),
        (json!({"messages": [{"content": "a"}]}), "messages.0.role: Field required".into()),
        (json!({"messages": [{"role": 7, "content": "a"}]}), "messages.0.role: Input should be a valid string".into()),
        (json!({"messages": null}), "messages: Field required".into()),
        (json!({"max_tokens": null}), "max_tokens: Field required".into()),
        (json!({"max_tokens": 0}), "max_tokens: must be greater than or equal to 1".into()),
        (json!({"max_tokens": -5}), "max_tokens: must be greater than or equal to 1".into()),
        (json!({"max_tokens": 1.5}), "max_tokens: Input should be a valid integer".into()),
        (json!({"max_tokens": "100"}), "max_tokens: Input should be a valid integer".into()),
        (json!({"max_tokens": true}), "max_tokens: Input should be a valid integer".into()),
        (choice(json!({"type": "tool"})), "tool_choice.tool.name: Field required".into()),
        (choice(json!({"type": "tool", "name": 7})), "tool_choice.tool.name: Field required".into()),
        (choice(json!({"type": "tool", "name": "Nope"})), "Tool 'Nope' not found in provided tools".into()),
        (choice("any".into()), "tool_choice: Input should be an object".into()),
        (bash, "Tool 'Bash' not found in provided tools".into()),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice may only be specified while providing tools.".into()),
        (
            json!({"tools": [], "tool_choice": {"type": "auto"}}),
            "tool_choice may only be specified while providing tools.".into(),
        ),
    ] {
        let request = with(question("hi"), keys);
        assert_eq!(gateway.refusal(&request), (400, false, "invalid_request_error".into(), expected), "{request}");
    }
    let mut unlimited = question("hi");
    unlimited.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(gateway.refusal(&unlimited).3, "max_tokens: Field required");
    assert!(server.stub.chats().is_empty());
    // Tokens are counted without a limit, but not of what is no conversation.
    assert_eq!(gateway.post("/v1/messages/count_tokens", &unlimited).status, 200);
    let odd = with(unlimited, says("tool"));
    assert_eq!(gateway.post("/v1/messages/count_tokens", &odd).refusal().3, role("tool"));
}

/// The other side of the same rules.
#[test]
fn what_the_api_takes_is_taken() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let system = json!([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]);
    for keys in [
        json!({"max_tokens": 1}),
        json!({"max_tokens": 100.0}),
        json!({"max_tokens": 9_000_000_000_u64}),
        json!({"messages": system}),
        json!({"tool_choice": null}),
        json!({"tool_choice": {"type": "none"}}),
        json!({"tools": tools(), "tool_choice": {"type": "auto"}}),
    ] {
        assert_eq!(gateway.message(&with(question("hi"), keys.clone()))["stop_reason"], "end_turn", "{keys}");
    }
    // The tool that has to be called is there, although it was to be searched for.
    let later = json!([{"name": "Later", "input_schema": {"type": "object"}, "defer_loading": true}]);
    server.say(&calls(&[("Later", json!({}))]));
    let request = with(question("hi"), json!({"tools": later, "tool_choice": {"type": "tool", "name": "Later"}}));
    assert_eq!(gateway.message(&request)["content"], json!([tool_use("Later", &json!({}))]));
    assert_eq!(server.asked()["tools"][0]["function"]["name"], "Later");
}
