//! What of a request reaches the server, compared whole.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Gateway, Server, question, tools, with};
use crate::support::stub::{Stub, bash_call, completion, json as json_answer, sse};

/// A picture of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// All that is sent for a request; the ids of calls are numbered as they come up.
fn sent(server: &Server, gateway: &Gateway, request: &Value) -> Value {
    let streamed = gateway.stream(request);
    assert_eq!(streamed.error, None);
    numbered(server.asked())
}

/// The calls' ids, of which only that they fit together matters, and that each is nine letters and digits.
fn numbered(mut request: Value) -> Value {
    let mut ids: Vec<String> = vec![];
    let mut number = |id: &mut Value| {
        let text = id.as_str().expect("an id").to_string();
        assert!(text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        let at = ids.iter().position(|known| *known == text).unwrap_or_else(|| {
            ids.push(text);
            ids.len() - 1
        });
        *id = at.into();
    };
    for message in request["messages"].as_array_mut().unwrap() {
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            number(&mut call["id"]);
        }
        if let Some(id) = message.get_mut("tool_call_id") {
            number(id);
        }
    }
    request
}

/// What chat completions are asked besides the messages.
fn chat(messages: Value) -> Value {
    json!({"model": "default_model", "messages": messages, "max_tokens": 100, "temperature": 0.2, "stream": true,
           "stream_options": {"include_usage": true}})
}

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

fn assistant(content: impl Into<Value>) -> Value {
    json!({"role": "assistant", "content": content.into()})
}

/// A call as the Messages API has it.
fn call(id: &str, command: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": command}})
}

/// The message of the assistant that makes these calls, as the server gets it.
fn calling(text: &str, calls: &[(u32, &str)]) -> Value {
    let call = |(id, command): &(u32, &str)| {
        let arguments = json!({"command": command}).to_string();
        json!({"id": id, "type": "function", "function": {"name": "Bash", "arguments": arguments}})
    };
    json!({"role": "assistant", "content": text, "tool_calls": calls.iter().map(call).collect::<Vec<_>>()})
}

fn result(id: &str, content: impl Into<Value>) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content.into()})
}

