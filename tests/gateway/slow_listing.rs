//! A server that takes long to say which models it has, and tells of its context only when it refuses.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{Gateway, question};
use crate::support::stub::{Stub, json as json_answer};
use crate::support::until;

#[test]
fn what_a_refusal_has_told_holds_when_the_list_comes_late() {
    let may_list = Arc::new(AtomicBool::new(false));
    let gate = may_list.clone();
    let server = Stub::new(move |request, stream| {
        let answer = if request.is_chat() {
            let message = "request (50000 tokens) exceeds the available context size (4096 tokens), try increasing it";
            let kind = "exceed_context_size_error";
            let error = json!({"code": 400, "message": message, "type": kind, "n_prompt_tokens": 50_000, "n_ctx": 4096});
            json_answer(400, &json!({ "error": error }).to_string())
        } else {
            while request.line.contains("/models") && !gate.load(SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            json_answer(200, &json!({"object": "list", "data": [{"id": "tiny", "owned_by": "llamacpp"}]}).to_string())
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let gateway = Gateway::with(&server.url(), &[("LOCAL_LLM_MODEL", "tiny")]);
    let long = question(&"many words ".repeat(20_000));
    let told = |reply: super::Reply| {
        let (status, _, _, message) = reply.refusal();
        assert!(status == 400 && message.contains(" tokens > 4096 maximum"), "{message}");
    };
    told(gateway.ask(&long));
    let asked = server.chats().len();
    may_list.store(true, SeqCst);
    let memory = || {
        let sandbox = gateway.own_sandbox.as_ref().unwrap();
        std::fs::read_to_string(sandbox.path(".local/state/claude-failover/servers.json")).unwrap_or_default()
    };
    until(20, "the list is heard", || memory().contains("llama"));
    told(gateway.ask(&long));
    assert_eq!((asked, server.chats().len()), (1, 1), "{}", memory());
}
