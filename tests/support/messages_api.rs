//! A fake of Anthropic's Messages API, as much of it as the real Claude Code needs: answers in plain text, tools, refusals.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::stub::{Request, Stub, json as json_answer};

const LONGER_THAN_ANYBODY_WAITS: Duration = Duration::from_secs(600);

/// What the model does with a question.
pub enum Reply {
    /// Says this.
    Text(String),
    /// Begins with this and never ends.
    Begin(String),
    /// Begins with this, and then the connection is gone.
    Cut(String),
    /// Begins with this, if with anything, and says in the stream that it is overloaded.
    Overload(Option<String>),
    /// Uses a tool: its name, its input.
    Use(String, Value),
    /// The server refuses, with a status.
    Refuse(u16),
    /// The whole response, byte for byte; the connection ends with it.
    Raw(String),
    /// Nothing, for longer than anybody waits.
    Hang,
    /// The same with these headers, each with its line end.
    Headed(String, Box<Reply>),
}

/// A refusal in the API's own form.
pub fn error(status: u16, kind: &str, message: &str) -> Reply {
    refusal(status, kind, message, "")
}

/// The refusal of a plan's limit, `five_hour` for one, that ends at a time in seconds. Only those who are signed in see it.
pub fn limit(claim: &str, resets: i64) -> Reply {
    let message = "This request would exceed your account's rate limit. Please try again later.";
    refusal(429, "rate_limit_error", message, &unified("rejected", claim, resets))
}

fn refusal(status: u16, kind: &str, message: &str, headers: &str) -> Reply {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
    Reply::Raw(json_answer(status, &body.to_string()).replacen("\r\n", &format!("\r\n{headers}"), 1))
}

/// What the API says about a plan's limits with each answer.
pub fn unified(status: &str, claim: &str, resets: i64) -> String {
    let fields =
        [("status", status), ("representative-claim", claim), ("fallback", "unavailable"), ("reset", &resets.to_string())];
    fields.map(|(name, value)| format!("anthropic-ratelimit-unified-{name}: {value}\r\n")).concat()
}

/// Does with every question what `reply` makes of it.
pub fn replying(reply: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Stub {
    Stub::new(move |request, stream| {
        let _ = answer(request, stream, &reply);
    })
}

/// Answers every question with `text`.
pub fn answering(text: &'static str) -> Stub {
    replying(|_| Reply::Text(text.into()))
}

/// Begins every answer and never ends it.
pub fn never_ending() -> Stub {
    replying(|_| Reply::Begin("the beginning".into()))
}

/// Refuses every question.
pub fn refusing(status: u16) -> Stub {
    replying(move |_| Reply::Refuse(status))
}

/// The questions that a server was asked, without the counting of tokens.
pub fn questions(stub: &Stub) -> Vec<Value> {
    stub.seen().iter().filter(|request| is_question(request)).map(Request::json).collect()
}

/// The questions of the call itself: old versions look whether the plan has room, and warm agents up that are not used.
pub fn questions_of_the_call(stub: &Stub) -> Vec<Value> {
    questions(stub).into_iter().filter(is_of_the_call).collect()
}

/// Whether a question is the call's own.
pub fn is_of_the_call(question: &Value) -> bool {
    let has_tools = question["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let last = question["messages"].as_array().and_then(|messages| messages.last());
    has_tools && last.is_some_and(|message| !message["content"].to_string().contains("\"Warmup\""))
}

fn is_question(request: &Request) -> bool {
    request.line.starts_with("POST /v1/messages") && !request.line.contains("count_tokens")
}

fn answer(request: &Request, stream: &mut TcpStream, reply: &impl Fn(&Value) -> Reply) -> io::Result<()> {
    if request.line.contains("count_tokens") {
        return stream.write_all(json_answer(200, r#"{"input_tokens":1}"#).as_bytes());
    }
    if !is_question(request) {
        return stream.write_all(json_answer(404, "{}").as_bytes());
    }
    let question = request.json();
    let (reply, headers) = match reply(&question) {
        Reply::Headed(headers, reply) => (*reply, headers),
        reply => (reply, String::new()),
    };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    // Messages of the same name are one to Claude Code, on whatever branch of a conversation they are. What it tells of
    // the environment differs from home to home.
    let mut hasher = DefaultHasher::new();
    let messages = question["messages"].as_array().into_iter().flatten();
    messages.filter(|message| message["role"] != "system").for_each(|message| message.to_string().hash(&mut hasher));
    let id = format!("msg_{:x}", hasher.finish());
    let message = |content: Value, stop: Value| {
        json!({"id": id, "type": "message", "role": "assistant", "model": question["model"], "content": content,
               "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    let (block, deltas, stop) = match &reply {
        Reply::Raw(response) => return stream.write_all(response.as_bytes()),
        Reply::Hang => {
            thread::sleep(LONGER_THAN_ANYBODY_WAITS);
            return Ok(());
        }
        Reply::Headed(..) => return Err(io::ErrorKind::InvalidInput.into()),
        Reply::Refuse(status) => {
            let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "refused"}});
            return stream.write_all(json_answer(*status, &error.to_string()).as_bytes());
        }
        Reply::Text(_) | Reply::Begin(_) | Reply::Cut(_) | Reply::Overload(_) => {
            let text = match &reply {
                Reply::Text(text) | Reply::Begin(text) | Reply::Cut(text) | Reply::Overload(Some(text)) => text,
                _ => "",
            };
            let deltas: Vec<Value> = text.split_inclusive(' ').map(|word| json!({"type": "text_delta", "text": word})).collect();
            (json!({"type": "text", "text": ""}), deltas, "end_turn")
        }
        Reply::Use(name, input) => {
            let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
            // Claude Code passes over what has an id that was there before.
            let id = format!("toolu_{}", question["messages"].to_string().matches("\"tool_result\"").count() + 1);
            (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), vec![delta], "tool_use")
        }
    };
    if let (Reply::Text(text), false) = (&reply, question["stream"] == true) {
        let whole = message(json!([{"type": "text", "text": text}]), json!(stop));
        return stream.write_all(json_answer(200, &whole.to_string()).as_bytes());
    }
    let mut events = vec![
        json!({"type": "message_start", "message": message(json!([]), Value::Null)}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
    ];
    events.extend(deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta})));
    if let Reply::Overload(text) = &reply {
        if text.is_none() {
            events.clear();
        }
        events.push(
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}),
        );
    }
    let is_broken = matches!(reply, Reply::Cut(_) | Reply::Overload(_));
    let is_whole = !is_broken && !matches!(reply, Reply::Begin(_));
    if is_whole {
        let delta = json!({"stop_reason": stop, "stop_sequence": null});
        events.push(json!({"type": "content_block_stop", "index": 0}));
        events.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}}));
        events.push(json!({"type": "message_stop"}));
    }
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n{headers}\r\n")?;
    for event in events {
        write!(stream, "event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())?;
    }
    if is_whole || is_broken {
        return Ok(());
    }
    loop {
        thread::sleep(Duration::from_millis(50));
        write!(stream, "event: ping\ndata: {{\"type\":\"ping\"}}\n\n")?;
    }
}