fn tool(id: u32, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// Compares the messages that are sent for these, one case after the other.
#[track_caller]
fn compare(cases: &[(&str, Value, Value)]) {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    for (name, keys, expected) in cases {
        let request = with(json!({"model": "m", "max_tokens": 100}), keys.clone());
        assert_eq!(sent(&server, &gateway, &request), chat(expected.clone()), "{name}");
    }
}

#[test]
fn system_prompts_in_all_shapes() {
    let hi = || user("hi");
    let system = |text: &str| json!({"role": "system", "content": text});
    let reminder = |text: &str| format!("<system-reminder>\n{text}\n</system-reminder>");
    compare(&[
        ("none", json!({"messages": [hi()]}), json!([hi()])),
        ("text", json!({"system": "Be brief.", "messages": [hi()]}), json!([system("Be brief."), hi()])),
        (
            "blocks",
            json!({"system": [{"type": "text", "text": "A.", "cache_control": {"type": "ephemeral"}}, text(""), text("B.")],
                   "messages": [hi()]}),
            json!([system("A.\n\nB."), hi()]),
        ),
        ("empty", json!({"system": "", "messages": [hi()]}), json!([hi()])),
        ("null", json!({"system": null, "messages": [hi()]}), json!([hi()])),
        (
            "the accounting of Claude Code, which differs each time",
            json!({"system": [text("x-anthropic-billing-header: cc_version=2.1.330.440;"), text("A.")], "messages": [hi()]}),
            json!([system("A."), hi()]),
        ),
        (
            "before the first answer it goes to the beginning",
            json!({"system": "A.", "messages": [hi(), {"role": "system", "content": [text("B."), text("C.")]}]}),
            json!([system("A.\n\nB.\n\nC."), hi()]),
        ),
        (
            "later it stays, for the server's cache",
            json!({"system": "A.", "messages": [hi(), assistant("ho"), {"role": "system", "content": "B."}, user("on")]}),
            json!([system("A."), hi(), assistant("ho"), user(format!("{}\non", reminder("B.")))]),
        ),
        (
            "after results too",
            json!({"messages": [hi(), {"role": "assistant", "content": [call("toolu_1", "ls")]}, user(json!([result("toolu_1", "a")])),
                   {"role": "system", "content": "B."}]}),
            json!([hi(), calling("", &[(0, "ls")]), tool(0, "a"), user(reminder("B."))]),
        ),
    ]);
}

#[test]
fn calls_and_results_in_all_shapes() {
    let hi = || user("hi");
    let made = |calls: Value| json!({"role": "assistant", "content": calls});
    let one = || made(json!([call("toolu_1", "ls")]));
    let two = || made(json!([text("I look."), call("toolu_1", "ls"), call("toolu_2", "pwd")]));
    let after_one = |results: Value, expected: Vec<Value>| {
        let before = vec![hi(), calling("", &[(0, "ls")])];
        (json!({"messages": [hi(), one(), user(results)]}), Value::from([before, expected].concat()))
    };
    let image = || json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    let picture = || json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}});
    let failed = |content: Value| with(result("toolu_1", content), json!({"is_error": true}));
    let mut cases = vec![];
    let mut add = |name, (keys, expected)| cases.push((name, keys, expected));
    add("text", after_one(json!([result("toolu_1", "a\nb")]), vec![tool(0, "a\nb")]));
    add("blocks", after_one(json!([result("toolu_1", json!([text("a"), text("b")]))]), vec![tool(0, "a\nb")]));
    add("nothing", after_one(json!([{"type": "tool_result", "tool_use_id": "toolu_1"}]), vec![tool(0, "(no output)")]));
    add("empty", after_one(json!([result("toolu_1", "")]), vec![tool(0, "(no output)")]));
    add("no blocks", after_one(json!([result("toolu_1", json!([]))]), vec![tool(0, "(no output)")]));
    add("null", after_one(json!([result("toolu_1", Value::Null)]), vec![tool(0, "(no output)")]));
    add("a failure", after_one(json!([failed(json!("no such file"))]), vec![tool(0, "Error: no such file")]));
    add(
        "a failure that says so",
        after_one(json!([failed(json!("Exit code 1\nError: x"))]), vec![tool(0, "Exit code 1\nError: x")]),
    );
    add("a failure in blocks", after_one(json!([failed(json!([text("bad")]))]), vec![tool(0, "Error: bad")]));
    add(
        "an image",
        after_one(
            json!([result("toolu_1", json!([image()]))]),
            vec![tool(0, "(an image, which follows)"), user(json!([picture()]))],
        ),
    );
    add(
        "an image with words, and words behind",
        after_one(
            json!([result("toolu_1", json!([text("a.png"), image()])), text("what is it?")]),
            vec![tool(0, "a.png"), user(json!([picture(), text("what is it?")]))],
        ),
    );
    add("a reference to a tool", {
        let reference = json!([{"type": "tool_reference", "tool_name": "WebFetch"}]);
        after_one(json!([result("toolu_1", reference)]), vec![tool(0, "The tool WebFetch is there now.")])
    });
    add("text before the result comes after it", {
        after_one(json!([text("and now?"), result("toolu_1", "a")]), vec![tool(0, "a"), user("and now?")])
    });
    add("no result", after_one(json!("never mind"), vec![tool(0, "(no result: the call was interrupted)"), user("never mind")]));
    add(
        "a result of another call",
        after_one(
            json!([result("toolu_9", "z"), result("toolu_1", "a")]),
            vec![tool(0, "a"), user("[result of an earlier tool call]\nz")],
        ),
    );
    add(
        "a result twice",
        after_one(
            json!([result("toolu_1", "a"), result("toolu_1", "b")]),
            vec![tool(0, "a"), user("[result of an earlier tool call]\nb")],
        ),
    );
    let both = || calling("I look.", &[(0, "ls"), (1, "pwd")]);
    add("two at once", {
        let results = user(json!([result("toolu_1", "a"), result("toolu_2", "b")]));
        (json!({"messages": [hi(), two(), results]}), json!([hi(), both(), tool(0, "a"), tool(1, "b")]))
    });
    add("two in another order", {
        let results = user(json!([result("toolu_2", "b"), result("toolu_1", "a")]));
        (json!({"messages": [hi(), two(), results]}), json!([hi(), both(), tool(1, "b"), tool(0, "a")]))
    });
    add("two in two messages", {
        let results = [user(json!([result("toolu_1", "a")])), user(json!([result("toolu_2", "b")]))];
        (json!({"messages": [hi(), two(), results[0], results[1]]}), json!([hi(), both(), tool(0, "a"), tool(1, "b")]))
    });
    add("one of two missing", {
        let results = user(json!([result("toolu_2", "b"), text("go on")]));
        let missing = tool(0, "(no result: the call was interrupted)");
        (json!({"messages": [hi(), two(), results]}), json!([hi(), both(), tool(1, "b"), missing, user("go on")]))
    });
    add("no result at the end", {
        (
            json!({"messages": [hi(), one()]}),
            json!([hi(), calling("", &[(0, "ls")]), tool(0, "(no result: the call was interrupted)")]),
        )
    });
    add("a result without any call", {
        (json!({"messages": [user(json!([result("toolu_1", "a")]))]}), json!([user("[result of an earlier tool call]\na")]))
    });
    add("input that is no object", {
        let odd = made(json!([{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": "ls"}]));
        let odd_call = json!({"id": 0, "type": "function", "function": {"name": "Bash", "arguments": "{}"}});
        let messages = json!([hi(), {"role": "assistant", "content": "", "tool_calls": [odd_call]}, tool(0, "a")]);
        (json!({"messages": [hi(), odd, user(json!([result("toolu_1", "a")]))]}), messages)
    });
    add("answers in a row are one", {
        (json!({"messages": [hi(), assistant("a"), assistant(json!([text("b")])), hi()]}), json!([hi(), assistant("a\nb"), hi()]))
    });
    add("questions in a row are one", {
        (json!({"messages": [hi(), user(json!([text("b"), text("c")]))]}), json!([user("hi\nb\nc")]))
    });
    add("an answer to go on with", (json!({"messages": [hi(), assistant("It is")]}), json!([hi(), assistant("It is")])));
    add("an empty answer", (json!({"messages": [hi(), assistant(json!([])), user("ho")]}), json!([user("hi\nho")])));
    compare(&cases);
}

#[test]
fn blocks_of_every_kind() {
    let source = |kind: &str, rest: Value| with(json!({"type": kind}), rest);
    let block = |kind: &str, rest: Value| with(json!({"type": kind}), rest);
    let image = block("image", json!({"source": source("base64", json!({"media_type": "image/jpeg", "data": "AAAA"}))}));
    let far_image = block("image", json!({"source": source("url", json!({"url": "https://example.com/a.png"}))}));
    let pdf = block("document", json!({"source": source("base64", json!({"media_type": "application/pdf", "data": "AAAA"}))}));
    let paper = block("document", json!({"source": source("text", json!({"media_type": "text/plain", "data": "It rains."}))}));
    let ask = |blocks: Value| json!({"messages": [user(blocks)]});
    let url = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    let thought = |content: Value| json!({"role": "assistant", "content": content});
    compare(&[
        ("image", ask(json!([image, text("what?")])), json!([user(json!([url("data:image/jpeg;base64,AAAA"), text("what?")]))])),
        ("image elsewhere", ask(json!([far_image])), json!([user(json!([url("https://example.com/a.png")]))])),
        ("pdf", ask(json!([pdf, text("what?")])), json!([user("[document: not shown to the local model]\nwhat?")])),
        ("document", ask(json!([paper, text("does it?")])), json!([user("It rains.\ndoes it?")])),
        (
            "unknown",
            ask(json!([block("hologram", json!({"x": 1})), text("?")])),
            json!([user("[hologram: not shown to the local model]\n?")]),
        ),
        ("unknown with text", ask(json!([block("future_text", json!({"text": "T."})), text("?")])), json!([user("T.\n?")])),
        ("no block", ask(json!([7, null, "x", {}, text("?")])), json!([user("?")])),
        ("empty text", ask(json!([text(""), text("?")])), json!([user("?")])),
        ("half a character", ask(json!([text("a\u{fffd}")])), json!([user("a\u{fffd}")])),
        (
            "thinking that led to a call is kept for it",
            json!({"messages": [user("hi"), thought(json!([thinking, call("toolu_1", "ls")])), user(json!([result("toolu_1", "a")]))]}),
            json!([user("hi"), with(calling("", &[(0, "ls")]), json!({"reasoning_content": "Hm."})), tool(0, "a")]),
        ),
        (
            "thinking about an older question is not",
            json!({"messages": [user("hi"), thought(json!([thinking, text("ho")])), user("and?")]}),
            json!([user("hi"), assistant("ho"), user("and?")]),
        ),
        (
            "thinking that is hidden",
            json!({"messages": [user("hi"), thought(json!([{"type": "redacted_thinking", "data": "x"}, text("ho")])), user("and?")]}),
            json!([user("hi"), assistant("ho"), user("and?")]),
        ),
        (
            "calls that Anthropic made itself",
            json!({"messages": [user("hi"), thought(json!([{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}, text("ho")])), user("and?")]}),
            json!([user("hi"), assistant("ho"), user("and?")]),
        ),
    ]);
}

#[test]
fn halves_of_characters_are_mended() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let mut caller = gateway.connect();
    let body = [br#"{"max_tokens":100,"messages":[{"role":"user","content":"a\ud83d b "#.as_slice(), b"\xff\"}]}"].concat();
    let reply = caller.send(caller.posting("/v1/messages", body)).reply();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(server.asked(), chat(json!([user("a\u{fffd} b \u{fffd}")])));
}

#[test]
fn tools_and_how_they_are_chosen() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let wanted = |tool: &Value| {
        let mut function = json!({"name": tool["name"], "description": tool["description"]});
        function["parameters"] = tool["input_schema"].clone();
        json!({"type": "function", "function": function})
    };
    let known: Vec<Value> = tools().as_array().unwrap().iter().map(wanted).collect();
    let with_known = |rest: Value| with(with(chat(json!([user("hi")])), json!({"tools": known})), rest);
    let one = json!({"type": "function", "function": {"name": "Read"}});
    for (choice, expected) in [
        (json!({"type": "auto"}), with_known(json!({}))),
        (json!({"type": "any"}), with_known(json!({"tool_choice": "required"}))),
        // Alone, for servers that do not read the choice.
        (json!({"type": "tool", "name": "Read"}), with_known(json!({"tools": [known[1]], "tool_choice": one}))),
        (json!({"type": "auto", "disable_parallel_tool_use": true}), with_known(json!({"parallel_tool_calls": false}))),
        (
            json!({"type": "any", "disable_parallel_tool_use": true}),
            with_known(json!({"tool_choice": "required", "parallel_tool_calls": false})),
        ),
        (json!({"type": "none"}), chat(json!([user("hi")]))),
        (json!({"type": "a new kind"}), with_known(json!({}))),
        (Value::Null, with_known(json!({}))),
    ] {
        let has_to_call = ["any", "tool"].contains(&choice["type"].as_str().unwrap_or_default());
        server.say(&if has_to_call { bash_call() } else { completion("yes") });
        let request = with(question("hi"), json!({"tools": tools(), "tool_choice": choice}));
        assert_eq!(sent(&server, &gateway, &request), expected, "{choice}");
    }
    // Those that are to be searched for are not the model's.
    let more = json!([
        {"name": "Later", "description": "", "input_schema": {"type": "object"}, "defer_loading": true},
        {"name": "Custom", "type": "custom", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
        {"name": "", "input_schema": {"type": "object"}},
        7,
    ]);
    let custom = json!({"type": "function", "function": {"name": "Custom", "description": "", "parameters": {"type": "object"}}});
    let request = with(question("hi"), json!({"tools": more}));
    assert_eq!(sent(&server, &gateway, &request), with(chat(json!([user("hi")])), json!({"tools": [custom]})));
}

#[test]
fn sampling_stops_formats_and_what_is_not_known() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "schema": schema});
    let response_format =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}}});
    for (keys, expected) in [
        (json!({"temperature": 0.7, "top_p": 0.9, "top_k": 40}), json!({"temperature": 0.7, "top_p": 0.9, "top_k": 40})),
        (json!({"temperature": null, "top_p": "x"}), json!({})),
        (json!({"max_tokens": 1}), json!({"max_tokens": 1})),
        (json!({"max_tokens": 32000}), json!({"max_tokens": 32000})),
        // They are looked for here, since servers do not tell which it was.
        (json!({"stop_sequences": ["###", ""]}), json!({})),
        (json!({"output_config": {"effort": "high", "format": format}}), response_format.clone()),
        (json!({"output_format": format}), response_format),
        (json!({"output_config": {"effort": "low"}}), json!({})),
        (
            json!({"metadata": {"user_id": ""}, "service_tier": "auto", "thinking": {"type": "enabled", "budget_tokens": 1024},
                   "context_management": {"edits": []}, "mcp_servers": [], "container": null, "safeguards": [1], "unheard_of": {}}),
            json!({}),
        ),
    ] {
        let request = with(question("hi"), keys.clone());
        assert_eq!(sent(&server, &gateway, &request), with(chat(json!([user("hi")])), expected), "{keys}");
    }
}

