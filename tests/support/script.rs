//! A model server that plays a script: each question gets the next reply.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::stub::{Request, Stub, end, json as json_answer, piece, sse};

/// What the model does with a question.
pub enum Reply {
    /// Says this, and calls these tools: the name of each, and the text of its arguments.
    Says(String, Vec<(String, String)>),
    /// What comes of the question.
    Computed(Box<dyn FnOnce(&Value) -> Reply + Send>),
    /// The server refuses, with a status and a body.
    Refuses(u16, String),
    /// Begins with this, and then the connection is gone.
    Cut(String),
    /// Begins with this, and goes on until nobody listens.
    Begins(String),
}

/// An answer in text.
pub fn says(text: impl Into<String>) -> Reply {
    Reply::Says(text.into(), vec![])
}

/// Calls of tools: the name and the arguments of each.
pub fn calls(calls: &[(&str, Value)]) -> Reply {
    let calls = calls.iter().map(|(name, arguments)| ((*name).to_string(), arguments.to_string()));
    Reply::Says(String::new(), calls.collect())
}

/// A reply that depends on the question.
pub fn computed(reply: impl FnOnce(&Value) -> Reply + Send + 'static) -> Reply {
    Reply::Computed(Box::new(reply))
}

/// How a server tells of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As llama.cpp: the name, and then the arguments in pieces.
    Pieces,
    /// As mlx-lm: each call in one piece.
    Whole,
}

/// The server.
pub struct Script {
    stub: Stub,
    n_ctx: u32,
    left: Arc<Mutex<VecDeque<Reply>>>,
    gone: Arc<AtomicUsize>,
}

impl Script {
    /// A server that replies in this order, with a context of `n_ctx` tokens, which it tells and keeps to as llama.cpp does.
    pub fn new(manner: Manner, n_ctx: u32, replies: impl IntoIterator<Item = Reply>) -> Script {
        let left = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let gone = Arc::new(AtomicUsize::new(0));
        let (script, callers) = (left.clone(), gone.clone());
        let stub = Stub::new(move |request, stream| {
            let told = match request.is_chat() {
                true => {
                    let question = request.json();
                    // Old versions warm agents up that are not used, and ask for the title of a session.
                    let next = || script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let reply = match too_long(request, n_ctx) {
                        Some(refusal) => refusal,
                        None if is_aside(&question) => says("aside"),
                        None => next().unwrap_or_else(|| says("(no more)")),
                    };
                    tell(stream, manner, &question, reply)
                }
                false => stream.write_all(json_answer(200, &about(request, n_ctx).to_string()).as_bytes()),
            };
            if told.is_err() {
                callers.fetch_add(1, Ordering::SeqCst);
            }
        });
        Script { stub, n_ctx, left, gone }
    }

    /// Its chat completions URL.
    pub fn url(&self) -> String {
        self.stub.url()
    }

    /// Everything that it was asked.
    pub fn seen(&self) -> Vec<Request> {
        self.stub.seen()
    }

    /// The questions of sessions, without what old versions ask beside them and what was too long.
    pub fn questions(&self) -> Vec<Value> {
        let chats = self.stub.chats().into_iter().filter(|request| too_long(request, self.n_ctx).is_none());
        chats.map(|request| request.json()).filter(|question| !is_aside(question)).collect()
    }

    /// How many replies nobody has asked for.
    pub fn left(&self) -> usize {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many answers were no longer wanted before they had ended.
    pub fn gone(&self) -> usize {
        self.gone.load(Ordering::SeqCst)
    }
}

/// What a message says, whatever form its content has.
pub fn text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// What the tools gave since the model spoke last.
pub fn results(question: &Value) -> Vec<String> {
    let messages = question["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let since = messages.iter().rposition(|message| message["role"] == "assistant").map_or(0, |at| at + 1);
    messages[since..].iter().filter(|message| message["role"] == "tool").map(text).collect()
}

/// The names of the tools that the model may call.
pub fn tools(question: &Value) -> Vec<&str> {
    let tools = question["tools"].as_array().into_iter().flatten();
    tools.filter_map(|tool| tool["function"]["name"].as_str()).collect()
}

fn is_aside(question: &Value) -> bool {
    let last = question["messages"].as_array().and_then(|messages| messages.last());
    tools(question).is_empty() || last.is_some_and(|message| text(message) == "Warmup")
}

/// The refusal of what does not fit. A token has four bytes here.
fn too_long(request: &Request, n_ctx: u32) -> Option<Reply> {
    let tokens = request.body.len() / 4;
    let message = format!("request ({tokens} tokens) exceeds the available context size ({n_ctx} tokens), try increasing it");
    let error =
        json!({"code": 400, "message": message, "type": "exceed_context_size_error", "n_prompt_tokens": tokens, "n_ctx": n_ctx});
    (tokens > n_ctx as usize).then(|| Reply::Refuses(400, json!({ "error": error }).to_string()))
}

fn about(request: &Request, n_ctx: u32) -> Value {
    match request.line.contains("/models") {
        true => json!({"object": "list", "data": [{"id": "tiny", "meta": {"n_ctx": n_ctx}}]}),
        false => json!({"status": "ok"}),
    }
}

/// A server that replies to each question as `reply` says, to asides too.
pub fn replying(manner: Manner, n_ctx: u32, reply: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Stub {
    Stub::new(move |request, stream| {
        let _ = match request.is_chat() {
            true => {
                let question = request.json();
                tell(stream, manner, &question, reply(&question))
            }
            false => stream.write_all(json_answer(200, &about(request, n_ctx).to_string()).as_bytes()),
        };
    })
}

fn tell(stream: &mut TcpStream, manner: Manner, question: &Value, reply: Reply) -> io::Result<()> {
    match reply {
        Reply::Computed(reply) => tell(stream, manner, question, reply(question)),
        Reply::Refuses(status, body) => stream.write_all(json_answer(status, &body).as_bytes()),
        Reply::Cut(text) => stream.write_all(sse(&words(&text)).as_bytes()),
        Reply::Says(text, calls) => {
            let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
            let calls: String = calls.iter().enumerate().map(|(at, call)| told_call(manner, at, call)).collect();
            stream.write_all(sse(&(words(&text) + &calls + &end(finish))).as_bytes())
        }
        Reply::Begins(text) => {
            stream.write_all(sse(&words(&text)).as_bytes())?;
            loop {
                thread::sleep(Duration::from_millis(20));
                stream.write_all(piece("… ").as_bytes())?;
            }
        }
    }
}

fn words(text: &str) -> String {
    text.split_inclusive(' ').map(piece).collect()
}

/// The events of a call. Each server has ids of its own, and they need not differ from answer to answer.
fn told_call(manner: Manner, index: usize, (name, arguments): &(String, String)) -> String {
    let event = |call: Value| {
        let choice = json!({"index": 0, "finish_reason": null, "delta": {"tool_calls": [call]}});
        format!("data: {}\n\n", json!({ "choices": [choice] }))
    };
    let whole = |arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        event(json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": function}))
    };
    if manner == Manner::Whole {
        return whole(arguments);
    }
    let letters: Vec<char> = arguments.chars().collect();
    let pieces =
        letters.chunks(7).map(|piece| event(json!({"index": index, "function": {"arguments": String::from_iter(piece)}})));
    whole("") + &pieces.collect::<String>()
}
