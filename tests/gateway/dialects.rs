//! Calls and thinking in the text of an answer, as each family writes them, split at every character.

use serde_json::{Value, json};

use super::{Gateway, Server, question, with, with_tools};
use crate::dialects::{DIALECTS, Dialect, THOUGHT, streams};

/// What a message thinks, says and calls.
fn parts(message: &Value) -> (String, String, Vec<(Value, Value)>) {
    let (mut thought, mut said, mut calls) = (String::new(), String::new(), vec![]);
    for block in message["content"].as_array().expect("content") {
        match block["type"].as_str() {
            Some("thinking") => thought += block["thinking"].as_str().unwrap(),
            Some("text") => said += block["text"].as_str().unwrap(),
            _ => calls.push((block["name"].clone(), block["input"].clone())),
        }
    }
    (thought.trim().into(), said.trim().into(), calls)
}

#[track_caller]
fn check(dialect: &Dialect, gateway: &Gateway, server: &Server) {
    let request = with(with_tools(question("hi")), json!({"thinking": {"type": "adaptive"}}));
    let thought = if dialect.thinks() { THOUGHT } else { "" };
    let calls = vec![(json!("Bash"), json!({"command": "ls -l 'ä b'"}))];
    let expected = (thought.to_string(), dialect.before().trim().to_string(), calls);
    for stream in streams(&dialect.calls("ls -l 'ä b'")) {
        server.say(&stream);
        let answer = gateway.stream(&request);
        assert_eq!(answer.error, None, "{}: {stream}", dialect.name);
        assert_eq!(parts(&answer.message), expected, "{}: {stream}", dialect.name);
        assert_eq!(answer.message["stop_reason"], "tool_use", "{}: {stream}", dialect.name);
    }
}

#[test]
fn calls_are_made_and_thinking_is_told_apart() {
    std::thread::scope(|scope| {
        for dialects in DIALECTS.chunks(DIALECTS.len().div_ceil(4)) {
            scope.spawn(move || {
                let server = Server::saying("");
                let gateway = server.gateway();
                dialects.iter().for_each(|dialect| check(dialect, &gateway, &server));
            });
        }
    });
}
