//! What a local server refuses, and what becomes of a plain answer then. `gateway/refusals.rs` shows the same for the gateway, and
//! `src/completions/failure/tests.rs` has the words of each server.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::answer::{ended, local};
use crate::support::stub::{Request, Stub, completion, end, error_event, json as json_answer, passing, piece, sse};
use crate::support::{Output, Sandbox, until};

const LATER: &str = " · run it again later, or raise LOCAL_LLM_RETRIES to wait longer";

fn ask(stub: &Stub) -> Output {
    local(&stub.url()).cmd("claude").args(&["-p", "q"]).run()
}

fn chats(stub: &Stub) -> Vec<Value> {
    stub.chats().iter().map(Request::question).collect()
}

#[test]
fn a_refusal_that_passes_is_waited_out() {
    for (status, message) in [
        (503, "server busy, please try again.  maximum pending requests exceeded"),
        (429, "slow down"),
        (502, "Bad Gateway"),
        (504, ""),
        (529, "overloaded"),
        (500, "Failed to parse input at pos 12: </tool_call>"),
        (500, "The model produced output that does not match the expected peg-native format"),
    ] {
        let stub = Stub::refusing(passing(status, message), |_, before| before < 2);
        ask(&stub).expect(0, "yes\n", "");
        let chats = chats(&stub);
        assert_eq!(chats.len(), 3, "{status}");
        assert!(chats.iter().all(|chat| *chat == chats[0]), "{chats:?}");
    }
    // Without a word on when: after a second.
    let stub = Stub::refusing(json_answer(503, "busy"), |_, before| before < 1);
    ask(&stub).expect(0, "yes\n", "");
    assert_eq!(stub.chats().len(), 2);
}

#[test]
fn the_key_is_in_no_message() {
    let says = "wrong key k3y-of-the-server";
    let table = [
        (json_answer(401, says), "the local server refused: HTTP 401: wrong key …"),
        (error_event(says), "the local answer was cut short: wrong key …"),
        (json_answer(200, &json!({ "error": says }).to_string()), "the local answer was cut short: wrong key …"),
    ];
    for (answer, expected) in table {
        let stub = Stub::raw(answer);
        let mut sandbox = local(&stub.url());
        sandbox.set("LOCAL_LLM_API_KEY", "k3y-of-the-server");
        let output = sandbox.cmd("claude").args(&["-p", "q", "--output-format", "json"]).run();
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(result["result"].as_str().unwrap().contains(expected), "{result}");
        assert!(!format!("{output:?}").contains("k3y"), "{output:?}");
    }
}

#[test]
fn a_refusal_that_does_not_pass_is_told_in_the_end() {
    let stub = Stub::refusing(passing(503, "busy"), |_, _| true);
    ask(&stub).expect_api_error(&format!("the local server refused: HTTP 503: busy{LATER}"), "");
    assert_eq!(stub.chats().len(), 5);
    for (retries, asked) in [("0", 1), ("2", 3)] {
        let stub = Stub::refusing(passing(429, "busy"), |_, _| true);
        let mut sandbox = local(&stub.url());
        sandbox.set("LOCAL_LLM_RETRIES", retries);
        let output = sandbox.cmd("claude").args(&["-p", "q", "--output-format", "json"]).run();
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.code(), &result["api_error_status"]), (1, &json!(429)), "{result}");
        assert_eq!(stub.chats().len(), asked);
    }
    // A pause that is longer than all of ours is the caller's affair.
    for when in ["3600", "Fri, 01 Jan 2100 00:00:00 GMT"] {
        let refusal = passing(503, "busy").replace("Retry-After: 0", &format!("Retry-After: {when}"));
        let stub = Stub::refusing(refusal, |_, _| true);
        ask(&stub).expect_api_error(&format!("the local server refused: HTTP 503: busy{LATER}"), "");
        assert_eq!(stub.chats().len(), 1, "{when}");
    }
    let mut sandbox = local("http://127.0.0.1:9");
    sandbox.set("LOCAL_LLM_RETRIES", "many");
    let output = sandbox.cmd("claude").args(&["-p", "q"]).run();
    assert!(output.err().contains("LOCAL_LLM_RETRIES is `many`: expected a number of retries"), "{output:?}");
}

/// A server that wants to be left alone for as long as is waited at all.
fn in_a_pause() -> Stub {
    Stub::refusing(passing(503, "busy").replace("Retry-After: 0", "Retry-After: 15"), |_, _| true)
}

fn begin(sandbox: &Sandbox) -> Child {
    let mut cmd = sandbox.cmd("claude").args(&["-p", "q"]);
    cmd.command().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    cmd.start()
}

