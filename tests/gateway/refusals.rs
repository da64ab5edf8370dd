//! What a local server refuses, and what becomes of a request then. `src/completions/failure/tests.rs` has the words of each server.

use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Gateway, delta, events, question, with, with_tools};
use crate::support::stub::{Stub, bash_call, end, error_event, json as json_answer, passing, piece, sse};
use crate::support::until;

fn refusal(status: u16, message: &str) -> String {
    json_answer(status, &json!({"error": {"message": message}}).to_string())
}

fn chats(stub: &Stub) -> Vec<Value> {
    stub.chats().iter().map(|request| request.json()).collect()
}

/// The answer to one request, asked for in one piece.
#[track_caller]
fn answer(gateway: &Gateway, request: &Value) -> Value {
    let reply = gateway.ask(request);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["content"].clone()
}

fn yes() -> Value {
    json!([{"type": "text", "text": "yes"}])
}

fn ls() -> Value {
    json!([{"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}])
}

#[test]
fn a_refusal_that_passes_is_waited_out() {
    for (status, message) in [
        (503, "server busy, please try again.  maximum pending requests exceeded"),
        (429, "slow down"),
        (502, "Bad Gateway"),
        (500, "Failed to parse input at pos 12: </tool_call>"),
        (500, "Failed to parse tool call arguments as JSON: unexpected end of input"),
    ] {
        let stub = Stub::refusing(passing(status, message), |_, before| before % 3 < 2);
        let gateway = Gateway::new(&stub.url());
        assert_eq!(gateway.message(&question("hi"))["content"], yes(), "{status}");
        assert_eq!(stub.chats().len(), 6, "{status}");
    }
    // What a server says in a stream that has begun counts as much.
    for message in ["Failed to parse input at pos 12: </tool_call>", "server busy"] {
        let stub = Stub::refusing(error_event(message), |_, before| before == 0);
        assert_eq!(answer(&Gateway::new(&stub.url()), &question("hi")), yes());
        assert_eq!(stub.chats().len(), 2, "{message}");
    }
}

#[test]
fn a_refusal_that_does_not_pass_is_told_as_one_that_may() {
    let said = |line: &str| format!("the local server refused: {line}");
    for (status, message, expected, kind) in [
        (503, "server busy", 529, "overloaded_error"),
        (429, "slow down", 529, "overloaded_error"),
        (502, "Bad Gateway", 503, "api_error"),
        (504, "late", 503, "api_error"),
        (500, "Failed to parse input at pos 12", 502, "api_error"),
    ] {
        let stub = Stub::refusing(passing(status, message), |_, _| true);
        let gateway = Gateway::new(&stub.url());
        let expected = (expected, true, kind.to_string(), said(&format!("HTTP {status}: {message}")));
        assert_eq!(gateway.refusal(&question("hi")), expected);
        assert_eq!(stub.chats().len(), 10, "five times for each of two requests");
    }
    // A pause that is longer than all of ours is handed on.
    let stub = Stub::refusing(passing(503, "busy").replace("Retry-After: 0", "Retry-After: 3600"), |_, _| true);
    let reply = Gateway::new(&stub.url()).ask(&question("hi"));
    assert_eq!((reply.status, reply.header("retry-after"), reply.header("x-should-retry")), (503, Some("3600"), Some("true")));
    assert_eq!(stub.chats().len(), 1);
}

/// Pings go on meanwhile, and the end comes as an event: that is how Claude Code hears of it when all pauses were in vain.
#[test]
fn a_long_pause_in_a_stream() {
    let busy = passing(503, "server busy").replace("Retry-After: 0", "Retry-After: 6");
    let stub = Stub::refusing(busy, |_, _| true);
    let gateway = Gateway::with(&stub.url(), &[("LOCAL_LLM_RETRIES", "3")]);
    let streamed = gateway.stream(&question("hi"));
    let expected = ("overloaded_error".into(), "the local server refused: HTTP 503: server busy".into());
    assert_eq!(streamed.error, Some(expected), "{streamed:?}");
    assert_eq!(stub.chats().len(), 2, "a second pause would be more than 7 seconds");
}

#[test]
fn a_pause_ends_with_the_caller() {
    let busy = passing(503, "server busy").replace("Retry-After: 0", "Retry-After: 2");
    for streams in [true, false] {
        let stub = Stub::refusing(busy.clone(), |_, _| true);
        let gateway = Gateway::new(&stub.url());
        let mut caller = gateway.connect();
        let bytes = caller.posting("/v1/messages", with(question("hi"), json!({"stream": streams})).to_string());
        caller.send(bytes);
        until(10, "it asks", || stub.chats().len() == 1);
        caller.close();
        // It would be asked again by now.
        thread::sleep(Duration::from_secs(3));
        assert_eq!(stub.chats().len(), 1, "{streams}");
    }
}

/// A part that a server may not take: its refusal, whether a request has that part, the request, and what is sent instead.
type Part = ((u16, &'static str), fn(&Value) -> bool, Value, fn(&Value) -> bool);

fn parts() -> Vec<Part> {
    let has = |key: &'static str, value: Value| with(question("hi"), Value::from_iter([(key, value)]));
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "\\d+"}}, "required": ["a"]});
    let tools = json!([
        {"name": "Bash", "description": "run", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}},
        {"name": "mcp__x__y", "description": "d", "input_schema": schema},
    ]);
    fn image() -> Value {
        let source = json!({"type": "base64", "media_type": "image/png", "data": "AA=="});
        json!({"type": "image", "source": source})
    }
    let called = json!([
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.png"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [image()]}]},
    ]);
    let thought = json!([
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "text"}]},
    ]);
    fn roles(chat: &Value) -> String {
        let messages = chat["messages"].as_array().unwrap();
        messages.iter().map(|message| message["role"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    }
    /// As the templates of Mistral count.
    fn alternates(chat: &Value) -> bool {
        let counts =
            |message: &&Value| message["role"] == "user" || message["role"] == "assistant" && message.get("tool_calls").is_none();
        let messages = chat["messages"].as_array().unwrap().iter().filter(counts);
        messages.enumerate().all(|(at, message)| (message["role"] == "user") == (at % 2 == 0))
    }
    vec![
        (
            (400, "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"),
            |chat| chat["tool_choice"].is_object(),
            with(has("tools", tools.clone()), json!({"tool_choice": {"type": "tool", "name": "Bash"}})),
            |chat| chat["tool_choice"] == "required" && chat["tools"].as_array().unwrap().len() == 1,
        ),
        (
            (400, "tool_choice is not supported"),
            |chat| chat.get("tool_choice").is_some(),
            with(has("tools", tools.clone()), json!({"tool_choice": {"type": "tool", "name": "Bash"}})),
            |chat| chat["tools"][0]["function"]["name"] == "Bash" && chat["tools"].as_array().unwrap().len() == 1,
        ),
        (
            (400, "Unsupported parameter: 'parallel_tool_calls' is not supported with this model."),
            |chat| chat.get("parallel_tool_calls").is_some(),
            with(has("tools", tools.clone()), json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}})),
            |chat| chat["tools"].as_array().unwrap().len() == 2,
        ),
        (
            (400, "json: unknown field \"stream_options\""),
            |chat| chat.get("stream_options").is_some(),
            question("hi"),
            |chat| chat["stream"] == true,
        ),
        (
            (422, "[{'type': 'extra_forbidden', 'loc': ('body', 'top_k'), 'msg': 'Extra inputs are not permitted', 'input': 5}]"),
            |chat| chat.get("top_k").is_some(),
            has("top_k", json!(5)),
            |chat| chat["temperature"] == 0.2,
        ),
        (
            (400, "'response_format.type' must be 'text'"),
            |chat| chat.get("response_format").is_some(),
            has("output_format", json!({"type": "json_schema", "schema": {"type": "object"}})),
            |chat| chat["messages"][0]["content"] == "hi",
        ),
        (
            (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
            |chat| chat.to_string().contains("image_url"),
            has("messages", json!([{"role": "user", "content": [image(), {"type": "text", "text": "look"}]}])),
            |chat| chat["messages"][0]["content"] == "[image: not shown to the local model]\nlook",
        ),
        (
            (500, "Jinja Exception: System role not supported"),
            |chat| chat["messages"][0]["role"] == "system",
            has("system", json!("Be brief.")),
            |chat| chat["messages"][0]["content"] == "Be brief.\n\nhi",
        ),
        (
            (
                400,
                "Unable to generate parser for this template. Automatic parser generation failed: JSON schema conversion failed:\n\
                 Pattern must start with '^' and end with '$'",
            ),
            |chat| chat.to_string().contains("\"pattern\""),
            has("tools", tools.clone()),
            |chat| {
                chat["tools"][1]["function"]["parameters"]
                    == json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
            },
        ),
        (
            (400, "Invalid schema for function 'mcp__x__y': no grammar"),
            |chat| chat.to_string().contains("mcp__x__y"),
            has("tools", tools.clone()),
            |chat| chat["tools"].as_array().unwrap().len() == 1 && chat["tools"][0]["function"]["name"] == "Bash",
        ),
        (
            (400, "registry.ollama.ai/library/gemma3:4b does not support tools"),
            |chat| chat.get("tools").is_some(),
            has("tools", tools.clone()),
            |chat| chat["messages"][0]["content"].as_str().unwrap().contains("\"name\":\"mcp__x__y\""),
        ),
        (
            (
                500,
                "Error: Jinja Exception: After the optional system message, conversation roles must alternate user and assistant roles",
            ),
            |chat| !alternates(chat),
            has("messages", called.clone()),
            |chat| {
                alternates(chat) && roles(chat) == "user assistant tool assistant user" && chat.to_string().contains("image_url")
            },
        ),
        (
            (400, "Unexpected role 'user' after role 'tool'"),
            |chat| roles(chat).contains("tool user"),
            has("messages", called.clone()),
            |chat| alternates(chat),
        ),
        (
            (400, "Only user and assistant roles are supported!"),
            |chat| roles(chat).contains("tool"),
            has("messages", called),
            |chat| {
                roles(chat) == "user assistant user" && chat["messages"][1]["content"].as_str().unwrap().contains("<tool_call>")
            },
        ),
        (
            (400, "property 'reasoning_content' is unsupported"),
            |chat| chat.to_string().contains("reasoning_content"),
            has("messages", thought),
            |chat| chat["messages"][1]["tool_calls"].is_array(),
        ),
    ]
}

