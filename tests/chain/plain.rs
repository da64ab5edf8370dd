//! The plain answer.

use serde_json::{Value, json};

use super::{NOBODY, broken_off, ended, home, keys_stay_apart, ledger, obstacles, refusing, refusing_to, told, with_context};
use crate::support::stub::{Stub, passing};

#[test]
fn the_next_one_answers_where_the_first_cannot() {
    for (first, why) in obstacles() {
        let second = Stub::answering("hello from two");
        let sandbox = home(&[&first.url(), &second.url()]);
        let output = sandbox.cmd("claude").args(&["-p", "hi"]).run();
        output.expect(0, "hello from two\n", &told("claude", 1, &second.url(), why));
        keys_stay_apart(&[(0, &first), (1, &second)]);
        assert_eq!((first.chats().len(), second.chats().len()), (1, 1), "{why}");
        assert_eq!(second.chats()[0].json()["model"], "model-2");
        let ledger = ledger(&sandbox);
        assert_eq!((&ledger[0]["model"], &ledger[0]["server"]), (&json!("model-2"), &json!(second.url())));
    }
}

#[test]
fn the_first_answers_and_nobody_else_is_asked() {
    let (first, second) = (Stub::answering("one"), Stub::answering("two"));
    let sandbox = home(&[&first.url(), &second.url()]);
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "one\n", "");
    assert_eq!(second.seen().len(), 0);
    keys_stay_apart(&[(0, &first)]);
    let entry = &ledger(&sandbox)[0];
    assert_eq!((&entry["model"], entry.get("server")), (&json!("model-1"), None));
}

#[test]
fn after_the_first_word_nobody_else_is_asked() {
    for format in [&["--output-format", "text"][..], &["--output-format", "json"], STREAM] {
        let (first, second) = (broken_off(), Stub::answering("two"));
        let sandbox = home(&[&first.url(), &second.url()]);
        let output = sandbox.cmd("claude").args(&["-p", "hi"]).args(format).run();
        assert_eq!(output.code(), 1, "{}", output.out());
        assert!(output.out().contains("the local answer was cut short"), "{}", output.out());
        assert_eq!(second.seen().len(), 0);
    }
}

const STREAM: &[&str] = &["--output-format", "stream-json", "--verbose", "--include-partial-messages"];

#[test]
fn the_answer_names_the_model_that_gave_it() {
    let second = Stub::answering("two");
    let sandbox = home(&[NOBODY, &second.url()]);
    let output = sandbox.cmd("claude").args(&["-p", "hi", "--output-format", "stream-json", "--verbose"]).run();
    let lines: Vec<Value> = output.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = lines.last().unwrap();
    assert_eq!((output.code(), &result["result"]), (0, &json!("two")));
    assert_eq!(result["modelUsage"].as_object().unwrap().keys().collect::<Vec<_>>(), ["model-2"]);
    let answer = lines.iter().find(|line| line["type"] == "assistant").unwrap();
    assert!(answer["message"]["model"].as_str().is_some_and(|model| model.starts_with("model-2")), "{answer}");
    assert_eq!(output.err(), told("claude", 1, &second.url(), "cannot be reached"));
}

#[test]
fn a_chain_of_three_is_asked_to_its_end() {
    let (busy, third) = (Stub::raw(passing(429, "too many requests")), Stub::answering("three"));
    let sandbox = home(&[NOBODY, &busy.url(), &third.url()]);
    let said = told("claude", 2, &third.url(), "cannot be reached");
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "three\n", &said);
    keys_stay_apart(&[(1, &busy), (2, &third)]);
    sandbox.cmd("claude").args(&["-p", "hi"]).env("LLM_FAILOVER_QUIET", "1").run().expect(0, "three\n", "");
}

#[test]
fn where_none_answers_all_are_told_and_no_key_is() {
    let (wrong, busy) = (refusing(401, "the key secret-2 is wrong"), Stub::raw(passing(429, "too many requests")));
    let sandbox = home(&[NOBODY, &wrong.url(), &busy.url()]);
    let said = format!(
        "no answer from the local server at {NOBODY}: connection refused; {}: the local server refused: HTTP 401: the key … is wrong; \
         {}: the local server refused: HTTP 429: too many requests · see `llm-failover status`; check LOCAL_LLM_URL",
        wrong.url(),
        busy.url()
    );
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect_api_error(&said, "");
}

