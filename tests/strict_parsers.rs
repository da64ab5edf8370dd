//! What we print in the place of Claude Code, read by the parsers of two published crates. Both take a field that is not of the
//! public type for an error, such as `model` of an assistant's message that is no string.

use claude_codes::ClaudeOutput;
use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::play::{Stage, refused};
use crate::support::stub::{Stub, completion, piece, sse};

/// The types of lines that `claude-agent-sdk` knows. It is older than the others.
const KNOWN: [&str; 5] = ["user", "assistant", "system", "result", "stream_event"];

/// Fails if a line of this stream is not as the crates want it, or if it has no message of the assistant's.
pub fn check(stream: &str) -> Result<(), String> {
    let mut answers = 0;
    for line in stream.lines() {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let output = ClaudeOutput::parse_json(line).map_err(|error| format!("claude-codes: {}: {line}", error.error_message))?;
        if let ClaudeOutput::Assistant(assistant) = output {
            answers += 1;
            if assistant.message.model.is_empty() {
                return Err(format!("a model without a name: {line}"));
            }
        }
        if KNOWN.contains(&value["type"].as_str().unwrap_or_default()) {
            claude_agent_sdk::parse_message(value).map_err(|error| format!("claude-agent-sdk: {error}: {line}"))?;
        }
    }
    if answers == 0 { Err(format!("no answer in {stream}")) } else { Ok(()) }
}

const STREAM: [&str; 3] = ["--output-format", "stream-json", "--verbose"];

#[track_caller]
fn check_call(sandbox: &Sandbox, args: &[&str], stdin: &str) -> String {
    let output = sandbox.cmd("claude").args(&STREAM).args(args).stdin(stdin).run();
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    check(&out).unwrap_or_else(|fault| panic!("{fault} ({})", output.err()));
    out
}

#[test]
fn both_want_a_name_of_the_model() {
    let message = |model: Value| {
        json!({"type": "assistant", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
               "content": [{"type": "text", "text": "hi"}]}, "parent_tool_use_id": null, "session_id": "s", "uuid": "u"})
    };
    let parses = |line: &Value| {
        (ClaudeOutput::parse_json(&line.to_string()).is_ok(), claude_agent_sdk::parse_message(line.clone()).is_ok())
    };
    assert_eq!(parses(&message("tiny".into())), (true, true));
    assert_eq!(parses(&message(Value::Null)), (false, false));
    assert_eq!(check("").unwrap_err(), "no answer in ");
}

#[test]
fn plain_answers() {
    let thought = json!({"choices": [{"index": 0, "finish_reason": null, "delta": {"reasoning_content": "Hm."}}]});
    let thinks = sse(&(format!("data: {thought}\n\n") + &completion("one two")));
    for answer in
        [sse(&completion("one two three")), thinks, sse(&piece("half an")), sse("data: {\"error\":{\"message\":\"no\"}}\n\n")]
    {
        let stub = Stub::raw(answer);
        let mut sandbox = Sandbox::new();
        sandbox.set("LOCAL_LLM_URL", stub.url());
        sandbox.switch("local");
        check_call(&sandbox, &["-p", "hi"], "");
        check_call(&sandbox, &["-p", "hi", "--include-partial-messages"], "");
        let user = json!({"type": "user", "message": {"role": "user", "content": "hi"}});
        let control = json!({"type": "control_request", "request_id": "r1", "request": {"subtype": "initialize"}});
        let lines = format!("{control}\n{user}\n{user}\n");
        let session = ["--input-format", "stream-json", "--replay-user-messages", "--include-partial-messages"];
        check_call(&sandbox, &session, &lines);
    }
    let stub = Stub::answering("{\"n\":1}");
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.switch("local");
    check_call(&sandbox, &["-p", "hi", "--json-schema", r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#], "");
}

#[test]
fn answers_in_the_place_of_claude() {
    let stub = Stub::answering("from here");
    for more in [&[][..], &["--include-partial-messages"]] {
        let stage = Stage::new(&stub, &refused());
        let out = check_call(&stage, &[&["-p", "hi"], more].concat(), "");
        assert!(out.contains("\"backend\":\"local\""), "{out}");
    }
}
