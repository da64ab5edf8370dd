//! What local servers do differently, what they do wrong, and what stands where a server should.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::{Dice, local};
use crate::support::stub::{Request, Stub, completion, end, json as json_answer, piece, sse};
use crate::support::{Output, Sandbox, free_port};

/// One question to `stub`.
fn ask(sandbox: &Sandbox, stub: &Stub) -> Output {
    sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", stub.url()).run()
}

/// One question to a server that answers with these bytes.
fn ask_raw(sandbox: &Sandbox, bytes: impl Into<Vec<u8>>) -> Output {
    ask(sandbox, &Stub::raw(bytes))
}

/// An event with these fields in its only choice.
fn choice(fields: Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [fields] }))
}

fn chunked(events: &str, size: usize) -> Vec<u8> {
    let mut body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n".to_vec();
    for chunk in events.as_bytes().chunks(size) {
        body.extend(format!("{:X}\r\n", chunk.len()).as_bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    body
}

const REFUSED: &str = "the local server refused: ";
const LATER: &str = " · run it again later, or raise LOCAL_LLM_RETRIES to wait longer";
const CUT: &str = "the local answer was cut short: ";
const EMPTY: &str = "the local model gave an empty answer";
const NOT_JSON: &str = "an event is not the JSON of a chat completion";
const NO_COMPLETION: &str = "what the server sent is no chat completion: check LOCAL_LLM_URL";
const BEFORE_END: &str = "the stream ended before its end";

fn unanswered(url: &str, reason: &str) -> String {
    format!("no answer from the local server at {url}: {reason} · see `llm-failover status`; check LOCAL_LLM_URL")
}

/// Expects a failed turn, with what had come of the answer on stderr.
#[track_caller]
fn expect_cut(output: Output, reason: &str, partial: &str) {
    output.expect_api_error(&format!("{CUT}{reason}"), &had_come(partial));
}

fn had_come(partial: &str) -> String {
    let shown = format!("claude: this much of the answer had come:\n{partial}\n");
    if partial.is_empty() { partial.into() } else { shown }
}

/// A home whose calls do not ask again after an answer that breaks off.
fn local_asking_once() -> Sandbox {
    let mut sandbox = local("");
    sandbox.set("LOCAL_LLM_RETRIES", "0");
    sandbox
}

#[test]
fn every_framing_gives_the_same_answer() {
    let events = completion("Hallo schöne 日本 \u{1f600} Welt");
    let crlf = events.replace('\n', "\r\n");
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\n";
    let length = events.len();
    let table: &[(&str, Vec<u8>)] = &[
        ("HTTP/1.0 until the end", sse(&events).into()),
        ("HTTP/1.1 until the end", format!("{close}content-type: text/event-stream\r\n\r\n{events}").into()),
        ("no content type", format!("{close}\r\n{events}").into()),
        ("plain text", format!("{close}Content-Type: text/plain; charset=utf-8\r\n\r\n{events}").into()),
        ("with its length", format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{events}").into()),
        ("with a length that is never reached", format!("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n{events}").into()),
        ("no reason phrase", format!("HTTP/1.1 200\r\nConnection: close\r\n\r\n{events}").into()),
        ("100 first", format!("HTTP/1.1 100 Continue\r\n\r\n{close}\r\n{events}").into()),
        ("one chunk", chunked(&events, usize::MAX)),
        ("chunks of several events", chunked(&events, 150)),
        ("events over several chunks", chunked(&events, 7)),
        ("a byte a chunk", chunked(&events, 1)),
        ("no last chunk", chunked(&events, 40).strip_suffix(b"0\r\n\r\n").unwrap().into()),
        ("CRLF", sse(&crlf).into()),
        ("CRLF in chunks", chunked(&crlf, 3)),
        ("CR", sse(&events.replace('\n', "\r")).into()),
        ("BOM", sse(&format!("\u{feff}{events}")).into()),
        ("no space after the colon", sse(&events.replace("data: ", "data:")).into()),
        ("other fields", sse(&events.replace("data: ", "event: message\nid: 7\nretry: 10\nfoo\ndata: ")).into()),
        ("comments", sse(&events.replace("data: ", ": keepalive 1/2\n\n:\n\ndata: ")).into()),
        ("blank lines", sse(&events.replace("\n\n", "\n\n\n\n")).into()),
        ("events of no data", sse(&events.replace("\n\n", "\n\ndata:\n\n")).into()),
        ("no newline at the end", sse(events.trim_end()).into()),
        ("text after the end", sse(&format!("{events}data: {{junk\n\n")).into()),
        ("JSON over several lines", sse(&events.replace("{\"choices\":", "{\ndata: \"choices\":\ndata: ")).into()),
    ];
    let sandbox = local("");
    for (name, bytes) in table {
        let output = ask_raw(&sandbox, bytes.clone());
        assert_eq!((output.out().as_str(), output.err().as_str()), ("Hallo schöne 日本 \u{1f600} Welt\n", ""), "{name}");
    }
}

#[test]
fn events_may_come_byte_by_byte() {
    let bytes = sse(&completion("schöne 日本"));
    let stub = Stub::new(move |_, stream| {
        let _ = stream.set_nodelay(true);
        for byte in bytes.as_bytes() {
            let _ = stream.write_all(&[*byte]);
            thread::sleep(Duration::from_micros(500));
        }
    });
    ask(&local(""), &stub).expect(0, "schöne 日本\n", "");
}

#[test]
fn the_answer_is_whole_at_done_though_the_connection_stays() {
    let stub = Stub::new(|_, stream| {
        let _ = stream.write_all(chunked(&completion("ok"), 30).strip_suffix(b"0\r\n\r\n").unwrap());
        // Until the client goes: the end of the test would be a time-out otherwise.
        let _ = stream.read(&mut [0]);
    });
    ask(&local(""), &stub).expect(0, "ok\n", "");
}

#[test]
fn every_shape_of_a_chunk_is_read() {
    let usage = "data: {\"object\":\"chat.completion\",\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n";
    let role_only = choice(json!({"index": 0, "finish_reason": null, "delta": {"role": "assistant", "content": null}}));
    let done = "data: [DONE]\n\n";
    let finish = |fields: Value| choice(fields) + done;
    let table: &[(&str, String)] = &[
        ("role only, content null", role_only.clone() + &piece("a") + &piece("b") + &end("stop")),
        ("role in each", {
            let each = |text: &str| choice(json!({"finish_reason": null, "delta": {"role": "assistant", "content": text}}));
            each("a") + &each("b") + &finish(json!({"finish_reason": "stop", "delta": {"role": "assistant"}}))
        }),
        ("usage anywhere", format!("{usage}{}{usage}{}{usage}{}", piece("a"), piece("b"), end("stop"))),
        ("text in the last chunk", piece("a") + &finish(json!({"finish_reason": "stop", "delta": {"content": "b"}}))),
        ("all in one chunk", finish(json!({"finish_reason": "stop", "delta": {"content": "ab"}}))),
        ("delta null", choice(json!({"delta": null})) + &piece("ab") + &finish(json!({"finish_reason": "stop", "delta": null}))),
        ("no delta", choice(json!({})) + &piece("ab") + &finish(json!({"finish_reason": "stop"}))),
        ("choices null", format!("data: {{\"choices\":null}}\n\ndata: {{}}\n\n{}{}", piece("ab"), end("stop"))),
        ("error null", format!("data: {{\"error\":null,\"choices\":[]}}\n\n{}{}", piece("ab"), end("stop"))),
        ("content in parts", {
            let parts = json!({"delta": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}});
            choice(parts) + &end("stop")
        }),
        ("an empty piece", piece("") + &piece("ab") + &piece("") + &end("stop")),
        (
            "several choices",
            "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}},{\"delta\":{\"content\":\"no\"}}]}\n\n".to_string()
                + &end("stop"),
        ),
        (
            "unknown fields",
            format!(
                "data: {{\"x_groq\":{{}},\"timings\":[1],\"prompt_progress\":{{\"total\":3}}}}\n\n{}{}",
                piece("ab"),
                end("stop")
            ),
        ),
        ("finish before the last text", choice(json!({"finish_reason": "stop", "delta": {"content": "a"}})) + &piece("b") + done),
        ("eos as the reason", piece("ab") + &end("eos")),
        ("tool_calls as the reason", piece("ab") + &end("tool_calls")),
        ("a message instead of a delta", finish(json!({"finish_reason": "stop", "message": {"content": "ab"}}))),
        ("escapes", "data: {\"choices\":[{\"delta\":{\"content\":\"\\u0061\\u0062\"}}]}\n\n".to_string() + &end("stop")),
    ];
    let sandbox = local("");
    for (name, events) in table {
        let output = ask_raw(&sandbox, sse(events));
        assert_eq!((output.out().as_str(), output.err().as_str()), ("ab\n", ""), "{name}");
    }
}

#[test]
fn no_figures_of_the_server_break_an_answer() {
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!("many"),
        json!([1]),
        json!({}),
        json!({"prompt_tokens": -1, "completion_tokens": 1.5, "prompt_n": "x", "cache_n": null, "predicted_n": []}),
        json!({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}, "prompt_n": u64::MAX, "predicted_n": u64::MAX}),
        json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "prompt_tokens_details": [], "prompt_n": 1e300}),
    ];
    let sandbox = local("");
    for value in &values {
        for key in ["usage", "timings"] {
            let figures = format!("data: {}\n\n", json!({"choices": [], key: value}));
            let last = choice(json!({"finish_reason": "stop", "delta": {}}));
            let stub = Stub::raw(sse(&(figures.clone() + &piece("7") + &last + &figures + "data: [DONE]\n\n")));
            ask(&sandbox, &stub).expect(0, "7\n", "");
            // Several answers are counted together.
            let schema = r#"{"type":"string"}"#;
            let args = ["-p", "q", "--output-format", "json", "--json-schema", schema];
            let output = sandbox.cmd("claude").args(&args).env("LOCAL_LLM_URL", stub.url()).run();
            assert_eq!((output.code(), output.err().as_str()), (1, ""), "{key} {value}");
            assert!(output.out().ends_with("}\n") && output.out().lines().count() == 1, "{}", output.out());
        }
    }
}