#[test]
fn what_a_server_does_not_take_is_left_out_and_remembered() {
    for ((status, message), is_in, request, is_right) in parts() {
        let stub = Stub::refusing(refusal(status, message), move |chat, _| is_in(chat));
        let gateway = Gateway::new(&stub.url());
        let is_tool = message.contains("Invalid schema");
        let warning = "claude-failover: warning: the local server takes no tool with the schema of `mcp__x__y`: it is left out\n";
        let gateway = gateway.says(if is_tool { warning } else { "" });
        let content = || events::without_ids(json!({"content": answer(&gateway, &request)}))["content"].clone();
        let must_call = ["any", "tool"].contains(&request["tool_choice"]["type"].as_str().unwrap_or_default());
        let expected = if must_call { ls() } else { yes() };
        assert_eq!(content(), expected, "{message}");
        let asked = chats(&stub);
        assert!(is_in(&asked[0]), "{message}");
        let last = asked.last().unwrap();
        assert!(!is_in(last) && is_right(last), "{message}: {last:#}");
        assert!(asked.len() <= 3, "{message}: {asked:#?}");
        // From now on it is left out from the start.
        assert_eq!(content(), expected, "{message}");
        assert_eq!(stub.chats().len(), asked.len() + 1, "{message}");
        assert_eq!(chats(&stub).last(), Some(last), "{message}");
    }
}

