//! An Anthropic on loopback, as much of its Messages API as Claude Code needs to be refused or answered.

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

/// The API. It ends with this process.
pub(crate) struct Api {
    listener: TcpListener,
    port: u16,
}

impl Api {
    /// An API that serves nobody yet.
    ///
    /// # Errors
    /// If this machine has no port on loopback for it.
    pub(crate) fn new() -> Result<Api> {
        let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = bound.map_err(Error::system("open", "127.0.0.1"))?;
        Ok(Api { listener, port })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Serves as one in `scenario`, and tells what it is asked and does.
    pub(crate) fn serve(self, scenario: Scenario, events: Sender<DrillEvent>) {
        let asked = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                let (events, asked) = (events.clone(), asked.clone());
                thread::spawn(move || {
                    let _ = serve(&stream, scenario, &asked, &events);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
    }
}

/// Serves one request.
fn serve(mut stream: &TcpStream, scenario: Scenario, asked: &AtomicUsize, events: &Sender<DrillEvent>) -> io::Result<()> {
    let (line, body) = read(stream)?;
    if line.contains("count_tokens") {
        return stream.write_all(whole(200, &[], &json!({"input_tokens": 1})).as_bytes());
    }
    if !line.starts_with("POST /v1/messages") {
        return stream.write_all(whole(404, &[], &json!({})).as_bytes());
    }
    let (reply, words) = scenario.reply(if is_call(&body) { asked.fetch_add(1, Ordering::Relaxed) } else { usize::MAX });
    if is_call(&body) {
        let _ = events.send(DrillEvent::Asked(words));
    }
    match reply {
        ApiReply::Cut => Ok(()),
        // Until who has asked goes away.
        ApiReply::Silence => stream.read(&mut [0]).map(|_| ()),
        ApiReply::Refuse(ApiRefusal { status, kind, message, headers }) => {
            let error = json!({"type": "error", "error": {"type": kind, "message": message}});
            stream.write_all(whole(status, &headers, &error).as_bytes())
        }
        ApiReply::Text(text) => stream.write_all(answer(&body, text).as_bytes()),
    }
}

/// Whether it is the call that is played. Older versions ask for more than that: whether there is quota, what it is about.
fn is_call(body: &Value) -> bool {
    body["tools"].as_array().is_some_and(|tools| !tools.is_empty()) && body["messages"].to_string().contains(PROMPT)
}

/// The request's first line and its body.
fn read(stream: &TcpStream) -> io::Result<(String, Value)> {
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

fn whole(status: u16, headers: &[(&str, String)], body: &Value) -> String {
    let body = body.to_string();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// An answer in the form that was asked for.
fn answer(question: &Value, text: &str) -> String {
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = |content: Value, stop: Value| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": question["model"], "content": content,
               "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    if question["stream"] != true {
        return whole(200, &[], &message(json!([{"type": "text", "text": text}]), json!("end_turn")));
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
