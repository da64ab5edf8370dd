//! More than one local model: which one answers, and what the others get to see.

mod first;
mod plain;
mod settings;

use std::io::Write;

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::stub::{Stub, completion, end, json as json_answer, passing, piece, sse};

/// A home whose switch says `local`, with one link for each of these URLs. Each link has a key, and names its model by its number.
pub(crate) fn home(urls: &[&str]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox.set("LOCAL_LLM_RETRIES", "0");
    sandbox.switch("local");
    let mut servers = Vec::new();
    for (at, url) in urls.iter().enumerate() {
        let number = if at == 0 { String::new() } else { format!("_{}", at + 1) };
        sandbox.set(&format!("LOCAL_LLM_URL{number}"), url);
        sandbox.set(&format!("LOCAL_LLM_MODEL{number}"), name(at));
        sandbox.set(&format!("LOCAL_LLM_API_KEY{number}"), key(at));
        servers.push(json!({"url": url, "thinks_unopened": {name(at): false}}));
    }
    // What comes is passed on at once.
    sandbox.write(MEMORY, json!({ "servers": servers }).to_string());
    sandbox
}

const MEMORY: &str = ".local/state/claude-failover/servers.json";

pub(crate) fn name(at: usize) -> String {
    format!("model-{}", at + 1)
}

pub(crate) fn key(at: usize) -> String {
    format!("secret-{}", at + 1)
}

/// A port at which nobody listens.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1/v1/chat/completions";

/// The line that says who answers in the first one's place.
pub(crate) fn told(applet: &str, at: usize, url: &str, why: &str) -> String {
    format!("{applet}: answered by `{}` at {url}: the first local model {why}\n", name(at))
}

/// A server that refuses with this status.
pub(crate) fn refusing(status: u16, message: &str) -> Stub {
    let body = json!({"error": {"message": message}}).to_string();
    Stub::raw(json_answer(status, &body))
}

/// A server that refuses some questions so, and answers the others with `yes`.
pub(crate) fn refusing_to(status: u16, message: &str, refuses: fn(&Value) -> bool) -> Stub {
    let body = json!({"error": {"message": message}}).to_string();
    Stub::refusing(json_answer(status, &body), move |question, _| refuses(question))
}

/// A server with this context, which it tells and keeps to as llama.cpp does. A token has four bytes.
pub(crate) fn with_context(tokens: usize, text: &str) -> Stub {
    let body = completion(text);
    let list = json!({"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": tokens}}]}).to_string();
    Stub::new(move |request, stream| {
        let answer = match request.is_chat() {
            true if request.body.len() / 4 > tokens => too_long(request.body.len() / 4, tokens),
            true => sse(&body),
            false => json_answer(200, &list),
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn too_long(prompt: usize, tokens: usize) -> String {
    let message = format!("request ({prompt} tokens) exceeds the available context size ({tokens} tokens), try increasing it");
    let kind = "exceed_context_size_error";
    json_answer(
        400,
        &json!({"error": {"message": message, "type": kind, "n_prompt_tokens": prompt, "n_ctx": tokens}}).to_string(),
    )
}

/// No server has seen another one's key, and each has seen its own with each request.
#[track_caller]
pub(crate) fn keys_stay_apart(stubs: &[(usize, &Stub)]) {
    for (at, stub) in stubs {
        for request in stub.seen() {
            assert_eq!(request.header("authorization"), Some(format!("Bearer {}", key(*at)).as_str()), "{request:?}");
            let all = format!("{request:?} {}", String::from_utf8_lossy(&request.body));
            assert!((0..9).filter(|other| other != at).all(|other| !all.contains(&key(other))), "{all}");
        }
    }
}

/// Nothing that was written or said holds a key.
#[track_caller]
pub(crate) fn holds_no_key(text: &str) {
    assert!(!text.contains("secret-"), "{text}");
}

/// The lines of the ledger.
pub(crate) fn ledger(sandbox: &Sandbox) -> Vec<Value> {
    let text = std::fs::read_to_string(sandbox.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
    holds_no_key(&text);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each way in which the first link gives no answer, and what is said of it then.
pub(crate) fn obstacles() -> Vec<(Stub, &'static str)> {
    vec![
        (Stub::new(|_, _| {}), "cannot be reached"),
        (Stub::raw(sse("")), "cannot be reached"),
        (Stub::raw(sse("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n")), "cannot be reached"),
        (Stub::raw(sse(&piece(" "))), "cannot be reached"),
        (Stub::raw(passing(429, "too many requests")), "is busy"),
        (Stub::raw(passing(503, "overloaded")), "is busy"),
        (refusing(401, "wrong key"), "refuses the key"),
        (refusing(403, "this key may not"), "refuses the key"),
        (refusing(500, "something broke"), "fails"),
        (refusing(404, "model 'model-1' not found"), "does not have its model"),
    ]
}

/// An answer that breaks off after its first words.
pub(crate) fn broken_off() -> Stub {
    Stub::raw(sse(&piece("the beginning ")))
}

/// An answer that ends.
pub(crate) fn ended(text: &str) -> String {
    sse(&(piece(text) + &end("stop")))
}