/// llama.cpp names no tool, and plain schemas do not help: nothing is dropped at random.
#[test]
fn a_schema_that_nobody_names() {
    let stub = Stub::refusing(refusal(400, "Failed to initialize samplers: failed to parse grammar"), |_, _| true);
    let gateway = Gateway::new(&stub.url());
    let reply = gateway.ask(&with_tools(question("hi")));
    let said = "the local server refused: HTTP 400: Failed to initialize samplers: failed to parse grammar";
    assert_eq!(reply.refusal(), (424, false, "invalid_request_error".into(), said.into()));
    assert!(chats(&stub).iter().all(|chat| chat["tools"].as_array().unwrap().len() == 2));
}

/// Not to know it is one more try for each process; to be wrong about it would be worse.
#[test]
fn what_is_remembered_is_kept_for_the_next_gateway() {
    let stub = Stub::refusing(refusal(400, "unknown field \"stream_options\""), |chat, _| chat.get("stream_options").is_some());
    let mut sandbox = crate::support::Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LLM_GATEWAY_TOKEN", super::TOKEN);
    for asked in [2, 3] {
        assert_eq!(answer(&Gateway::start(&sandbox), &question("hi")), yes());
        assert_eq!(stub.chats().len(), asked);
    }
    // Another model may take it.
    sandbox.set("LOCAL_LLM_MODEL", "other");
    assert_eq!(answer(&Gateway::start(&sandbox), &question("hi")), yes());
    assert_eq!(stub.chats().len(), 5);
}

#[test]
fn an_answer_that_would_be_too_long_is_asked_for_shorter() {
    let request = with(question("hi"), json!({"max_tokens": 4000}));
    let vllm = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (5000 in the messages, 4000 in \
                the completion). Please reduce the length of the messages or completion.";
    let tgi = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 5000 `inputs` tokens and 4000 \
               `max_new_tokens`";
    for answer_of in [refusal(400, vllm), refusal(422, tgi), error_event(vllm)] {
        let stub = Stub::refusing(answer_of, |chat, _| chat["max_tokens"].as_u64().unwrap() > 3192);
        assert_eq!(answer(&Gateway::new(&stub.url()), &request), yes());
        let asked = chats(&stub);
        assert_eq!((asked.len(), &asked[1]["max_tokens"]), (2, &json!(3192)));
        assert_eq!(asked[0]["messages"], asked[1]["messages"], "nothing else is less");
    }
    // The prompt alone is too long: Claude Code has to shorten it.
    let stub = Stub::refusing(refusal(400, &vllm.replace("5000", "8192")), |_, _| true);
    let too_long = (400, false, "invalid_request_error".into(), "prompt is too long: 8192 tokens > 8192 maximum".into());
    assert_eq!(Gateway::new(&stub.url()).refusal(&request), too_long);
}