#[test]
fn thinking_is_no_part_of_the_answer() {
    let field = |name: &str, text: &str| choice(json!({"delta": {"content": "", name: text}}));
    let alone = |name: &str, text: &str| choice(json!({"delta": {"content": null, name: text}}));
    let letters = |text: &str| text.chars().map(|c| piece(&c.to_string())).collect::<String>();
    let table = [
        (field("reasoning", "hm") + &piece("yes"), "yes\n"),
        (alone("reasoning_content", "hm") + &piece("yes"), "yes\n"),
        (piece("y") + &field("reasoning_content", "hm") + &piece("es"), "yes\n"),
        (letters("<think>hm</think>yes"), "yes\n"),
        (piece("<think>\nhm <b>\n</think>\n\nyes"), "yes\n"),
        (letters("\n<think>\nhm\n</think>\n\n\nyes\n"), "yes\n"),
        (letters("<think></think>\n<think>more</think> yes"), "yes\n"),
        (letters("hm\n</think>\n\nyes"), "yes\n"),
        (letters("<thinking>is not ours"), "<thinking>is not ours\n"),
        (letters("the tag <think>x</think> stays"), "the tag <think>x</think> stays\n"),
        (letters("write `</think>` at the end"), "write `</think>` at the end\n"),
        (letters("<thin"), "<thin\n"),
        (letters("  <"), "  <\n"),
    ];
    let sandbox = local("");
    for (events, expected) in table {
        ask_raw(&sandbox, sse(&(events + &end("stop")))).expect(0, expected, "");
    }
}

