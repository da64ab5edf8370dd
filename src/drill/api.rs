//! A simulated Anthropic on loopback: as much of its Messages API as Claude Code needs to get an answer or a refusal.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use serde_json::{Value, json};

use crate::drill::scenario::{ApiRefusal, ApiReply, Scenario};
use crate::drill::{DrillEvent, PROMPT};
use crate::error::{Error, Result};

pub(crate) struct Api {
    listener: TcpListener,
    port: u16,
}

impl Api {
    pub(crate) fn listen() -> Result<Api> {
        let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = bound.map_err(Error::system("open", "127.0.0.1"))?;
        Ok(Api { listener, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Until this process ends. Sends each request and the reply to it as an event.
    pub(crate) fn serve(self, scenario: Scenario, events: Sender<DrillEvent>) {
        let call_count = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                let (events, call_count) = (events.clone(), call_count.clone());
                thread::spawn(move || {
                    let _ = serve_request(&stream, scenario, &call_count, &events);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
    }
}

fn serve_request(
    mut stream: &TcpStream,
    scenario: Scenario,
    call_count: &AtomicUsize,
    events: &Sender<DrillEvent>,
) -> io::Result<()> {
    let (line, body) = read_request(stream)?;
    if line.contains("count_tokens") {
        return stream.write_all(response(200, &[], &json!({"input_tokens": 1})).as_bytes());
    }
    if !line.starts_with("POST /v1/messages") {
        return stream.write_all(response(404, &[], &json!({})).as_bytes());
    }
    let (reply, description) =
        scenario.reply(if is_drill_prompt(&body) { call_count.fetch_add(1, Ordering::Relaxed) } else { usize::MAX });
    if is_drill_prompt(&body) {
        let _ = events.send(DrillEvent::Replied(description));
    }
    match reply {
        ApiReply::Cut => Ok(()),
        // Until the client closes the connection.
        ApiReply::Silence => stream.read(&mut [0]).map(|_| ()),
        ApiReply::Refuse(ApiRefusal { status, kind, message, headers }) => {
            let error = json!({"type": "error", "error": {"type": kind, "message": message}});
            stream.write_all(response(status, &headers, &error).as_bytes())
        }
        ApiReply::Text(text) => stream.write_all(answer(&body, text).as_bytes()),
    }
}

/// Whether the request is the drill's prompt. Older versions of Claude Code send others, too: to check the quota, to name the
/// conversation.
fn is_drill_prompt(body: &Value) -> bool {
    body["tools"].as_array().is_some_and(|tools| !tools.is_empty()) && body["messages"].to_string().contains(PROMPT)
}

/// Returns the request's first line and its body.
fn read_request(stream: &TcpStream) -> io::Result<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok((line, serde_json::from_slice(&body).unwrap_or_default()))
}

fn response(status: u16, headers: &[(&str, String)], body: &Value) -> String {
    let body = body.to_string();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// Streamed, if the request wants that.
fn answer(request: &Value, text: &str) -> String {
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = |content: Value, stop: Value| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": request["model"], "content": content,
               "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    if request["stream"] != true {
        return response(200, &[], &message(json!([{"type": "text", "text": text}]), json!("end_turn")));
    }
    let events = [
        json!({"type": "message_start", "message": message(json!([]), Value::Null)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    let events: String = events.iter().map(event).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
}