#[test]
fn too_long_makes_a_request_lean_wherever_it_is_said() {
    let long = "word ".repeat(3000);
    let request = with(with_tools(question("hi")), json!({ "system": long }));
    let lm_studio = "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)";
    let lean = "claude-failover: warning: the whole request does not fit the local model's context of 7424 tokens: short instructions \
                and fewer tools\n";
    for answer_of in [refusal(400, lm_studio), error_event(lm_studio)] {
        let stub = Stub::refusing(answer_of, |chat, _| chat.to_string().len() > 9000);
        let gateway = Gateway::new(&stub.url()).says(lean);
        assert_eq!(answer(&gateway, &request), yes());
        assert_eq!(stub.chats().len(), 2);
    }
    let stub = Stub::refusing(error_event(lm_studio), |_, _| true);
    let too_long = (400, false, "invalid_request_error".into(), "prompt is too long: 15028 tokens > 7424 maximum".into());
    assert_eq!(Gateway::new(&stub.url()).refusal(&question("hi")), too_long);
}

#[test]
fn an_empty_answer_is_not_asked_again_word_for_word() {
    let told = "Your last answer was empty: nothing of it has reached the user. Answer now.";
    let stub = Stub::refusing(sse(&end("stop")), |_, before| before == 0);
    assert_eq!(answer(&Gateway::new(&stub.url()), &question("hi")), yes());
    let asked = chats(&stub);
    assert_eq!((asked.len(), &asked[1]["messages"]), (2, &json!([{"role": "user", "content": format!("hi\n\n{told}")}])));
    // Behind a tool's result.
    let called = json!([
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "text"}]},
    ]);
    let stub = Stub::refusing(sse(&end("stop")), |_, before| before == 0);
    assert_eq!(answer(&Gateway::new(&stub.url()), &with(question("hi"), json!({ "messages": called }))), yes());
    assert_eq!(chats(&stub)[1]["messages"][3], json!({"role": "user", "content": told}));
    // Once: then the caller hears of it, and that the same will not help.
    let stub = Stub::refusing(sse(&end("stop")), |_, _| true);
    let empty = (502, false, "api_error".into(), "the local model gave an empty answer".into());
    assert_eq!(Gateway::new(&stub.url()).ask(&question("hi")).refusal(), empty);
    assert_eq!(stub.chats().len(), 2);
}

#[test]
fn nothing_is_asked_again_once_something_has_come() {
    let event = |message: &str| format!("data: {}\n\n", json!({"error": {"message": message}}));
    let thinking = with(question("hi"), json!({"thinking": {"type": "adaptive"}}));
    for begun in [piece("half an"), delta(&json!({"reasoning_content": "Hm."}))] {
        for message in ["Failed to parse input at pos 12", "server busy", "Context size has been exceeded."] {
            let stub = Stub::refusing(sse(&(begun.clone() + &event(message))), |_, _| true);
            let gateway = Gateway::new(&stub.url());
            let streamed = gateway.stream(&thinking);
            let said = format!("the local answer was cut short: {message}");
            assert_eq!(streamed.error, Some(("api_error".into(), said)), "{streamed:?}");
            assert_eq!(stub.chats().len(), 1, "{message}");
        }
    }
}

/// A server that says one thing after the other is answered one after the other, and not for ever.
#[test]
fn remedies_follow_on_each_other() {
    let stub = Stub::new(|request, stream| {
        let chat = if request.is_chat() { request.json() } else { Value::Null };
        let reply = match &chat {
            chat if chat["tool_choice"].is_object() => refusal(400, "Invalid tool_choice type: 'object'"),
            chat if chat.get("stream_options").is_some() => refusal(422, "unknown field `stream_options`"),
            chat if chat["max_tokens"].as_u64() > Some(50) => refusal(400, "max_tokens is too large: 100"),
            chat if chat["messages"][0]["role"] == "system" => refusal(500, "System role not supported"),
            _ => sse(&bash_call()),
        };
        let _ = stream.write_all(reply.as_bytes());
    });
    let gateway = Gateway::new(&stub.url());
    let request =
        with(with_tools(question("hi")), json!({"system": "Be brief.", "tool_choice": {"type": "tool", "name": "Bash"}}));
    assert_eq!(answer(&gateway, &request)[0]["name"], "Bash");
    assert_eq!(stub.chats().len(), 5);
}
