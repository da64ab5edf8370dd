//! More than one local model behind the gateway.

use serde_json::{Value, json};

use super::{Gateway, TOKEN, question, with, with_tools};
use crate::chain::{
    NOBODY, broken_off, home, keys_stay_apart, ledger, name, obstacles, refusing, refusing_to, told, with_context,
};
use crate::support::Sandbox;
use crate::support::stub::{Stub, passing};

/// A gateway in front of these links, which says this on stderr.
fn gateway(sandbox: &mut Sandbox, said: &str) -> Gateway {
    sandbox.set("LLM_GATEWAY_TOKEN", TOKEN);
    Gateway::start(sandbox).says(said)
}

fn line(at: usize, stub: &Stub, why: &str) -> String {
    told("claude-failover", at, &stub.url(), why)
}

fn text(message: &Value) -> &str {
    message["content"][0]["text"].as_str().unwrap_or_default()
}

/// With instructions that can be shortened.
fn long_request() -> (String, Value) {
    let instructions = "Always be careful. ".repeat(1500);
    let system = json!({"system": [{"type": "text", "text": instructions}]});
    (instructions, with(with_tools(question("hi")), system))
}

#[test]
fn the_next_one_answers_where_the_first_cannot() {
    for (first, why) in obstacles() {
        let second = Stub::answering("hello from two");
        let mut sandbox = home(&[&first.url(), &second.url()]);
        let gateway = gateway(&mut sandbox, &line(1, &second, why));
        // Both ways to ask. The second time, the first one is known to be away.
        assert_eq!(text(&gateway.message(&question("hi"))), "hello from two", "{why}");
        assert_eq!((first.chats().len(), second.chats().len()), (1, 2), "{why}");
        keys_stay_apart(&[(0, &first), (1, &second)]);
        drop(gateway);
        let notes = ledger(&sandbox);
        assert_eq!(notes.len(), 1, "{notes:?}");
        let told = ["route", "model", "server"].map(|key| notes[0][key].clone());
        assert_eq!(told, [json!("gateway"), json!(name(1)), json!(second.url())]);
    }
}

#[test]
fn after_the_first_word_nobody_else_is_asked() {
    let (first, second) = (broken_off(), Stub::answering("two"));
    let mut sandbox = home(&[&first.url(), &second.url()]);
    let gateway = gateway(&mut sandbox, "");
    let answer = gateway.stream(&question("hi"));
    assert!(answer.error.is_some(), "{answer:?}");
    assert_eq!(gateway.ask(&question("hi")).status, 502);
    assert_eq!(second.seen().len(), 0);
}

#[test]
fn where_none_answers_all_are_told() {
    let (wrong, busy) = (refusing(401, "the key secret-2 is wrong"), Stub::raw(passing(429, "too many requests")));
    let mut sandbox = home(&[NOBODY, &wrong.url(), &busy.url()]);
    let gateway = gateway(&mut sandbox, "");
    let reply = gateway.ask(&question("hi")).refusal();
    let said = format!(
        "no answer from the local server at {NOBODY}: connection refused; {}: the local server refused: HTTP 401: the key … is wrong; \
         {}: the local server refused: HTTP 429: too many requests",
        wrong.url(),
        busy.url()
    );
    // The busy one may answer later.
    assert_eq!(reply, (503, true, "api_error".into(), said));
    keys_stay_apart(&[(1, &wrong), (2, &busy)]);
}

#[test]
fn a_larger_context_is_better_than_less_of_the_request() {
    let (instructions, request) = long_request();
    // The second one cannot hold it either.
    let (first, second, third) = (with_context(4000, "one"), with_context(5000, "two"), with_context(64_000, "three"));
    let mut sandbox = home(&[&first.url(), &second.url(), &third.url()]);
    let gateway = gateway(&mut sandbox, &line(2, &third, "cannot hold the conversation"));
    assert_eq!(text(&gateway.message(&request)), "three");
    assert_eq!((second.chats().len(), third.chats().len()), (0, 2));
    assert_eq!(third.chats()[0].json()["messages"][0]["content"], instructions);
    // What the first one can hold is its own again.
    assert_eq!(text(&gateway.message(&question("hi"))), "one");
    assert_eq!(third.chats().len(), 2);
}

#[test]
fn where_nobody_has_room_the_first_gets_less_of_it() {
    let (_, request) = long_request();
    let (first, second) = (with_context(4000, "one"), with_context(4500, "two"));
    let lean = "claude-failover: warning: the whole request does not fit the local model's context of 4000 tokens: short instructions \
                and fewer tools\n";
    let mut sandbox = home(&[&first.url(), &second.url()]);
    assert_eq!(text(&gateway(&mut sandbox, lean).message(&request)), "one");
    assert_eq!(second.chats().len(), 0);
    // One that has room, as the user says, and is away.
    let mut sandbox = home(&[&first.url(), NOBODY]);
    sandbox.set("LOCAL_LLM_CONTEXT_2", "100000");
    assert_eq!(text(&gateway(&mut sandbox, lean).message(&request)), "one");
}

/// Claude Code shortens a conversation by these words.
#[test]
fn a_prompt_that_nobody_can_hold_is_too_long() {
    let request = question(&"word ".repeat(20_000));
    let first = with_context(4000, "one");
    for second in [with_context(5000, "two"), refusing(401, "wrong key")] {
        let mut sandbox = home(&[&first.url(), &second.url()]);
        let gateway = gateway(&mut sandbox, "");
        let (status, _, kind, message) = gateway.refusal(&request);
        assert_eq!((status, kind.as_str()), (400, "invalid_request_error"));
        assert!(message.starts_with("prompt is too long: "), "{message}");
    }
}

#[test]
fn the_small_model_answers_for_haiku_and_the_main_one_stands_in() {
    let stub = Stub::answering("yes");
    let mut sandbox = home(&[&stub.url()]);
    sandbox.set("LOCAL_LLM_SMALL_MODEL", "small");
    let of = |model: &str| with(question("hi"), json!({"model": model}));
    {
        let gateway = gateway(&mut sandbox, "");
        for (asked, sent) in [("claude-haiku-4-5", "small"), ("claude-opus-5-5", "model-1"), ("small", "small")] {
            assert_eq!(gateway.ask(&of(asked)).status, 200);
            assert_eq!(stub.chats().last().unwrap().json()["model"], sent, "{asked}");
        }
    }
    // It cannot hold the question, and nobody knows whether the main one can.
    let message = "prompt is too long: 9000 tokens exceed the context size of 2000";
    let small = refusing_to(400, message, |question| question["model"] == "small");
    sandbox.set("LOCAL_LLM_URL", small.url());
    {
        let gateway = gateway(&mut sandbox, "");
        let (instructions, request) = long_request();
        assert_eq!(gateway.ask(&with(request, json!({"model": "haiku"}))).status, 200);
        let asked = small.chats().last().unwrap().json();
        assert_eq!([&asked["model"], &asked["messages"][0]["content"]], ["model-1", instructions.as_str()]);
    }
    // The server has no such model.
    let stub = refusing_to(404, "model 'small' not found", |question| question["model"] == "small");
    sandbox.set("LOCAL_LLM_URL", stub.url());
    let gateway = gateway(&mut sandbox, "");
    assert_eq!(gateway.ask(&of("claude-haiku-4-5")).status, 200);
    assert_eq!(stub.chats().last().unwrap().json()["model"], "model-1");
}
