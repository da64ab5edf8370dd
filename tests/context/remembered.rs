//! What is kept of a server between calls.

use std::fs;

use serde_json::{Value, json};

use super::{MEMORY, Played, home, known, list, long, says};
use crate::support::Sandbox;

fn llama(n_ctx: u32) -> Played {
    Played::new(vec![list(json!([{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": n_ctx}}]))])
}

fn memory(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(MEMORY)).unwrap()).unwrap()
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
    let sandbox = home(&server.url(), None);
    sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
    let text = memory(&sandbox).to_string().replace("65536", "1500");
    sandbox.write(MEMORY, text);
    sandbox.cmd("claude").arg("-p").stdin(long(6000)).run().expect(0, "ok\n", "");
    assert_eq!(server.places().iter().filter(|place| *place == "GET /v1/models").count(), 2);
    assert_eq!(memory(&sandbox)["servers"][0]["models"][""]["window"], 65_536);
}

const ASSUMED: &str = "claude: warning: Ollama does not say how long the context of `m:1b` is: 4096 tokens, its default, count; set \
                       OLLAMA_CONTEXT_LENGTH where Ollama runs, or LOCAL_LLM_CONTEXT here\n";

fn ollama(loads: bool) -> Played {
    let running = json!([{"name": "m:1b", "model": "m:1b", "context_length": 32768}]);
    let mut pages = vec![
        list(json!([{"id": "m:1b", "owned_by": "library"}])),
        says("GET /api/ps", json!({"models": if loads { running } else { json!([]) }})),
        says("POST /api/show", json!({"parameters": "", "model_info": {"m.context_length": 131_072}})),
    ];
    if loads {
        pages.push(says("POST /api/generate", json!({"model": "m:1b", "response": "", "done": true, "done_reason": "load"})));
    }
    Played::new(pages)
}

#[test]
fn what_ollama_does_not_tell_is_said_once() {
    let server = ollama(false);
    let sandbox = home(&server.url(), None);
    let ask = || sandbox.cmd("claude").arg("-p").stdin(long(6000)).run();
    ask().expect(0, "ok\n", ASSUMED);
    ask().expect(0, "ok\n", "");
    assert_eq!(server.chats().len(), 2);
}

/// Ollama tells the context of a model that it has loaded, which an answer waits for anyhow.
#[test]
fn a_model_is_loaded_to_hear_its_context() {
    let server = ollama(true);
    let sandbox = home(&server.url(), None);
    sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
    // As it was heard before the model was loaded.
    let text = memory(&sandbox).to_string().replace("32768", "4096").replace(r#""is_assumed":false"#, r#""is_assumed":true"#);
    sandbox.write(MEMORY, text);
    sandbox.cmd("claude").arg("-p").stdin(long(6000)).run().expect(0, "ok\n", "");
    let known = &memory(&sandbox)["servers"][0]["models"][""];
    assert_eq!((&known["window"], &known["is_assumed"]), (&json!(32768), &json!(false)));
}
