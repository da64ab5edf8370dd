//! The first link is our own server, or stands in for Claude.

use super::{holds_no_key, key, name, told};
use crate::support::life::Life;
use crate::support::play::{SAID, Stage, answered, refused};
use crate::support::stub::{Stub, passing};

/// It is started first, and the next one is asked only if that failed.
#[test]
fn our_own_server_is_started_before_another_one_is_asked() {
    let second = Stub::answering("two");
    for (mode, answer) in [("ok", "echo: hi\n"), ("dies", "two\n")] {
        let mut life = Life::new(mode);
        life.switch("local");
        life.set("LOCAL_LLM_URL_2", second.url());
        life.set("LOCAL_LLM_MODEL_2", name(1));
        life.set("LOCAL_LLM_API_KEY_2", key(1));
        let output = life.cmd("claude").args(&["-p", "hi"]).limit(60).run();
        assert_eq!((output.code(), output.out().as_str()), (0, answer), "{mode}: {}", output.err());
        let said = told("claude", 1, &second.url(), "cannot be reached");
        assert_eq!(output.err().contains(&said), mode == "dies", "{mode}: {}", output.err());
        holds_no_key(&output.err());
        // What is not ours goes on running.
        life.cmd("llm-failover").args(&["claude", "-q"]).run();
        assert_eq!(life.cmd("llm-failover").arg("start").run().code(), if mode == "ok" { 0 } else { 3 });
        life.cmd("llm-failover").args(&["stop", "-q"]).run();
    }
    assert_eq!(second.chats().len(), 1);
}

#[test]
fn where_claude_is_away_the_next_one_answers_too() {
    let (first, second) = (Stub::raw(passing(429, "too many requests")), Stub::answering("two"));
    let mut stage = Stage::new(&first, &refused());
    stage.set("LOCAL_LLM_RETRIES", "0");
    stage.set("LOCAL_LLM_URL_2", second.url());
    stage.set("LOCAL_LLM_MODEL_2", name(1));
    let said = told("claude", 1, &second.url(), "is busy") + SAID;
    stage.cmd("claude").args(&["-p", "hi"]).run().expect(0, "two\n", &said);
    assert_eq!(second.chats().len(), 1);
}

#[test]
fn a_link_that_cannot_be_used_is_nothing_to_claude() {
    let mut stage = Stage::new(&Stub::answering("one"), &answered("claude"));
    stage.set("LOCAL_LLM_URL_2", "nonsense");
    stage.set("LOCAL_LLM_API_KEY_2", "no key");
    stage.cmd("claude").args(&["-p", "hi"]).run().expect(0, "claude\n", "");
}
