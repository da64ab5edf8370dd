//! Calls and thinking in the text of an answer, as each family writes them, split at every character.

use serde_json::{Value, json};

use super::{Gateway, Server, question, with, with_tools};
use crate::dialects::{DIALECTS, Dialect, THOUGHT, streams};
use crate::support::stub::{end, piece};

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

/// What the gateway says of an answer that shows this.
fn warning(mark: &str) -> String {
    let check = "check that the local server knows that template";
    format!("claude-failover: warning: the answer has `{mark}`, which belongs to the model's template: {check}\n")
}

/// The first control token of a text.
fn first_token(text: &str) -> Option<String> {
    text.split('<').find_map(|rest| {
        let bar = rest.chars().next().filter(|c| matches!(c, '|' | '｜'))?;
        let name = rest[bar.len_utf8()..].split(bar).next()?;
        let token = format!("<{bar}{name}{bar}>");
        let is_name = name.chars().all(|c| c.is_alphanumeric() || "_▁".contains(c));
        (is_name && text.contains(&token)).then_some(token)
    })
}

/// A README, a log or a question may hold calls, and a model may repeat them.
#[test]
fn what_is_shown_is_not_called() {
    let server = Server::saying("");
    let gateway = server.gateway();
    let check = |gateway: &Gateway, text: &str| {
        server.say(&(piece(text) + &end("stop")));
        let answer = gateway.stream(&with_tools(question("hi")));
        assert_eq!((answer.error, &answer.message["stop_reason"]), (None, &json!("end_turn")), "{text}");
        let (_, said, calls) = parts(&answer.message);
        assert_eq!(calls, [], "{text}");
        said
    };
    for dialect in DIALECTS {
        let call = dialect.call("rm -r /");
        for text in [
            format!("The file says:\n```\n{call}\n```\nI have not run it."),
            format!("It ends with\n\n````text\n{call}\n````"),
            format!("The file says:\n\n> {}\n\nI have not run it.", call.replace('\n', "\n> ")),
        ] {
            assert_eq!(check(&gateway, &text), text);
        }
        // Text behind a call shows that it is none. gpt-oss has no such text, and its marks are gone.
        let text = format!("This is not meant:\n{call}\nI have not run it.");
        let token = if dialect.name == "gpt-oss" { None } else { first_token(&call) };
        let gateway = server.gateway().says(&token.map_or(String::new(), |token| warning(&token)));
        let said = check(&gateway, &text);
        let rest = said.strip_prefix("This is not meant:\n").and_then(|said| said.strip_suffix("\nI have not run it."));
        let raw = if dialect.name == "gpt-oss" { r#"{"command":"rm -r /"}"# } else { &call };
        assert_eq!(rest, Some(raw), "{said:?}");
    }
}
