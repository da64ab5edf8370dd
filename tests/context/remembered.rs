//! What is kept of a server between calls.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::{Value, json};

use super::{MEMORY, Played, answer, home, is_chat, known, list, long, once, wait_for};
use crate::support::Sandbox;
use crate::support::stub::{Stub, json as json_answer, sse};

fn llama(n_ctx: u32) -> Played {
    Played::new(vec![list(json!([{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": n_ctx}}]))])
}

fn memory(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(MEMORY)).unwrap_or_default()).unwrap_or_default()
}

#[test]
fn no_secret_is_kept() {
    let server = llama(8192);
    let address = server.url().replace("http://", "http://me:s3cret@") + "?key=s3cret";
    let mut sandbox = home(&address, None);
    sandbox.set("LOCAL_LLM_API_KEY", "s3cret-key");
    sandbox.cmd("claude").args(&["-p", "the prompt"]).run().expect(0, "ok\n", "");
    let text = memory(&sandbox).to_string();
    assert!(text.contains(&server.url()) && text.contains("8192"), "{text}");
    assert!(!text.contains("s3cret") && !text.contains("the prompt"), "{text}");
}

#[test]
fn a_file_that_cannot_be_understood_is_as_none() {
    let server = llama(8192);
    let sandbox = home(&server.url(), None);
    for text in ["", "{", "[7]", "\0\u{fffd}", r#"{"servers":[{"url":7}]}"#] {
        sandbox.write(MEMORY, text);
        assert_eq!(known(&sandbox), (8192, "m".into()), "{text}");
        assert_eq!(memory(&sandbox)["servers"][0]["url"], server.url(), "{text}");
    }
    fs::remove_file(sandbox.path(MEMORY)).unwrap();
    // Nothing can be written there.
    fs::create_dir(sandbox.path(MEMORY)).unwrap();
    assert_eq!(known(&sandbox), (8192, "m".into()));
}

#[test]
fn servers_do_not_disturb_each_other() {
    let servers: Vec<Played> = (1..=6).map(|number| llama(number * 1000)).collect();
    let sandbox = home("", None);
    let ask = |server: &Played| {
        sandbox.cmd("claude").args(&["-p", "q"]).env("LOCAL_LLM_URL", server.url()).run().expect(0, "ok\n", "");
    };
    std::thread::scope(|scope| servers.iter().for_each(|server| drop(scope.spawn(move || ask(server)))));
    let memory = memory(&sandbox);
    let kept = memory["servers"].as_array().unwrap().iter();
    let mut windows: Vec<u64> = kept.filter_map(|server| server["models"][""]["window"].as_u64()).collect();
    windows.sort_unstable();
    assert_eq!(windows, [1000, 2000, 3000, 4000, 5000, 6000]);
    let before = fs::metadata(sandbox.path(MEMORY)).unwrap().modified().unwrap();
    servers.iter().for_each(ask);
    assert_eq!(fs::metadata(sandbox.path(MEMORY)).unwrap().modified().unwrap(), before, "nothing new is written");
}

/// A server that is started anew may have another context. It is asked again before something is left out.
#[test]
fn what_would_not_fit_is_asked_again() {
    let server = llama(65_536);
    let is_asked_again = || {
        let sandbox = home(&server.url(), None);
        sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
        let text = memory(&sandbox).to_string().replace("65536", "1500");
        sandbox.write(MEMORY, text);
        let output = sandbox.cmd("claude").arg("-p").stdin(long(6000)).run();
        output.err().is_empty() && memory(&sandbox)["servers"][0]["models"][""]["window"] == 65_536
    };
    assert!(once(is_asked_again));
}

const ASSUMED: &str = "claude: warning: Ollama does not say how long the context of `m:1b` is: 4096 tokens, its default, count; set \
                       OLLAMA_CONTEXT_LENGTH where Ollama runs, or LOCAL_LLM_CONTEXT here\n";

/// An Ollama that has not loaded its model yet. If it `loads`, it does so when it is asked to.
fn ollama(loads: bool, noted: Option<PathBuf>) -> Stub {
    let is_loaded = AtomicBool::new(false);
    Stub::new(move |request, stream| {
        let page = match request.line.rsplit_once(' ').map_or("", |(place, _)| place) {
            "GET /v1/models" => json!({"data": [{"id": "m:1b", "owned_by": "library"}]}),
            "GET /api/ps" if is_loaded.load(SeqCst) => json!({"models": [{"name": "m:1b", "context_length": 32768}]}),
            "GET /api/ps" => json!({"models": []}),
            "POST /api/show" => json!({"parameters": "", "model_info": {"m.context_length": 131_072}}),
            "POST /api/generate" if loads => {
                assert_eq!(request.json(), json!({"model": "m:1b"}), "there is nothing to answer");
                is_loaded.store(true, SeqCst);
                json!({"model": "m:1b", "response": "", "done": true, "done_reason": "load"})
            }
            _ => json!({}),
        };
        let reply = match is_chat(request) {
            true => {
                wait_for(noted.as_deref());
                sse(&answer(5))
            }
            false => json_answer(200, &page.to_string()),
        };
        let _ = stream.write_all(reply.as_bytes());
    })
}

#[test]
fn what_ollama_does_not_tell_is_said_once() {
    let mut sandbox = home("", None);
    let server = ollama(false, Some(sandbox.path(MEMORY)));
    sandbox.set("LOCAL_LLM_URL", server.url());
    known(&sandbox);
    assert_eq!(known(&sandbox), (4096, "m:1b".into()));
    let ask = || sandbox.cmd("claude").arg("-p").stdin(long(6000)).run();
    ask().expect(0, "ok\n", ASSUMED);
    ask().expect(0, "ok\n", "");
}

/// Ollama tells the context of a model that it has loaded, which an answer waits for anyhow.
#[test]
fn a_model_is_loaded_to_hear_its_context() {
    let is_heard = || {
        let server = ollama(true, None);
        let sandbox = home(&server.url(), None);
        let output = sandbox.cmd("claude").arg("-p").stdin(long(6000)).run();
        assert_eq!((output.code(), output.out()), (0, "ok\n".into()));
        let known = &memory(&sandbox)["servers"][0]["models"][""];
        output.err().is_empty() && known["window"] == 32_768 && known["is_assumed"] == false
    };
    assert!(once(is_heard));
}

/// The server was started anew, with another model.
#[test]
fn a_name_that_is_no_longer_right_is_forgotten() {
    let stub = Stub::new(|request, stream| {
        let reply = match is_chat(request) {
            false => json_answer(200, r#"{"data":[{"id":"new","owned_by":"vllm","max_model_len":8192}]}"#),
            true if request.json()["model"] == "new" => sse(&answer(5)),
            true => json_answer(404, r#"{"object":"error","message":"The model `m` does not exist."}"#),
        };
        let _ = stream.write_all(reply.as_bytes());
    });
    let sandbox = home(&stub.url(), None);
    sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
    let text = memory(&sandbox).to_string().replace("\"new\"", "\"m\"");
    sandbox.write(MEMORY, text);
    for _ in 0..2 {
        sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
    }
    let models: Vec<Value> = stub.chats().iter().map(|request| request.json()["model"].clone()).collect();
    assert_eq!(models, ["new", "m", "new", "new"]);
}