/// What is wrong with the question is wrong everywhere.
#[test]
fn a_request_that_is_refused_goes_nowhere_else() {
    let (first, second) = (refusing(400, "no such thing"), Stub::answering("two"));
    let sandbox = home(&[&first.url(), &second.url()]);
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect_api_error("the local server refused: HTTP 400: no such thing", "");
    assert_eq!(second.seen().len(), 0);
}

#[test]
fn what_the_first_cannot_hold_goes_to_the_first_that_can() {
    let long = "word ".repeat(6000);
    // Told by the list of models, and by the refusal alone.
    for first in [with_context(2000, "one"), too_long_without_a_list()] {
        let (second, third) = (with_context(4000, "two"), with_context(32_000, "three"));
        let sandbox = home(&[&first.url(), &second.url(), &third.url()]);
        let said = told("claude", 2, &third.url(), "cannot hold the conversation");
        sandbox.cmd("claude").args(&["-p", &long]).run().expect(0, "three\n", &said);
        assert_eq!(second.chats().len(), 0);
        assert_eq!(third.chats()[0].json()["messages"][0]["content"], long);
        // Another question is the first one's again.
        let short = sandbox.cmd("claude").args(&["-p", "hi"]).env("LOCAL_LLM_CONTEXT", "2000").run();
        assert!(short.err().is_empty() && third.chats().len() == 1, "{}", short.err());
    }
}

fn too_long_without_a_list() -> Stub {
    let message = "prompt is too long: 7000 tokens exceed the context size of 2000";
    refusing_to(400, message, |question| question.to_string().len() > 2000 * 4)
}

#[test]
fn a_conversation_loses_its_beginning_only_where_nobody_can_hold_it() {
    let (first, second) = (with_context(2000, "one"), with_context(2100, "two"));
    let sandbox = home(&[&first.url(), &second.url()]);
    let id = "574f7174-d3e1-4f20-89ae-6a109bd3d1b3";
    let ask = |args: &[&str], prompt: &str| sandbox.cmd("claude").args(&["-p", prompt]).args(args).run();
    ask(&["--session-id", id], &"first ".repeat(600)).expect(0, "one\n", "");
    // Nobody has room for all of it, so that the first one gets the end.
    let output = ask(&["--resume", id], &"second ".repeat(900));
    assert_eq!((output.code(), output.out().as_str()), (0, "one\n"), "{}", output.err());
    assert!(output.err().contains("its oldest part is left out"), "{}", output.err());
    assert_eq!(second.chats().len(), 0);
}

#[test]
fn one_that_has_room_and_is_away_sends_the_question_back() {
    let first = with_context(2000, "one");
    let sandbox = home(&[&first.url(), NOBODY]);
    let id = "574f7174-d3e1-4f20-89ae-6a109bd3d1b3";
    let ask = |args: &[&str], prompt: &str| {
        let cmd = sandbox.cmd("claude").args(&["-p", prompt]).args(args);
        cmd.env("LOCAL_LLM_CONTEXT_2", "100000").run()
    };
    ask(&["--session-id", id], &"first ".repeat(600)).expect(0, "one\n", "");
    let warning =
        "claude: warning: the conversation does not fit the local model's context of 2000 tokens; its oldest part is left out\n";
    ask(&["--resume", id], &"second ".repeat(900)).expect(0, "one\n", warning);
}

#[test]
fn each_link_learns_what_it_does_not_take_for_itself() {
    let second = refusing_to(400, "stream_options is not supported", |question| question.get("stream_options").is_some());
    let sandbox = home(&[NOBODY, &second.url()]);
    let said = told("claude", 1, &second.url(), "cannot be reached");
    for asked in [2, 3] {
        sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "yes\n", &said);
        assert_eq!(second.chats().len(), asked);
    }
}

#[test]
fn a_session_does_not_wait_for_one_that_has_just_failed() {
    let (first, second) = (refusing(500, "broken"), Stub::raw(ended("two")));
    let sandbox = home(&[&first.url(), &second.url()]);
    let turn = |text: &str| json!({"type": "user", "message": {"role": "user", "content": text}}).to_string() + "\n";
    let args = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
    let cmd = sandbox.cmd("claude").args(&args).stdin(turn("a") + &turn("b") + &turn("c"));
    let output = cmd.run();
    assert_eq!(output.code(), 0, "{}", output.out());
    assert_eq!(first.chats().len(), 1);
    assert_eq!(output.err(), told("claude", 1, &second.url(), "fails"));
}