#[test]
fn a_pause_ends_with_the_wish_for_an_answer() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let stub = in_a_pause();
        let sandbox = local(&stub.url());
        let child = begin(&sandbox);
        until(10, "it asks", || stub.chats().len() == 1);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let (code, out, _) = ended(child);
        assert!(code != 0 && !out.contains("yes"), "{code} {out}");
        assert_eq!(stub.chats().len(), 1);
    }
    let stub = in_a_pause();
    let sandbox = local(&stub.url());
    let child = begin(&sandbox);
    until(10, "it asks", || stub.chats().len() == 1);
    sandbox.switch("claude");
    let (code, out, err) = ended(child);
    let said = "API Error: the switch went back to claude before this call was answered · run it again\n";
    assert_eq!((code, out.as_str(), err.as_str()), (1, said, ""));
    assert_eq!(stub.chats().len(), 1);
}

/// Each part that a server may not take: the refusal, whether a request has that part, and the options that put it there.
struct Part {
    refusal: (u16, &'static str),
    is_in: fn(&Value) -> bool,
    options: &'static [&'static str],
    answer: &'static str,
}

fn has(chat: &Value, key: &str) -> bool {
    chat.get(key).is_some()
}

fn parts() -> Vec<Part> {
    const SCHEMA: &[&str] = &["--json-schema", r#"{"type":"string"}"#];
    vec![
        Part {
            refusal: (400, "Unrecognized request argument supplied: stream_options"),
            is_in: |chat| has(chat, "stream_options"),
            options: &[],
            answer: "yes",
        },
        Part {
            refusal: (500, "Jinja Exception: System role not supported"),
            is_in: |chat| chat["messages"][0]["role"] == "system",
            options: &["--system-prompt", "Be brief."],
            answer: "yes",
        },
        Part {
            refusal: (400, "'response_format.type' must be 'text'"),
            is_in: |chat| has(chat, "response_format"),
            options: SCHEMA,
            answer: "\"yes\"",
        },
        Part {
            refusal: (400, "Failed to initialize samplers: failed to parse grammar"),
            is_in: |chat| has(chat, "response_format"),
            options: SCHEMA,
            answer: "\"yes\"",
        },
        Part {
            refusal: (400, "Unsupported value: 'temperature' does not support 0.2 with this model."),
            is_in: |chat| has(chat, "temperature"),
            options: &[],
            answer: "yes",
        },
        Part {
            refusal: (400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
            is_in: |chat| has(chat, "max_tokens"),
            options: &[],
            answer: "yes",
        },
    ]
}

#[test]
fn what_a_server_does_not_take_is_left_out_and_remembered() {
    for Part { refusal: (status, message), is_in, options, answer } in parts() {
        let refusal = json_answer(status, &json!({"error": message}).to_string());
        let stub = Stub::new(move |request, stream| {
            let reply = if is_in(&request.json()) { refusal.clone() } else { sse(&completion(answer)) };
            let _ = stream.write_all(reply.as_bytes());
        });
        let sandbox = local(&stub.url());
        let ask = || sandbox.cmd("claude").args(&["-p", "q"]).args(options).run();
        let first = ask();
        assert_eq!((first.code(), first.err()), (0, String::new()), "{message}: {first:?}");
        assert_eq!(stub.chats().len(), 2, "{message}");
        // The next process knows it.
        assert_eq!(ask().code(), 0, "{message}");
        assert_eq!(stub.chats().len(), 3, "{message}");
        // Until the file is gone; a file that says something else is no obstacle.
        sandbox.write(".local/state/claude-failover/servers.json", "[1");
        assert_eq!(ask().code(), 0, "{message}");
        assert_eq!(stub.chats().len(), 5, "{message}");
        let all = chats(&stub);
        assert!(all[1]["messages"].to_string().contains('q') && all[1] == all[2], "{all:?}");
    }
}

/// A server that refuses it all the same has refused something else.
#[test]
fn what_does_not_help_is_not_remembered() {
    let stub = Stub::refusing(json_answer(400, r#"{"error":"bad stream_options, temperature and more"}"#), |_, _| true);
    let sandbox = local(&stub.url());
    let output = sandbox.cmd("claude").args(&["-p", "q"]).run();
    output.expect_api_error("the local server refused: HTTP 400: bad stream_options, temperature and more", "");
    assert_eq!(stub.chats().len(), 3, "each is left out once");
    let kept = fs::read_to_string(sandbox.path(".local/state/claude-failover/servers.json")).unwrap_or_default();
    assert!(!kept.contains("stream_options") && !kept.contains("temperature"), "{kept}");
}

#[test]
fn what_the_user_adds_is_not_left_out() {
    for refusal in [r#"{"error":"Unsupported parameter: 'min_p'"}"#, r#"{"error":"min_p must be at most 1"}"#] {
        let stub = Stub::refusing(json_answer(400, refusal), |_, _| true);
        let mut sandbox = local(&stub.url());
        sandbox.set("LOCAL_LLM_EXTRA_BODY", r#"{"top_k":5,"min_p":2}"#);
        let output = sandbox.cmd("claude").args(&["-p", "q"]).run();
        let said = output.out();
        assert!(
            said.starts_with("API Error: the local server does not take `min_p` of LOCAL_LLM_EXTRA_BODY: HTTP 400: "),
            "{said}"
        );
        assert!(said.ends_with(" · take `min_p` out of LOCAL_LLM_EXTRA_BODY\n"), "{said}");
        assert_eq!(stub.chats().len(), 1);
    }
}

#[test]
fn an_answer_that_would_be_too_long_is_asked_for_shorter() {
    let refusal = "'max_tokens' or 'max_completion_tokens' is too large: 800. This model's maximum context length is 1024 tokens and \
                   your request has 706 input tokens (800 > 1024 - 706). None";
    for answer in [json_answer(400, &json!({"error": {"message": refusal}}).to_string()), error_event(refusal)] {
        let stub = Stub::refusing(answer, |chat, _| chat["max_tokens"].as_u64().unwrap() > 318);
        ask(&stub).expect(0, "yes\n", "");
        let limits: Vec<Value> = chats(&stub).into_iter().map(|chat| chat["max_tokens"].clone()).collect();
        assert_eq!(limits, [800, 318]);
    }
    // A server whose numbers are not right.
    let stub = Stub::refusing(json_answer(400, r#"{"error":"max_tokens is too large: 800"}"#), |chat, _| {
        chat["max_tokens"].as_u64() > Some(150)
    });
    ask(&stub).expect(0, "yes\n", "");
    let limits: Vec<Value> = chats(&stub).into_iter().map(|chat| chat["max_tokens"].clone()).collect();
    assert_eq!(limits, [800, 400, 200, 100]);
}

#[test]
fn too_long_is_told_in_numbers_wherever_it_is_said() {
    let refusal = "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: \
                   4096). Try to load the model with a larger context length, or provide a shorter input.";
    for answer in [json_answer(400, &json!({ "error": refusal }).to_string()), error_event(refusal)] {
        let stub = Stub::refusing(answer, |_, _| true);
        let said = "Prompt is too long · the conversation of 13055 tokens does not fit the local model's context of 4096\n";
        ask(&stub).expect(1, said, "");
        assert_eq!(stub.chats().len(), 1);
    }
}

#[test]
fn an_empty_answer_is_not_asked_again_word_for_word() {
    for empty in [end("stop"), piece(" \n ") + &end("stop"), piece("<think>Hm.</think>") + &end("stop")] {
        let stub = Stub::refusing(sse(&empty), |_, before| before == 0);
        ask(&stub).expect(0, "yes\n", "");
        let asked: Vec<Value> = chats(&stub).into_iter().map(|chat| chat["messages"].clone()).collect();
        let told = "q\n\nYour last answer was empty: nothing of it has reached the user. Answer now.";
        assert_eq!(asked, [json!([{"role": "user", "content": "q"}]), json!([{"role": "user", "content": told}])]);
        let stub = Stub::refusing(sse(&empty), |_, _| true);
        ask(&stub).expect_api_error("the local model gave an empty answer", "");
        assert_eq!(stub.chats().len(), 2);
    }
}

#[test]
fn nothing_is_asked_again_once_the_caller_has_something() {
    let event = |message: &str| format!("data: {}\n\n", json!({"error": {"message": message}}));
    for message in ["Failed to parse input at pos 12: </tool_call>", "server busy", "Context size has been exceeded."] {
        // Nothing yet: the thinking is not shown.
        let stub = Stub::refusing(sse(&event(message)), |_, before| before == 0);
        let output = ask(&stub);
        let is_too_long = message.starts_with("Context");
        assert_eq!((output.code(), stub.chats().len()), if is_too_long { (1, 1) } else { (0, 2) }, "{message}: {output:?}");
        let broken = || sse(&(piece("half an") + &event(message)));
        let stub = Stub::refusing(broken(), |_, before| before == 0);
        // A pipe gets the text at its end.
        ask(&stub).expect(0, "yes\n", "");
        assert_eq!(stub.chats().len(), 2, "{message}");
        let stub = Stub::refusing(broken(), |_, _| true);
        let sandbox = local(&stub.url());
        sandbox.answers_plainly(&stub.url(), "");
        let pieces = ["-p", "q", "--output-format", "stream-json", "--verbose", "--include-partial-messages"];
        let output = sandbox.cmd("claude").args(&pieces).run();
        let said = format!("API Error: the local answer was cut short: {message}");
        assert!(output.code() == 1 && output.out().contains("half an") && output.out().contains(&said), "{output:?}");
        assert_eq!(stub.chats().len(), 1, "{message}");
    }
}

#[test]
fn an_answer_that_always_breaks_off_is_a_failure() {
    let stub = Stub::refusing(sse(&piece("half an")), |_, _| true);
    let shown = "claude: this much of the answer had come:\nhalf an\n";
    ask(&stub).expect_api_error("the local answer was cut short: the stream ended before its end", shown);
    assert_eq!(stub.chats().len(), 3);
}