#[test]
fn an_empty_answer_is_a_failure() {
    let cut_off = "the local model used all its tokens before it began to answer · raise LOCAL_LLM_MAX_TOKENS, or turn the \
                   model's thinking off";
    let thinking = choice(json!({"delta": {"content": null, "reasoning": "hm"}}));
    let table = [
        (end("stop"), EMPTY),
        (piece("") + &end("stop"), EMPTY),
        (piece(" \n\t ") + &end("stop"), EMPTY),
        (thinking.clone() + &end("stop"), EMPTY),
        (piece("<think>hm</think>") + &end("stop"), EMPTY),
        (piece("<think>hm") + &end("stop"), EMPTY),
        (piece("hm\n</think>\n") + &end("stop"), EMPTY),
        (end("tool_calls"), EMPTY),
        (end("length"), cut_off),
        (thinking + &end("length"), cut_off),
        (piece("<think>hm") + &end("length"), cut_off),
    ];
    let sandbox = local("");
    for (events, said) in table {
        ask_raw(&sandbox, sse(&events)).expect_api_error(said, "");
    }
    let body = r#"{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":null,"reasoning":"hm"}}]}"#;
    ask_raw(&sandbox, json_answer(200, body)).expect_api_error(EMPTY, "");
}

#[test]
fn an_answer_cut_by_its_limit_is_an_answer_and_a_warning() {
    let warning = "claude: warning: the answer ends at its limit of 800 tokens; raise LOCAL_LLM_MAX_TOKENS for more\n";
    ask_raw(&local(""), sse(&(piece("half a") + &end("length")))).expect(0, "half a\n", warning);
}

#[test]
fn a_broken_stream_is_a_failure_with_what_came_on_stderr() {
    let head = "HTTP/1.1 200 OK\r\n";
    let half = piece("half ") + &piece("an");
    let table: Vec<(Vec<u8>, &str, &str)> = vec![
        (sse("").into(), BEFORE_END, ""),
        (sse(": keepalive 1/1\n\n").into(), BEFORE_END, ""),
        (sse(&half).into(), BEFORE_END, "half an"),
        (sse(&format!("{half}data: {{\"choices\":[{{\"del")).into(), BEFORE_END, "half an"),
        (sse(&format!("{half}da")).into(), BEFORE_END, "half an"),
        (sse(&(piece("<think>hm") + &piece("hm"))).into(), BEFORE_END, ""),
        (sse(&(half.clone() + "data: {nope\n\n" + &end("stop"))).into(), NOT_JSON, "half an"),
        (sse(&(half.clone() + "data: [1]\n\n" + &end("stop"))).into(), NOT_JSON, "half an"),
        (sse(&(half.clone() + "data: \"x\"\n\n" + &end("stop"))).into(), NOT_JSON, "half an"),
        ([sse(&half).as_bytes(), b"data: \xff\n\n"].concat(), NOT_JSON, "half an"),
        (sse(&(half.clone() + "data: {\"error\":\"out of\\n memory\"}\n\n")).into(), "out of memory", "half an"),
        (sse("data: {\"error\":{\"message\":\"no\",\"code\":500}}\n\ndata: [DONE]\n\n").into(), "no", ""),
        (sse(&(half.clone() + "data: {\"error\":{\"code\":7}}\n\n")).into(), "{\"error\":{\"code\":7}}", "half an"),
        (format!("{head}Content-Type: text/html\r\nConnection: close\r\n\r\n<html>Welcome</html>").into(), NO_COMPLETION, ""),
        (json_answer(200, r#"{"model":"m","message":{"content":"hi"},"done":true}"#).into(), NO_COMPLETION, ""),
        (json_answer(200, r#"{"detail":"generation failed"}"#).into(), "generation failed", ""),
        (json_answer(200, "{nope").into(), "the answer is not the JSON of a chat completion", ""),
        (json_answer(200, "").into(), "the answer is not the JSON of a chat completion", ""),
        (json_answer(200, r#"{"error":"generation failed"}"#).into(), "generation failed", ""),
    ];
    let sandbox = local("");
    for (bytes, reason, partial) in table {
        expect_cut(ask_raw(&sandbox, bytes), reason, partial);
    }
}

#[test]
fn a_body_shorter_than_announced_is_a_failure() {
    let half = piece("half an");
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{half}");
    let mut chunks = chunked(&half, 9);
    chunks.truncate(chunks.len() - b"0\r\n\r\n".len());
    let sandbox = local("");
    for bytes in [long.into_bytes(), chunks] {
        let output = ask_raw(&sandbox, bytes);
        let said = output.out();
        assert!(said.starts_with(&format!("API Error: {CUT}")) && said.lines().count() == 1, "{said}");
        output.expect(1, &said, &had_come("half an"));
    }
}

#[test]
fn a_reset_connection_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\"include_usage\":true}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.extend(byte);
        }
        stream.write_all(sse(&piece("half an")).as_bytes()).unwrap();
        // The last byte stays unread, which makes the kernel reset the connection when it is closed.
    });
    let mut sandbox = local(&url);
    sandbox.set("LOCAL_LLM_MODEL", "m");
    sandbox.set("LOCAL_LLM_RETRIES", "0");
    let output = sandbox.cmd("claude").args(&["-p", "q"]).run();
    server.join().unwrap();
    expect_cut(output, BEFORE_END, "half an");
}

#[test]
fn an_endless_line_is_a_failure() {
    let stub = Stub::new(|_, stream| {
        let _ = stream.write_all(sse("data: ").as_bytes());
        // Far more than a line may have; the client closes before that.
        for _ in 0..64 {
            if stream.write_all(&vec![b'x'; 1 << 20]).is_err() {
                break;
            }
        }
    });
    expect_cut(ask(&local(""), &stub), "a line of the stream does not end", "");
}

#[test]
fn a_json_answer_is_taken_though_a_stream_was_asked_for() {
    let message = |finish: &str, content: Value| {
        json!({"object": "chat.completion", "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant",
            "content": content}}], "usage": {"total_tokens": 3}})
        .to_string()
    };
    let sandbox = local("");
    ask_raw(&sandbox, json_answer(200, &message("stop", json!("yes\n")))).expect(0, "yes\n", "");
    ask_raw(&sandbox, json_answer(200, &message("stop", json!("<think>hm</think>\nyes")))).expect(0, "yes\n", "");
    let warning = "claude: warning: the answer ends at its limit of 800 tokens; raise LOCAL_LLM_MAX_TOKENS for more\n";
    ask_raw(&sandbox, json_answer(200, &message("length", json!("yes")))).expect(0, "yes\n", warning);
    let until_end = format!(
        "HTTP/1.0 200 OK\r\nContent-type: application/json; charset=utf-8\r\n\r\n{}",
        message("stop", json!([{"type": "text", "text": "yes"}]))
    );
    ask_raw(&sandbox, until_end).expect(0, "yes\n", "");
}

