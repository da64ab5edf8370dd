//! Whatever comes in, stdout in the JSON formats is whole lines, and each turn ends with one result.

use std::ffi::OsStr;
use std::thread;

use serde_json::{Value, json};

use crate::answer::{Dice, local};
use crate::quirks::mutate;
use crate::support::Output;
use crate::support::stub::{Stub, completion, sse};

/// The messages on stdout, each checked to be a whole line that is an object and begins with its type.
fn messages(output: &Output) -> Vec<Value> {
    let out = std::str::from_utf8(&output.stdout).unwrap_or_else(|error| panic!("{error} in {:?}", output.stdout));
    assert!(out.is_empty() || out.ends_with('\n'), "half a line: {out:?}");
    let message = |line: &str| {
        assert!(line.starts_with("{\"type\":\""), "{line:?}");
        assert!(!line.contains(['\u{2028}', '\u{2029}']), "{line:?}");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    };
    out.split_terminator('\n').map(message).collect()
}

/// What the exit code says must be what the last result says.
fn check_end(messages: &[Value], output: &Output, what: &str) {
    let code = output.code();
    assert!(!output.err().contains("panicked") && (code == 0 || code == 1), "{code} {:?} for {what}", output.err());
    if let Some(result) = messages.iter().rfind(|message| message["type"] == "result") {
        assert_eq!(code, i32::from(result["is_error"] == true), "{result} for {what}");
    }
}

fn of_type<'a>(messages: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    messages.iter().filter(move |message| message["type"] == kind)
}

fn in_parallel(seeds: std::ops::Range<u64>, rounds: usize, test: impl Fn(&mut Dice) + Sync) {
    thread::scope(|scope| {
        for seed in seeds {
            let test = &test;
            scope.spawn(move || {
                let mut dice = Dice(seed);
                (0..rounds).for_each(|_| test(&mut dice));
            });
        }
    });
}

#[test]
fn no_input_line_makes_it_panic_or_hang_or_print_half_a_line() {
    const SNIPPETS: &[&[u8]] = &[
        b"\n",
        b"\r\n",
        b"\0",
        b"\xff",
        b"null",
        b"[]",
        b"5",
        b"{}",
        b"\"",
        b"\\ud800",
        b"\\u2028",
        b"}",
        b"[[[[[[[[",
        b",\"uuid\":\"u\"",
        b",\"shouldQuery\":false",
        b",\"isSynthetic\":true",
        b"\"role\":\"assistant\"",
        b"control_request",
        b"\"type\":\"assistant\"",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"  ",
    ];
    let lines: Vec<String> = [
        json!({"type": "user", "message": {"role": "user", "content": "one"}, "uuid": "a"}),
        json!({"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "image"}]}}),
        json!({"type": "user", "message": {"role": "user", "content": "three"}}),
        json!({"type": "user", "message": {"role": "user", "content": "  "}}),
        json!({"type": "control_request", "request_id": "r", "request": {"subtype": "initialize", "systemPrompt": ["x"]}}),
        json!({"type": "control_request", "request_id": 7, "request": {"subtype": "interrupt"}}),
        json!({"type": "control_request", "request_id": "r", "request": {"subtype": "get_context_usage"}}),
        json!({"type": "control_request", "request_id": "r", "request": {"subtype": "set_permission_mode", "mode": "plan"}}),
        json!({"type": "control_request", "request_id": "r", "request": {"subtype": "end_session"}}),
        json!({"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": "said"}]}}),
        json!({"type": "keep_alive"}),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    let stub = Stub::answering("an answer");
    let sandbox = local(&stub.url());
    in_parallel(0..4, 60, |dice| {
        let mut input = Vec::new();
        for _ in 0..1 + dice.roll(5) {
            input.extend_from_slice(lines[dice.roll(lines.len())].as_bytes());
            input.push(b'\n');
        }
        for _ in 0..dice.roll(2) {
            mutate(&mut input, dice, SNIPPETS);
        }
        let args = ["-p", "--verbose", "--input-format=stream-json", "--output-format=stream-json"];
        let more: &[&str] = [&["--replay-user-messages"][..], &["--include-partial-messages"], &[]][dice.roll(3)];
        let output = sandbox.cmd("claude").args(&args).args(more).stdin(&input).run();
        let what = String::from_utf8_lossy(&input);
        let messages = messages(&output);
        let (begun, ended) = (of_type(&messages, "system"), of_type(&messages, "result"));
        let begun = begun.filter(|message| message["subtype"] == "init").count();
        // A line that cannot be read ends the process in the middle of a turn, as it does with the real CLI.
        let unread = usize::from(output.err().starts_with("Error"));
        assert!((begun - unread.min(begun)..=begun).contains(&ended.count()), "{messages:?} for {what}");
        if unread == 0 {
            check_end(&messages, &output, &what);
        }
    });
    assert!(stub.chats().len() > 40, "many of them are answered: {}", stub.chats().len());
}

