//! What is asked of a local server: which model it has, how long its context is, and whether it has read what it was sent.
//!
//! Each server is played with the addresses that its documentation names, and in the shapes that it gives there.

mod names;
mod remembered;
mod servers;
mod truncated;

/// What `scripts/test.sh --quick` leaves out.
#[path = "context"]
mod with_deps {
    mod agent;
}

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer::local;
use crate::support::Sandbox;
use crate::support::stub::{Request, Stub, json as json_answer, piece, sse};

/// Where completions come from.
const CHAT: &str = "POST /v1/chat/completions";

/// What a server says at one of its addresses.
#[derive(Clone)]
enum Page {
    Says(Value),
    /// Nothing, until the client goes.
    Never,
}

/// A server with these pages, such as `GET /v1/models`. It says `ok` to every question, and that it has read `read` tokens.
struct Played {
    stub: Stub,
    read: Arc<AtomicU64>,
}

impl Played {
    fn new(pages: Vec<(&'static str, Page)>) -> Played {
        Played::noting(pages, None)
    }

    /// The same, which answers no question before there is a file at `noted`, or for ten seconds if there is never one.
    fn noting(pages: Vec<(&'static str, Page)>, noted: Option<PathBuf>) -> Played {
        let read = Arc::new(AtomicU64::new(5));
        let counted = read.clone();
        let stub = Stub::new(move |request, stream| {
            let place = request.line.rsplit_once(' ').map_or("", |(place, _)| place);
            if is_chat(request) {
                wait_for(noted.as_deref());
                let _ = stream.write_all(sse(&answer(counted.load(Ordering::SeqCst))).as_bytes());
                return;
            }
            if place == "GET /health" {
                let _ = stream.write_all(json_answer(200, r#"{"status":"ok"}"#).as_bytes());
                return;
            }
            match pages.iter().find(|(known, _)| *known == place).map(|(_, page)| page) {
                Some(Page::Says(value)) => drop(stream.write_all(json_answer(200, &value.to_string()).as_bytes())),
                Some(Page::Never) => drop(stream.read(&mut [0])),
                None => drop(stream.write_all(json_answer(404, r#"{"error":"no such page"}"#).as_bytes())),
            }
        });
        Played { stub, read }
    }

    fn url(&self) -> String {
        self.stub.url()
    }

    /// From now on it says that it has read so much.
    fn reads(&self, tokens: u64) {
        self.read.store(tokens, Ordering::SeqCst);
    }

    /// All that it was asked, such as `GET /v1/models`.
    fn places(&self) -> Vec<String> {
        let lines = self.stub.seen().into_iter().map(|request| request.line);
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_string())).collect()
    }

    /// The questions.
    fn chats(&self) -> Vec<Value> {
        self.stub.seen().iter().filter(|request| is_chat(request)).map(Request::json).collect()
    }
}

/// Until there is this file, or for ten seconds if there is never one.
fn wait_for(path: Option<&Path>) {
    let begun = Instant::now();
    while path.is_some_and(|path| !path.exists()) && begun.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_chat(request: &Request) -> bool {
    request.line.starts_with(CHAT)
}

fn answer(read: u64) -> String {
    let finish = json!({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": read, "completion_tokens": 1, "total_tokens": read + 1}});
    format!("{}data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n", piece("ok"))
}

fn list(models: Value) -> (&'static str, Page) {
    ("GET /v1/models", Page::Says(json!({"object": "list", "data": models})))
}

fn says(place: &'static str, value: Value) -> (&'static str, Page) {
    (place, Page::Says(value))
}

const MEMORY: &str = ".local/state/claude-failover/servers.json";

/// The context in tokens that a call knows, and the model's name. Zero if it knows none.
#[track_caller]
fn known(sandbox: &Sandbox) -> (u64, String) {
    let output = sandbox.cmd("claude").args(&["-p", "q", "--output-format", "json"]).run();
    assert_eq!((output.code(), output.err()), (0, String::new()), "{}", output.out());
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let usage = result["modelUsage"].as_object().unwrap();
    let (name, model) = usage.iter().next().unwrap();
    (model["contextWindow"].as_u64().unwrap(), name.clone())
}

/// Whether `holds` for one of several tries. A call waits for a server for no longer than a moment, and this machine may be busy.
fn once(holds: impl Fn() -> bool) -> bool {
    (0..20).any(|_| holds())
}

/// A home whose calls go to this server.
fn home(url: &str, model: Option<&str>) -> Sandbox {
    let mut sandbox = local(url);
    if let Some(model) = model {
        sandbox.set("LOCAL_LLM_MODEL", model);
    }
    sandbox
}

/// A prompt of about so many words.
fn long(words: usize) -> String {
    "The quick brown fox jumps over the lazy dog again. ".repeat(words / 10)
}
