//! A fake of Anthropic's Messages API, as much of it as the real Claude Code needs for an answer in plain text.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::stub::{Request, Stub, json as json_answer};

/// Answers every question with `text`.
pub fn answering(text: &'static str) -> Stub {
    Stub::new(move |request, stream| {
        let _ = answer(request, stream, text, true);
    })
}

/// Begins every answer and never ends it.
pub fn never_ending() -> Stub {
    Stub::new(move |request, stream| {
        let _ = answer(request, stream, "the beginning", false);
    })
}

/// Refuses every question.
pub fn refusing(status: u16) -> Stub {
    Stub::new(move |_, stream| {
        let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "refused"}});
        let _ = stream.write_all(json_answer(status, &error.to_string()).as_bytes());
    })
}

/// The questions that a server was asked, without the counting of tokens.
pub fn questions(stub: &Stub) -> Vec<Value> {
    stub.seen().iter().filter(|request| is_question(request)).map(Request::json).collect()
}

fn is_question(request: &Request) -> bool {
    request.line.starts_with("POST /v1/messages") && !request.line.contains("count_tokens")
}

fn answer(request: &Request, stream: &mut TcpStream, text: &str, ends: bool) -> io::Result<()> {
    if request.line.contains("count_tokens") {
        return stream.write_all(json_answer(200, r#"{"input_tokens":1}"#).as_bytes());
    }
    if !is_question(request) {
        return stream.write_all(json_answer(404, "{}").as_bytes());
    }
    let question = request.json();
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = |content: Value, stop: Value| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": question["model"], "content": content,
               "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    if question["stream"] != json!(true) {
        let whole = message(json!([{"type": "text", "text": text}]), json!("end_turn"));
        return stream.write_all(json_answer(200, &whole.to_string()).as_bytes());
    }
    let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
    let events = [
        json!({"type": "message_start", "message": message(json!([]), Value::Null)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ];
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")?;
    for event in &events[..if ends { events.len() } else { 3 }] {
        write!(stream, "event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())?;
    }
    if ends {
        return Ok(());
    }
    loop {
        thread::sleep(Duration::from_millis(50));
        write!(stream, "event: ping\ndata: {{\"type\":\"ping\"}}\n\n")?;
    }
}