#[test]
fn every_refusal_is_one_line() {
    let long = "x".repeat(2000);
    let table: &[(u16, &str, String)] = &[
        (400, r#"{"error": "max_tokens must be of type int"}"#, "HTTP 400: max_tokens must be of type int".into()),
        (400, r#"{"error":{"code":400,"message":"two\nlines  of it"}}"#, "HTTP 400: two lines of it".into()),
        (
            401,
            r#"{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}"#,
            "HTTP 401: Invalid API Key".into(),
        ),
        (404, "Not Found", "HTTP 404: Not Found".into()),
        (404, "", "HTTP 404 and no reason".into()),
        (411, r#"{"error": "Content-Length header is required"}"#, "HTTP 411: Content-Length header is required".into()),
        (
            422,
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            r#"HTTP 422: {"detail":[{"loc":["body"],"msg":"field required"}]}"#.into(),
        ),
        (422, r#"{"detail":"bad"}"#, "HTTP 422: bad".into()),
        (429, r#"{"object":"error","message":"slow down"}"#, "HTTP 429: slow down".into()),
        (500, "null", "HTTP 500 and no reason".into()),
        (500, "{}", "HTTP 500: {}".into()),
        (500, "\u{1b}[2J\u{7}boom\0\u{9b}", "HTTP 500: [2Jboom".into()),
        (500, "  \n ", "HTTP 500 and no reason".into()),
        (502, "<h1>Bad Gateway", "HTTP 502: Bad Gateway".into()),
        (502, &long, format!("HTTP 502: {}", &long[..500])),
        (503, r#"{"status":"unavailable"}"#, r#"HTTP 503: {"status":"unavailable"}"#.into()),
        (503, "", "HTTP 503 and no reason".into()),
        (504, r#"{"error":null}"#, r#"HTTP 504: {"error":null}"#.into()),
        (204, "", "HTTP 204 and no reason".into()),
        (600, "odd", "HTTP 600: odd".into()),
    ];
    let mut sandbox = local("");
    sandbox.set("LOCAL_LLM_RETRIES", "0");
    for (status, body, line) in table {
        let stub = Stub::raw(json_answer(*status, body));
        let hint = if matches!(status, 429 | 502..=504) { LATER } else { "" };
        let line = format!("{line}{hint}");
        ask(&sandbox, &stub).expect_api_error(&format!("{REFUSED}{line}"), "");
        assert_eq!(stub.chats().len(), 1, "a refusal is not asked again: {status}");
        if *status != 204 {
            let until_end = format!("HTTP/1.0 {status} X\r\nContent-type: text/html\r\n\r\n{body}");
            ask_raw(&sandbox, until_end).expect_api_error(&format!("{REFUSED}{line}"), "");
        }
    }
    // What stands before the server counts bytes: only a shorter question helps.
    let too_large = json_answer(413, "<html><title>413 Request Entity Too Large</title></html>");
    ask_raw(&sandbox, too_large).expect(1, "Prompt is too long · the conversation does not fit the local model's context\n", "");
    let bytes = [b"HTTP/1.0 500 X\r\n\r\ncaf\xe9 ".to_vec(), vec![b'x'; 1 << 20]].concat();
    let expected = format!("{REFUSED}HTTP 500: caf\u{fffd} {}", "x".repeat(495));
    ask_raw(&sandbox, bytes).expect_api_error(&expected, "");
}

/// A server that answers the questions in turn with these, and everything after with the last of them.
fn in_turn(answers: Vec<String>, health: String, models: &str) -> Stub {
    let (asked, models) = (AtomicUsize::new(0), json_answer(200, models));
    Stub::new(move |request, stream| {
        let answer = match request.is_chat() {
            true => &answers[asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)],
            false if request.line.contains("/models") => &models,
            false => &health,
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

const OK: &str = r#"{"status":"ok"}"#;
const LOADING: &str = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;

#[test]
fn a_server_that_is_loading_is_waited_for() {
    let loading = json_answer(503, LOADING);
    let stub = in_turn(vec![loading.clone(), sse(&completion("ok"))], json_answer(200, OK), "{}");
    let sandbox = local("");
    ask(&sandbox, &stub).expect(0, "ok\n", "");
    assert_eq!(stub.chats().len(), 2);

    // All routes say 503 for a while, as llama.cpp's do.
    let looks = AtomicUsize::new(0);
    let stub = Stub::new(move |request, stream| {
        let is_ready = looks.fetch_add(1, Ordering::SeqCst) >= 6;
        let answer = match (is_ready, request.is_chat()) {
            (false, _) => json_answer(503, LOADING),
            (true, true) => sse(&completion("ok")),
            (true, false) => json_answer(200, OK),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let waiting = format!("claude: waiting for the local server to start (port {}) …\n", stub.port());
    ask(&sandbox, &stub).expect(0, "ok\n", &waiting);

    let stub = in_turn(vec![loading], json_answer(200, OK), "{}");
    ask(&sandbox, &stub).expect_api_error(&unanswered(&stub.url(), "it is still loading its model"), "");
    let stub = Stub::new(|_, stream| drop(stream.write_all(json_answer(503, LOADING).as_bytes())));
    let output = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", stub.url()).env("LLM_START_TIMEOUT", "1").run();
    let waiting = format!("claude: waiting for the local server to start (port {}) …\n", stub.port());
    let late = "the local server did not come up: no answer after 1 seconds · raise LLM_START_TIMEOUT if the model needs \
                longer to load";
    output.expect_api_error(late, &waiting);
}

#[test]
fn a_server_that_is_dead_inside_and_not_ours_is_named() {
    let stub = Stub::raw(json_answer(404, r#"{"error": "generation thread died"}"#));
    let said = "the local server runs, but its model does not (HTTP 404: generation thread died): restart it";
    ask(&local(""), &stub).expect_api_error(said, "");
    assert_eq!(stub.chats().len(), 1);
}

#[test]
fn the_model_of_a_server_that_wants_a_name_is_found_out() {
    let unknown = [
        r#"{"error":{"message":"model \"default_model\" not found, try pulling it first"}}"#,
        r#"{"object":"error","message":"The model `default_model` does not exist."}"#,
        r#"{"error":{"code":400,"message":"model name is missing from the request"}}"#,
        r#"{"error":{"code":400,"message":"model 'default_model' not found"}}"#,
    ];
    let health = || json_answer(200, OK);
    let one = r#"{"object":"list","data":[{"id":"org/one"}]}"#;
    let sandbox = local("");
    for refusal in unknown {
        // It lists its model only after it has refused.
        let (lists, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let stub = Stub::new(move |request, stream| {
            let answer = match (request.is_chat(), request.line.contains("/models")) {
                (true, _) if asked.fetch_add(1, Ordering::SeqCst) == 0 => json_answer(404, refusal),
                (true, _) => sse(&completion("ok")),
                (false, true) if lists.fetch_add(1, Ordering::SeqCst) > 0 => json_answer(200, one),
                (false, _) => json_answer(200, OK),
            };
            let _ = stream.write_all(answer.as_bytes());
        });
        ask(&sandbox, &stub).expect(0, "ok\n", "");
        let models: Vec<Value> = stub.chats().iter().map(|request| request.json()["model"].clone()).collect();
        assert_eq!(models, ["default_model", "org/one"]);
    }
    let refusal = json_answer(404, unknown[0]);
    let said = format!("{REFUSED}HTTP 404: model \"default_model\" not found, try pulling it first");
    let table = [
        (r#"{"data":[]}"#, "the name of a model that it serves"),
        ("", "the name of a model that it serves"),
        ("[", "the name of a model that it serves"),
        ("{\"data\":7}", "the name of a model that it serves"),
    ];
    for (models, what) in table {
        let stub = in_turn(vec![refusal.clone()], health(), models);
        ask(&sandbox, &stub).expect_api_error(&format!("{said}; set LOCAL_LLM_MODEL to {what}"), "");
        assert_eq!(stub.chats().len(), 1);
    }
    // A name that the user gave is never replaced.
    let stub = in_turn(vec![refusal.clone()], health(), one);
    let cmd = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", stub.url()).env("LOCAL_LLM_MODEL", "mine");
    cmd.run().expect_api_error(&format!("{said}; set LOCAL_LLM_MODEL to one of `org/one`"), "");
    assert_eq!(stub.chats().len(), 1);
    let several = r#"{"data":[{"id":"a"},{"id":"b/c"},{"no":"id"},{"id":7}]}"#;
    let stub = in_turn(vec![refusal.clone()], health(), several);
    let cmd = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", stub.url()).env("LOCAL_LLM_MODEL", "mine");
    cmd.run().expect_api_error(&format!("{said}; set LOCAL_LLM_MODEL to one of `a`, `b/c`"), "");
    // The one model is unknown as well.
    let stub = in_turn(vec![refusal], health(), one);
    ask(&sandbox, &stub).expect_api_error(&said, "");
    assert_eq!(stub.chats().len(), 2);
}

#[test]
fn a_template_without_system_role_gets_one_message() {
    let has_system = |request: &Request| request.json()["messages"][0]["role"] == "system";
    let stub = Stub::new(move |request, stream| {
        let refusal = json_answer(500, r#"{"error":{"message":"Jinja Exception: System role not supported"}}"#);
        let answer = if has_system(request) { refusal } else { sse(&completion("ok")) };
        let _ = stream.write_all(answer.as_bytes());
    });
    local(&stub.url()).cmd("claude").args(&["-p", "q", "--system-prompt", "S"]).run().expect(0, "ok\n", "");
    assert_eq!(stub.chats()[1].json()["messages"], json!([{"role": "user", "content": "S\n\nq"}]));
    assert_eq!(stub.chats().len(), 2);
    let stub = Stub::raw(json_answer(500, r#"{"error":"System role not supported"}"#));
    ask(&local(""), &stub).expect_api_error(&format!("{REFUSED}HTTP 500: System role not supported"), "");
}

#[test]
fn redirects_are_not_followed() {
    let target = Stub::answering("stolen");
    let sandbox = local("");
    for status in [301, 302, 303, 307, 308] {
        let there = target.url();
        let bytes = format!("HTTP/1.1 {status} Moved\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n");
        let stub = Stub::raw(bytes);
        let cmd = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_API_KEY", "k3y").env("LOCAL_LLM_URL", stub.url());
        let line = format!("HTTP {status}: it redirects to {there}: set LOCAL_LLM_URL to that");
        cmd.run().expect_api_error(&format!("{REFUSED}{line}"), "");
        assert_eq!(stub.chats().len(), 1);
        assert!(stub.seen().iter().all(|request| request.header("authorization") == Some("Bearer k3y")));
    }
    assert_eq!(target.seen().len(), 0);
}

#[test]
fn a_proxy_is_not_asked_for_this_machine() {
    let proxy = Stub::raw(json_answer(502, "the proxy was asked"));
    let address = format!("http://127.0.0.1:{}", proxy.port());
    let stub = Stub::answering("ok");
    let six = Stub::at("[::1]:0", |_, stream| drop(stream.write_all(sse(&completion("ok")).as_bytes())));
    let path = "/v1/chat/completions";
    let anywhere = Stub::at("127.0.0.1:0", |_, stream| drop(stream.write_all(sse(&completion("ok")).as_bytes())));
    let port = stub.port();
    let mut sandbox = local("");
    for key in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        sandbox.set(key, &address);
    }
    let urls = [
        format!("http://127.0.0.1:{port}{path}"),
        format!("HTTP://127.0.0.1:{port}{path}"),
        format!("http://localhost:{port}{path}"),
        format!("http://LocalHost:{port}{path}"),
        format!("http://0.0.0.0:{}{path}", anywhere.port()),
        format!("http://[::ffff:127.0.0.1]:{port}{path}"),
        format!("http://[::1]:{}{path}", six.port()),
    ];
    for url in &urls {
        let output = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", url).run();
        assert_eq!((output.out().as_str(), output.err().as_str()), ("ok\n", ""), "{url}");
    }
    assert_eq!(proxy.seen().len(), 0);
    assert_eq!([stub.chats().len(), anywhere.chats().len(), six.chats().len()], [urls.len() - 2, 1, 1]);
}

#[test]
fn a_proxy_is_asked_for_another_machine() {
    let proxy = Stub::new(|request, stream| {
        if request.line.starts_with("CONNECT ") {
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while !seen.ends_with(b"\"}") {
                let length = stream.read(&mut buffer).unwrap();
                assert!(length > 0, "the question comes through the tunnel");
                seen.extend_from_slice(&buffer[..length]);
            }
        }
        let _ = stream.write_all(sse(&completion("ok")).as_bytes());
    });
    // Not this machine as far as the address tells: 127.0.0.1 as one number.
    let mut sandbox = local("http://2130706433:8000/v1/chat/completions");
    sandbox.set("LOCAL_LLM_MODEL", "m");
    sandbox
        .cmd("claude")
        .args(&["-p", "q"])
        .env("HTTP_PROXY", format!("http://127.0.0.1:{}", proxy.port()))
        .run()
        .expect(0, "ok\n", "");
    let lines: Vec<String> = proxy.seen().into_iter().map(|request| request.line).collect();
    let through = ["CONNECT 2130706433:8000 HTTP/1.1", "POST http://2130706433:8000/v1/chat/completions HTTP/1.1"];
    assert!(lines.len() == 1 && through.contains(&lines[0].as_str()), "{lines:?}");
}

#[test]
fn addresses_of_every_form() {
    let stub = Stub::answering("ok");
    let port = stub.port();
    let sandbox = local("");
    let table = [
        (format!("http://127.0.0.1:{port}"), "/v1/chat/completions"),
        (format!("http://127.0.0.1:{port}/"), "/v1/chat/completions"),
        (format!("http://127.0.0.1:{port}/v1/"), "/v1/chat/completions"),
        (format!("http://127.0.0.1:{port}/api/v1/chat/completions"), "/api/v1/chat/completions"),
        (format!("http://127.0.0.1:{port}/v1/chat/completions?api-version=1"), "/v1/chat/completions?api-version=1"),
        (format!("http://127.0.0.1:{port}/v1/chat/completions#part"), "/v1/chat/completions"),
        (format!("  http://127.0.0.1:{port}/v1/chat/completions\n"), "/v1/chat/completions"),
        (format!("http://me:secret@127.0.0.1:{port}/v1/chat/completions"), "/v1/chat/completions"),
    ];
    for (url, path) in table {
        let output = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", &url).run();
        assert_eq!((output.out().as_str(), output.err().as_str()), ("ok\n", ""), "{url}");
        assert_eq!(stub.seen().pop().unwrap().line, format!("POST {path} HTTP/1.1"));
    }
}

#[test]
fn what_the_address_hides_is_never_printed() {
    let closing = Stub::new(|request, stream| {
        if !request.is_chat() {
            let _ = stream.write_all(json_answer(200, OK).as_bytes());
        }
    });
    let sandbox = local("");
    let refusing = Stub::raw(json_answer(500, "no"));
    for port in [closing.port(), refusing.port(), free_port()] {
        let url = format!("http://me:secret@127.0.0.1:{port}/v1/chat/completions?key=secret");
        let output = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", url).run();
        let said = output.out();
        assert!(said.starts_with("API Error: ") && !said.contains("secret"), "{said}");
        output.expect(1, &said, "");
    }
}

/// How messages name the process that listens here: this one.
fn ourselves() -> String {
    let pid = std::process::id();
    let ps = Command::new("ps").args(["-o", "comm=", "-p", &pid.to_string()]).output().expect("ps runs");
    format!("`{}` (pid {pid})", String::from_utf8_lossy(&ps.stdout).trim())
}

#[test]
fn what_is_no_model_server_is_named() {
    let garbage = |bytes: &'static [u8]| Stub::new(move |_, stream| drop(stream.write_all(bytes)));
    let no_http = "it does not speak HTTP as it should";
    let closes = "it closes the connection without an answer";
    let table = [
        (garbage(b"SSH-2.0-OpenSSH_9.6\r\n"), no_http),
        (garbage(b"\0\0\0\0\0\0\0\0"), no_http),
        (garbage(b"HTTP/1.1 2000 OK\r\n\r\n"), no_http),
        (garbage(b""), closes),
    ];
    let sandbox = local("");
    for (stub, why) in table {
        let reason = if why == closes { "peer disconnected" } else { why };
        ask(&sandbox, &stub).expect_api_error(&unanswered(&stub.url(), reason), "");
        let said = format!(
            "the local server did not come up: port {} is taken by {}: {why} · end that program, or choose another port with \
             LLM_PORT",
            stub.port(),
            ourselves()
        );
        ask_own(&sandbox, &stub).expect_api_error(&said, "");
    }
}

/// One question to `stub` where our own server should be.
fn ask_own(sandbox: &Sandbox, stub: &Stub) -> Output {
    let cmd = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", stub.url());
    cmd.env("LLM_PORT", stub.port().to_string()).run()
}

#[test]
fn a_server_that_breaks_only_at_questions_is_asked_again_if_it_is_ours_and_named() {
    let sandbox = local("");
    for (bytes, reason) in [
        (&b""[..], "peer disconnected"),
        (b"junk\r\n\r\n", "it does not speak HTTP as it should"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "it does not speak HTTP as it should"),
    ] {
        let stub = Stub::raw(bytes);
        ask(&sandbox, &stub).expect_api_error(&unanswered(&stub.url(), reason), "");
        assert_eq!(stub.chats().len(), 1);
        ask_own(&sandbox, &stub).expect_api_error(&unanswered(&stub.url(), reason), "");
        assert_eq!(stub.chats().len(), 3);
    }
    // The first connection breaks, as while a server restarts.
    let stub = in_turn(vec![String::new(), sse(&completion("ok"))], json_answer(200, OK), "{}");
    ask_own(&sandbox, &stub).expect(0, "ok\n", "");
}

#[test]
fn a_server_that_is_not_there_is_one_line_and_a_hint() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    let sandbox = local(&url);
    sandbox.cmd("claude").args(&["-p", "q"]).run().expect_api_error(&unanswered(&url, "connection refused"), "");
    let said = "no local server is installed · run `llm-failover setup`, or set LLM_SERVER_CMD to the command that starts your \
                server";
    sandbox.cmd("claude").args(&["-p", "q"]).env("LLM_PORT", port.to_string()).run().expect_api_error(said, "");
}

/// A server that sends these pieces with half a second between them.
fn slow(pieces: Vec<String>) -> Stub {
    Stub::new(move |_, stream: &mut TcpStream| {
        for piece in &pieces {
            if stream.write_all(piece.as_bytes()).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(500));
        }
    })
}

#[test]
fn signs_of_life_count_and_silence_ends_the_call() {
    let sandbox = local("");
    let patient = |stub: &Stub, seconds: &str| {
        let cmd = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", stub.url());
        cmd.env("LOCAL_LLM_IDLE_TIMEOUT", seconds).run()
    };
    let keepalives = |count| vec![": keepalive\n\n".to_string(); count];
    thread::scope(|scope| {
        scope.spawn(|| {
            let stub = slow([vec![sse("")], keepalives(10), vec![completion("ok")]].concat());
            patient(&stub, "3").expect(0, "ok\n", "");
        });
        scope.spawn(|| {
            let mut head = vec!["HTTP/1.0 200 OK\r\n".to_string()];
            head.extend((0..9).map(|number| format!("x-{number}: y\r\n")));
            let stub = slow([head, vec![format!("\r\n{}", completion("ok"))]].concat());
            patient(&stub, "3").expect(0, "ok\n", "");
        });
        let silence = [(String::new(), ""), ("HTTP/1.0 200 OK\r\n".into(), ""), (sse(""), ""), (sse(&piece("half")), "half")];
        for (first, partial) in silence {
            let patient = &patient;
            scope.spawn(move || {
                let stub = Stub::new(move |_, stream| {
                    let _ = stream.write_all(first.as_bytes());
                    // Until the client goes.
                    let _ = stream.read(&mut [0]);
                });
                expect_cut(patient(&stub, "2"), "nothing came for 2 seconds (LOCAL_LLM_IDLE_TIMEOUT)", partial);
                assert_eq!(stub.chats().len(), 1, "a question that is perhaps being answered is not asked again");
            });
        }
    });
}

#[test]
fn large_answers_are_whole() {
    // No line is like another: what runs in circles is cut.
    let text: String = (0..64 << 10).map(|number| format!("{number:015x}\n")).collect();
    let events = piece(&text).repeat(20) + &end("stop");
    let stub = Stub::raw(sse(&events));
    let output = local(&stub.url()).cmd("claude").args(&["-p", "q"]).limit(120).run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""));
    assert!(output.stdout == text.repeat(20).as_bytes(), "20 MiB");

    let events = (0..10_000).map(|number| piece(&format!("{number} "))).collect::<String>() + &end("stop");
    let expected = (0..10_000).map(|number| format!("{number} ")).collect::<String>() + "\n";
    ask_raw(&local(""), chunked(&events, 1000)).expect(0, &expected, "");
}

#[test]
fn whatever_comes_it_is_the_whole_answer_or_none() {
    let events = completion("one two three");
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{events}", events.len()).into_bytes();
    let streams = [sse(&events).into_bytes(), chunked(&events, 60), length];
    let sandbox = &local_asking_once();
    // Whether the answer was whole is decided by the event that tells why it ended; before that every cut must be noticed.
    thread::scope(|scope| {
        for (number, stream) in streams.iter().enumerate() {
            scope.spawn(move || {
                let position = |bytes: &[u8]| stream.windows(bytes.len()).rposition(|window| window == bytes).unwrap();
                let (reason, done) = (position(b"\"stop\""), position(b"[DONE]"));
                let whole = (done - 1..stream.len()).step_by(3).chain([stream.len()]);
                for at in (0..reason).step_by([2, 5, 7][number]).chain(reason..reason + 6).chain(whole) {
                    let output = ask_raw(sandbox, &stream[..at]);
                    let (code, out, err) = (output.code(), output.out(), output.err());
                    let fits = match at > reason + 6 {
                        true => (code, out.as_str(), err.as_str()) == (0, "one two three\n", ""),
                        false => code == 1 && out.starts_with("API Error: ") && out.lines().count() == 1,
                    };
                    assert!(fits, "cut at {at}: {code} {out:?} {err:?}");
                }
            });
        }
    });
}

#[test]
fn no_stream_makes_it_panic_or_hang() {
    const SNIPPETS: &[&[u8]] = &[
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"data:",
        b"data: [DONE]\n\n",
        b"data: {}\n\n",
        b"data: null\n\n",
        b"{\"choices\":[{\"delta\":{\"content\":",
        b"\"",
        b"}",
        b"]",
        b"\\ud800",
        b"\\",
        b"<think>",
        b"</think>",
        b": ping\n\n",
        b"ffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"-1",
        b"99999999999999999999",
        b"HTTP/1.1 503 X\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"content-type: application/json\r\n",
        b"Location: http://127.0.0.1:1/\r\n",
        b"\x1b]0;x\x07",
        b"Content-Encoding: gzip\r\n",
        b"200 OK",
        b"301",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    ];
    let events = choice(json!({"delta": {"role": "assistant", "content": null}})) + &completion("<think>hm</think> one two");
    let body = r#"{"choices":[{"finish_reason":"stop","message":{"content":"one two"}}]}"#;
    let goods = [
        sse(&events).into_bytes(),
        chunked(&events, 80),
        chunked(&events.replace('\n', "\r\n"), 11),
        json_answer(200, body).into_bytes(),
        json_answer(500, r#"{"error":{"message":"no"}}"#).into_bytes(),
    ];
    let sandbox = &local_asking_once();
    thread::scope(|scope| {
        for seed in 0..4 {
            let goods = &goods;
            scope.spawn(move || {
                let mut dice = Dice(1000 + seed);
                for _ in 0..100 {
                    let mut bytes = goods[dice.roll(goods.len())].clone();
                    for _ in 0..1 + dice.roll(4) {
                        mutate(&mut bytes, &mut dice, SNIPPETS);
                    }
                    let stub = Stub::raw(bytes.clone());
                    let cmd = sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", stub.url());
                    let output = cmd.env("LLM_START_TIMEOUT", "1").env("LOCAL_LLM_IDLE_TIMEOUT", "5").run();
                    let (code, err) = (output.code(), output.err());
                    let fits = match code {
                        0 => output.stdout.ends_with(b"\n") && (err.is_empty() || err.contains(": warning: ")),
                        1 => output.stdout.starts_with(b"API Error: ") && output.out().lines().count() == 1,
                        _ => false,
                    };
                    let sent = String::from_utf8_lossy(&bytes);
                    assert!(fits && !err.contains("panicked"), "{code} {:?} {err:?} for {sent:?}", output.out());
                }
            });
        }
    });
}

/// Changes bytes here and there.
pub fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice, snippets: &[&[u8]]) {
    let at = dice.roll(bytes.len().max(1)).min(bytes.len());
    let end = (at + 1 + dice.roll(40)).min(bytes.len());
    match dice.roll(6) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.extend_from_within(at..end),
        3 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
        4 => {
            let repeated = bytes[at..end].to_vec();
            bytes.splice(at..at, repeated);
        }
        _ => drop(bytes.splice(at..at, dice.pick(snippets).iter().copied())),
    }
}