/// The official clients know this refusal, and send the whole conversation then.
#[test]
fn conversations_that_only_a_server_would_know() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    for thread in [json!({"type": "create"}), json!({"type": "continue", "previous_message_id": "msg_1"})] {
        let request = with(question("hi"), json!({"thread": thread}));
        let (status, may_pass, kind, _) = gateway.refusal(&request);
        assert_eq!((status, may_pass, kind.as_str()), (400, false, "invalid_request_error"), "{thread}");
        let details = json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
        assert_eq!(gateway.ask(&request).json()["error"]["details"], details, "{thread}");
    }
    assert!(server.stub.chats().is_empty());
    let request = with(question("hi"), json!({"thread": null}));
    assert_eq!(sent(&server, &gateway, &request), chat(json!([user("hi")])));
}

#[test]
fn our_own_settings_are_sent_along() {
    let server = Server::saying(&completion("yes"));
    let gateway = Gateway::with(
        &server.stub.url(),
        &[("LOCAL_LLM_MODEL", "tiny"), ("LOCAL_LLM_TEMPERATURE", "0"), ("LOCAL_LLM_EXTRA_BODY", r#"{"seed":7}"#)],
    );
    let expected = with(chat(json!([user("hi")])), json!({"model": "tiny", "temperature": 0.0, "seed": 7}));
    assert_eq!(sent(&server, &gateway, &question("hi")), expected);
}

#[test]
fn the_servers_key_is_ours_to_show_and_nobody_elses() {
    let stub = Stub::new(|request, stream| {
        use std::io::Write;
        let key = request.header("authorization").unwrap_or_default().to_string();
        let _ = stream.write_all(json_answer(401, &json!({"error": format!("no such key: {key}")}).to_string()).as_bytes());
    });
    let gateway = Gateway::with(&stub.url(), &[("LOCAL_LLM_API_KEY", "key-of-the-server")]);
    let (status, _, _, message) = gateway.refusal(&question("hi"));
    assert_eq!((status, message.as_str()), (424, "the local server refused: HTTP 401: no such key: Bearer …"));
    assert!(stub.chats().iter().all(|chat| chat.header("authorization") == Some("Bearer key-of-the-server")));
}

/// What Claude Code says of itself and of its tools goes first, then the user's own tools, and no question is cut.
#[test]
fn a_context_that_is_too_small_for_everything() {
    let tool = |name: &str, words: usize| {
        let description = format!("{name} works. {}", "It does so. ".repeat(200));
        json!({"name": name, "description": description, "input_schema": {"type": "object", "title": "word ".repeat(words)}})
    };
    let request = |own: usize, asked: usize| {
        let system = format!("Very important. {}\n - Platform: linux\n", "Be good. ".repeat(400));
        let tools = json!([tool("Bash", 10), tool("Agent", 10), tool("mcp__own__look", 10), tool("mcp__own__more", own)]);
        let messages = json!([user("word ".repeat(asked).trim())]);
        with(question(""), json!({"system": system, "tools": tools, "messages": messages}))
    };
    let names = |chat: &Value| -> Vec<String> {
        let tools = chat["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["function"]["name"].as_str().unwrap().to_string()).collect()
    };
    let server = Server::saying(&completion("yes"));
    let said = "claude-failover: warning: the whole request does not fit the local model's context of 2000 tokens: short \
                instructions and fewer tools\n";
    let gateway = Gateway::with(&server.stub.url(), &[("LOCAL_LLM_CONTEXT", "2000")]).says(said);
    let chat = sent(&server, &gateway, &request(10, 50));
    assert_eq!(names(&chat), ["Bash", "mcp__own__look", "mcp__own__more"]);
    let system = chat["messages"][0]["content"].as_str().unwrap();
    assert!(system.len() < 1000 && system.contains("Platform: linux") && !system.contains("Be good"), "{system}");
    assert!(chat["tools"][0]["function"]["description"].as_str().unwrap().len() <= 300, "{chat}");
    assert_eq!(chat["messages"][1], user("word ".repeat(50).trim()));
    assert_eq!(names(&sent(&server, &gateway, &request(2000, 50))), ["Bash"], "without the user's own");
    let before = server.stub.chats().len();
    let (status, may_pass, kind, message) = gateway.refusal(&request(10, 3000));
    assert_eq!((status, may_pass, kind.as_str()), (400, false, "invalid_request_error"));
    let figures = message.strip_prefix("prompt is too long: ").and_then(|rest| rest.strip_suffix(" tokens > 2000 maximum"));
    assert!(figures.is_some_and(|prompt| prompt.parse::<u32>().unwrap() > 3000), "{message}");
    assert_eq!(server.stub.chats().len(), before, "a server that would not check is not asked");
    // An answer takes no more than is left.
    let long = with(question("word ".repeat(1400).trim()), json!({"max_tokens": 1500}));
    let most = sent(&server, &gateway, &long)["max_tokens"].as_u64().unwrap();
    assert!((256..600).contains(&most), "{most}");
}

#[test]
fn a_server_that_takes_no_images_is_told_of_them_in_words_from_then_on() {
    for (status, refusal) in [
        (
            500,
            r#"{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}"#,
        ),
        (404, r#"{"error": "Only 'text' content type is supported."}"#),
    ] {
        let (no, yes) = (json_answer(status, refusal), sse(&completion("yes")));
        let stub = Stub::new(move |request, stream| {
            use std::io::Write;
            let has_image = String::from_utf8_lossy(&request.body).contains("image_url");
            let _ = stream.write_all(if has_image { no.as_bytes() } else { yes.as_bytes() });
        });
        let gateway = Gateway::new(&stub.url());
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
        let request = with(question(""), json!({"messages": [user(json!([image, text("what is it?")]))]}));
        let told = chat(json!([user("[image: not shown to the local model]\nwhat is it?")]));
        assert_eq!(gateway.stream(&request).error, None);
        let asked: Vec<Value> = stub.chats().iter().map(|chat| chat.json()).collect();
        assert_eq!(asked.len(), 2, "{refusal}");
        assert_eq!(asked[1], told);
        gateway.message(&request);
        let asked: Vec<Value> = stub.chats().iter().map(|chat| chat.json()).collect();
        assert_eq!(asked[2..], [told.clone(), told], "it is remembered");
    }
}

/// Templates such as Gemma 2's take no system message; it goes to the first question then, and stays there.
#[test]
fn a_server_that_takes_no_system_message_gets_it_in_the_question() {
    let refusal = r#"{"error":{"code":500,"message":"Jinja Exception: System role not supported","type":"server_error"}}"#;
    let (no, yes) = (json_answer(500, refusal), sse(&completion("yes")));
    let stub = Stub::new(move |request, stream| {
        use std::io::Write;
        let has_system = String::from_utf8_lossy(&request.body).contains(r#""role":"system""#);
        let _ = stream.write_all(if has_system { no.as_bytes() } else { yes.as_bytes() });
    });
    let gateway = Gateway::new(&stub.url());
    gateway.message(&with(question("hi"), json!({"system": "Be brief."})));
    let asked: Vec<Value> = stub.chats().iter().map(|chat| chat.json()).collect();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[1..], [chat(json!([user("Be brief.\n\nhi")])), chat(json!([user("Be brief.\n\nhi")]))]);
}

/// The requests of four versions of Claude Code, each with tools used, shortened where they are long.
pub fn corpus() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/requests");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

/// What reaches the server of each is in a file beside it; `UPDATE_GATEWAY_REQUESTS=1` writes what is new.
#[test]
fn requests_of_claude_code() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/chats");
    let cases = corpus();
    assert_eq!(cases.len(), 8);
    for (name, request) in cases {
        let chat = sent(&server, &gateway, &request);
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("UPDATE_GATEWAY_REQUESTS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, format!("{chat:#}\n")).unwrap();
        }
        let expected: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(chat, expected, "{name}");
        for message in chat["messages"].as_array().unwrap().iter().skip(1) {
            assert_ne!(message["role"], "system", "strict templates take one at the beginning only");
        }
    }
}
