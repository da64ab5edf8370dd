//! The settings, the switch and the status.

use serde_json::{Value, json};

use super::{NOBODY, holds_no_key, home, name, with_context};
use crate::support::Sandbox;
use crate::support::stub::Stub;

/// What it shows as JSON, and what it says on stderr.
fn status(sandbox: &Sandbox) -> (Value, String) {
    let output = sandbox.cmd("llm-failover").args(&["status", "--json"]).run();
    let as_text = sandbox.cmd("llm-failover").arg("status").run();
    assert_eq!((output.code(), as_text.code()), (0, 0));
    assert_eq!(output.err(), as_text.err());
    holds_no_key(&(output.out() + &output.err() + &as_text.out()));
    (serde_json::from_str(&output.out()).unwrap(), output.err())
}

#[test]
fn the_status_shows_each_link() {
    let (first, third) = (with_context(2000, "one"), Stub::answering("three"));
    let secret = third.url().replace("http://", "http://me:secret-x@") + "?key=secret-y";
    let mut sandbox = home(&[&first.url(), NOBODY, &secret]);
    sandbox.set("LOCAL_LLM_CONTEXT_2", "7000");
    sandbox.set("LOCAL_LLM_SMALL_MODEL", "small");
    let (shown, err) = status(&sandbox);
    let link = |at: usize, url: &str, state: &str, context: Value| json!({"url": url, "model": name(at), "state": state, "detail": null, "context": context, "clear_text": false});
    let links = [
        link(0, &first.url(), "up", json!(2000)),
        link(1, NOBODY, "down", json!(7000)),
        link(2, &third.url(), "up", json!(null)),
    ];
    assert_eq!(shown["links"], json!(links));
    assert_eq!((&shown["small_model"], err.as_str()), (&json!("small"), ""));
    let text = sandbox.cmd("llm-failover").arg("status").run().out();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("model")).collect();
    let expected = [
        "model: model-1".to_string(),
        "small model: small".to_string(),
        format!("local model 1: model-1 at {}: answers, context of 2000 tokens", first.url()),
        format!("local model 2: model-2 at {NOBODY}: down, context of 7000 tokens"),
        format!("local model 3: model-3 at {}: answers", third.url()),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_gap_ends_the_chain_and_is_told() {
    let mut sandbox = home(&[NOBODY]);
    sandbox.set("LOCAL_LLM_URL_3", NOBODY);
    sandbox.set("LOCAL_LLM_CONTEXT_4", "7");
    let file = "LOCAL_LLM_MODEL_2=m\nLOCAL_LLM_URL_1=x\nLOCAL_LLM_URL_10=x\nLOCAL_LLM_RETRIES_2=3\n";
    sandbox.write(".config/claude-failover/config.env", file);
    let (shown, err) = status(&sandbox);
    assert_eq!(shown["links"].as_array().unwrap().len(), 1);
    let unknown = ["LOCAL_LLM_URL_1", "LOCAL_LLM_URL_10", "LOCAL_LLM_RETRIES_2"]
        .map(|name| format!("llm-failover: warning: `{name}` in the settings file is no setting\n"));
    let unused = "llm-failover: warning: without `LOCAL_LLM_URL_2` these have no effect: `LOCAL_LLM_MODEL_2`, `LOCAL_LLM_URL_3`, \
                  `LOCAL_LLM_CONTEXT_4`\n";
    assert_eq!(err, unused.to_string() + &unknown.concat());
}

#[test]
fn a_link_that_cannot_be_used_disturbs_no_call() {
    let (first, third) = (Stub::answering("one"), Stub::answering("three"));
    let sandbox = home(&[&first.url(), "nonsense", &third.url()]);
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "one\n", "");
    let (shown, err) = status(&sandbox);
    assert_eq!(shown["links"].as_array().unwrap().len(), 2);
    let expected = "llm-failover: warning: LOCAL_LLM_URL_2 is `nonsense`: expected the http:// or https:// address of a chat \
                    completions endpoint: this local model is not asked\n";
    assert_eq!(err, expected);
}

/// Nobody is at these addresses (RFC 2606).
#[test]
fn clear_text_to_another_machine_is_warned_of_once() {
    let first = Stub::answering("one");
    let mut sandbox = home(&[&first.url(), "http://host.invalid:1", "https://tls.invalid", "http://other.invalid/v1"]);
    let warning = "llm-failover: warning: prompts and answers go to `http://host.invalid:1/v1/chat/completions`, \
                   `http://other.invalid/v1/chat/completions` in clear text, and the key with them; use https, or set \
                   LOCAL_LLM_INSECURE=1 if nobody else is on that net\n";
    let (shown, err) = status(&sandbox);
    assert_eq!(err, warning);
    let open: Vec<&Value> = shown["links"].as_array().unwrap().iter().map(|link| &link["clear_text"]).collect();
    assert_eq!(open, [false, true, false, true]);
    for word in ["local", "auto"] {
        sandbox.cmd("llm-failover").args(&[word, "-q"]).run().expect(0, "", warning);
    }
    // Calls say nothing of it.
    sandbox.switch("local");
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "one\n", "");
    sandbox.set("LOCAL_LLM_INSECURE", "1");
    assert_eq!(status(&sandbox).1, "");
    sandbox.cmd("llm-failover").args(&["auto", "-q"]).run().expect(0, "", "");
}

#[test]
fn the_flip_succeeds_as_long_as_one_answers() {
    let second = Stub::answering("two");
    let sandbox = home(&[NOBODY, &second.url()]);
    sandbox.switch("claude");
    let place = |url: &str| url.replace("/v1/chat/completions", "");
    let warning = format!(
        "llm-failover: warning: the local server did not come up: nothing answers at {}, and that server is not ours to start \
         (start it yourself, or check LOCAL_LLM_URL and LLM_SUPERVISOR); `model-2` at {} answers in its place\n",
        place(NOBODY),
        place(&second.url())
    );
    sandbox.cmd("llm-failover").arg("local").run().expect(0, "agent backend now: local\n", &warning);
    assert_eq!(sandbox.switch_word(), "local\n");
    // Starting is about the first one alone.
    assert_eq!(sandbox.cmd("llm-failover").arg("start").run().code(), 3);

    let sandbox = home(&[NOBODY, NOBODY]);
    sandbox.switch("claude");
    assert_eq!(sandbox.cmd("llm-failover").arg("local").run().code(), 3);
    assert_eq!(sandbox.switch_word(), "claude");
}
