//! A prompt of which the server has read only a part, and markup that no dialect knows: what callers and the ledger hear.

use std::fs;

use serde_json::{Value, json};

use super::{Gateway, Server, TOKEN, question};
use crate::support::Sandbox;
use crate::support::stub::piece;

fn sandbox(server: &Server) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", server.stub.url());
    sandbox.set("LLM_GATEWAY_TOKEN", TOKEN);
    sandbox.set("LOCAL_LLM_MODEL", "m");
    sandbox
}

/// The text in pieces, and an end that says how much was read.
fn having_read(text: &str, read: u64) -> String {
    let finish = json!({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": read, "completion_tokens": 3, "total_tokens": read + 3}});
    let pieces: String = text.split_inclusive(' ').map(piece).collect();
    format!("{pieces}data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

fn ledger(sandbox: &Sandbox) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const LINE: &str = "the local server has read 4096 of about 9080 tokens, and dropped the rest: raise the server's context \
                    (OLLAMA_CONTEXT_LENGTH for Ollama, --ctx-size for llama.cpp), or tell its context with LOCAL_LLM_CONTEXT";

fn long() -> Value {
    question(&"The quick brown fox jumps over the lazy dog again. ".repeat(990))
}

#[test]
fn the_answer_fails_and_is_not_asked_for_again() {
    let server = Server::saying(&having_read("What are you working on?", 4096));
    let sandbox = sandbox(&server);
    let gateway = Gateway::start(&sandbox).says(&format!("claude-failover: warning: {LINE}\n"));
    // In one piece nothing has been told yet.
    let refusal = (424, false, "invalid_request_error".to_string(), LINE.to_string());
    assert_eq!(gateway.ask(&long()).refusal(), refusal);
    assert_eq!(server.stub.chats().len(), 1);
    // As long a one is not sent at all.
    assert_eq!(gateway.refusal(&long()), refusal);
    assert_eq!(server.stub.chats().len(), 1);
    // A short one is answered.
    assert_eq!(gateway.message(&question("hi"))["content"][0]["text"], "What are you working on?");
    let entries = ledger(&sandbox);
    let [note] = entries.as_slice() else { panic!("{entries:?}") };
    let marks = (&note["route"], &note["backend"], &note["model"], &note["input_tokens"], &note["truncated"]);
    assert_eq!(marks, (&json!("gateway"), &json!("local"), &json!("m"), &json!(4096), &json!(true)));
}

#[test]
fn a_stream_that_has_begun_ends_with_the_error() {
    let server = Server::saying(&having_read("What are you working on?", 4096));
    let sandbox = sandbox(&server);
    let gateway = Gateway::start(&sandbox).says(&format!("claude-failover: warning: {LINE}\n"));
    // Before it is known that the model does not begin with thinking, no text is passed on.
    server.say(&having_read("yes", 12));
    gateway.message(&question("hi"));
    let before = server.stub.chats().len();
    server.say(&having_read(&"What are you working on? ".repeat(100), 4096));
    let answer = gateway.stream(&long());
    assert!(answer.message["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("What are you")), "{answer:?}");
    assert_eq!(answer.error, Some(("invalid_request_error".into(), LINE.into())));
    // Claude Code asks again, and hears that this is of no use.
    assert_eq!(gateway.refusal(&long()), (424, false, "invalid_request_error".into(), LINE.into()));
    assert_eq!(server.stub.chats().len(), before + 1);
}

#[test]
fn what_was_read_whole_is_answered() {
    let server = Server::saying(&having_read("yes", 9100));
    let sandbox = sandbox(&server);
    let gateway = Gateway::start(&sandbox);
    for read in [9100, 8300, 0, 12] {
        server.say(&having_read("yes", read));
        assert_eq!(gateway.message(&long())["content"][0]["text"], "yes", "{read}");
    }
    assert_eq!(ledger(&sandbox).len(), 0);
}

#[test]
fn unknown_markup_is_noted_once() {
    let server = Server::saying(&having_read("a <|strange|> b", 10));
    let sandbox = sandbox(&server);
    let said =
        "the answer has `<|strange|>`, which belongs to the model's template: check that the local server knows that template";
    let gateway = Gateway::start(&sandbox).says(&format!("claude-failover: warning: {said}\n"));
    gateway.ask(&question("hi"));
    gateway.ask(&question("hi"));
    let entries = ledger(&sandbox);
    let [note] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((&note["route"], &note["unknown_markup"]), (&json!("gateway"), &json!("<|strange|>")));
    let table = sandbox.cmd("llm-failover").arg("log").run().out();
    assert!(table.ends_with("  m  10 in  0.0 s  unknown markup <|strange|>\n"), "{table}");
    sandbox.cmd("llm-failover").args(&["log", "--since", "1h"]).run().expect(0, "0 calls, 0 answered locally\n", "");
}