#[test]
fn no_server_stream_makes_it_print_half_a_line_or_two_results() {
    const SNIPPETS: &[&[u8]] = &[
        b"\r",
        b"\n\n",
        b"\0",
        b"\xff\xfe",
        b"data:",
        b"data: [DONE]\n\n",
        b"data: {}\n\n",
        b"\"",
        b"}",
        b"\\ud800",
        b"<think>",
        b"</think>",
        b": ping\n\n",
        b"\"usage\":{\"prompt_tokens\":-1}",
        b"\"usage\":7",
        b"\xe2\x80\xa9",
        b"\"error\":\"no\"",
    ];
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let events =
        completion("<think>hm</think> one\u{2028} two").replace("data: [DONE]", &format!("data: {usage}\n\ndata: [DONE]"));
    let good = sse(&events).into_bytes();
    let sandbox = local("");
    in_parallel(0..4, 60, |dice| {
        let mut bytes = good.clone();
        for _ in 0..1 + dice.roll(3) {
            mutate(&mut bytes, dice, SNIPPETS);
        }
        let stub = Stub::raw(bytes.clone());
        let args = ["-p", "q", "--verbose", "--output-format=stream-json", "--include-partial-messages"];
        let cmd = sandbox.cmd("claude").args(&args).env("LOCAL_LLM_URL", stub.url()).env("LLM_START_TIMEOUT", "1");
        let output = cmd.env("LOCAL_LLM_IDLE_TIMEOUT", "5").run();
        let what = String::from_utf8_lossy(&bytes);
        let messages = messages(&output);
        check_end(&messages, &output, &what);
        assert_eq!(messages[0]["subtype"], "init", "{what}");
        assert_eq!(of_type(&messages, "result").count(), 1, "{what}");
        assert_eq!(messages.last().map(|last| &last["type"]), Some(&json!("result")), "{what}");
        let events = || of_type(&messages, "stream_event").map(|message| &message["event"]);
        let count = |kind: &str| events().filter(|event| event["type"] == kind).count();
        assert_eq!(count("message_start"), count("message_stop"), "{what}");
        let result = &messages[messages.len() - 1];
        if result["is_error"] == false {
            let said: String = events().filter_map(|event| event["delta"]["text"].as_str()).collect();
            let whole = result["result"].as_str().unwrap();
            assert!(said.ends_with(whole), "{said:?} {whole:?} for {what}");
            let told = of_type(&messages, "assistant").map(|message| &message["message"]["content"][0]["text"]);
            assert_eq!(told.collect::<Vec<_>>(), [whole], "{what}");
        }
    });
}

#[test]
fn no_command_line_makes_it_print_half_a_line() {
    const WORDS: &[&[u8]] = &[
        b"-p",
        b"hi",
        b"--output-format",
        b"json",
        b"stream-json",
        b"text",
        b"--verbose",
        b"--include-partial-messages",
        b"--input-format",
        b"--replay-user-messages",
        b"--json-schema",
        b"{}",
        b"{\"type\":\"object\"}",
        b"{\"type\":7}",
        b"nope",
        b"--resume",
        b"-c",
        b"--continue",
        b"--fork-session",
        b"--session-id",
        b"6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        b"--name",
        b"a name",
        b"--no-session-persistence",
        b"--max-turns",
        b"1",
        b"--permission-mode",
        b"plan",
        b"--model",
        b"--allowedTools",
        b"",
        b"\xff",
        b"-pc",
        b"--",
        b"--output-format=json",
        b"--output-format=stream-json",
        b"--input-format=stream-json",
    ];
    let stub = Stub::answering("{\"a\": 1}");
    let sandbox = local(&stub.url());
    in_parallel(0..4, 80, |dice| {
        let args: Vec<&OsStr> =
            (0..2 + dice.roll(8)).map(|_| std::os::unix::ffi::OsStrExt::from_bytes(dice.pick(WORDS))).collect();
        let line = json!({"type": "user", "message": {"role": "user", "content": "hi"}}).to_string();
        let output = sandbox.cmd("claude").args(&args).stdin(line).run();
        let what = format!("{args:?}");
        let out = output.out();
        assert!(!output.err().contains("panicked"), "{:?} for {what}", output.err());
        if out.starts_with("{\"type\"") {
            check_end(&messages(&output), &output, &what);
        } else if out.starts_with('[') {
            let array: Vec<Value> = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out} for {what}"));
            check_end(&array, &output, &what);
        } else if out.is_empty() {
            assert!(output.code() == 1 && !output.err().is_empty() || output.code() == 0, "{what}");
        } else {
            assert!(["{\"a\": 1}\n", "{\"a\":1}\n"].contains(&out.as_str()) && output.code() == 0, "{out:?} for {what}");
        }
    });
    assert!(stub.chats().len() > 40, "many of them are answered: {}", stub.chats().len());
}
