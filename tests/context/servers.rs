//! The context, asked where each server tells it.

use serde_json::json;

use super::{MEMORY, Page, Played, home, known, list, long, says};

/// A server, and what a call knows of it.
struct Case {
    what: &'static str,
    pages: Vec<(&'static str, Page)>,
    /// As the user names it.
    model: Option<&'static str>,
    name: &'static str,
    window: u64,
    /// What is asked beside the list and the question.
    asked: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    let llama = |meta| list(json!([{"id": "/models/tiny.gguf", "object": "model", "owned_by": "llamacpp", "meta": meta}]));
    let ollama = || {
        list(json!([{"id": "qwen3:8b", "object": "model", "created": 1, "owned_by": "library"},
                    {"id": "llama3.2:latest", "object": "model", "created": 1, "owned_by": "library"}]))
    };
    let running = |name: &str| {
        json!({"models": [{"name": name, "model": name, "size": 1, "size_vram": 1, "context_length": 16384,
                           "expires_at": "2026-11-22T13:46:05Z", "details": {"family": "qwen3"}}]})
    };
    let shown = |parameters: &str| {
        json!({"modelfile": "FROM x", "parameters": parameters, "template": "{{ .Prompt }}",
               "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960, "qwen3.embedding_length": 1}})
    };
    let lm_studio = |models| {
        (
            list(json!([{"id": "qwen2.5-7b-instruct", "object": "model", "owned_by": "organization_owner"},
                        {"id": "text-embedding-nomic-embed-text-v1.5", "object": "model", "owned_by": "organization_owner"}])),
            says("GET /api/v0/models", json!({"object": "list", "data": models})),
        )
    };
    let (loaded_list, loaded) = lm_studio(json!([
        {"id": "other", "state": "loaded", "max_context_length": 7, "loaded_context_length": 7},
        {"id": "qwen2.5-7b-instruct", "object": "model", "type": "llm", "state": "loaded", "max_context_length": 32768,
         "loaded_context_length": 6144}]));
    let (unloaded_list, unloaded) = lm_studio(json!([
        {"id": "qwen2.5-7b-instruct", "object": "model", "type": "llm", "state": "not-loaded", "max_context_length": 32768}]));
    let case = |what, pages, model, name, window, asked| Case { what, pages, model, name, window, asked };
    vec![
        case("llama.cpp", vec![llama(json!({"n_ctx": 8192, "n_ctx_train": 131072}))], None, "tiny.gguf", 8192, &[]),
        case(
            "llama.cpp that lists no context",
            vec![
                llama(json!({"n_ctx_train": 131072, "n_params": 1})),
                says("GET /props", json!({"total_slots": 4, "default_generation_settings": {"id": 0, "n_ctx": 4096}})),
            ],
            Some("any"),
            "any",
            4096,
            &["GET /props"],
        ),
        case(
            "vLLM",
            vec![list(json!([{"id": "org/m", "object": "model", "owned_by": "vllm", "root": "org/m", "max_model_len": 32768}]))],
            None,
            "org/m",
            32768,
            &[],
        ),
        case(
            "SGLang",
            vec![list(json!([{"id": "org/m", "object": "model", "owned_by": "sglang", "max_model_len": 131072}]))],
            Some("org/m"),
            "org/m",
            131_072,
            &[],
        ),
        case(
            "Ollama with the model loaded",
            vec![ollama(), says("GET /api/ps", running("qwen3:8b"))],
            Some("qwen3:8b"),
            "qwen3:8b",
            16384,
            &["GET /api/ps"],
        ),
        case(
            "Ollama, a name without its tag",
            vec![ollama(), says("GET /api/ps", running("llama3.2:latest"))],
            Some("llama3.2"),
            "llama3.2",
            16384,
            &["GET /api/ps"],
        ),
        case(
            "Ollama with another model loaded, and a context in the model's file",
            vec![
                ollama(),
                says("GET /api/ps", running("llama3.2:latest")),
                says("POST /api/show", shown("temperature 0.7\nnum_ctx                        32768\nstop \"<|im_end|>\"")),
            ],
            Some("qwen3:8b"),
            "qwen3:8b",
            32768,
            &["GET /api/ps", "POST /api/show"],
        ),
        case(
            "Ollama with more in the model's file than the model can",
            vec![ollama(), says("GET /api/ps", json!({"models": []})), says("POST /api/show", shown("num_ctx 1000000"))],
            Some("qwen3:8b"),
            "qwen3:8b",
            40960,
            &["GET /api/ps", "POST /api/show"],
        ),
        case(
            "Ollama that tells nothing of the model",
            vec![ollama(), says("GET /api/ps", json!({"models": []})), says("POST /api/show", shown("stop \"x\""))],
            Some("qwen3:8b"),
            "qwen3:8b",
            4096,
            &["GET /api/ps", "POST /api/show"],
        ),
        case("LM Studio", vec![loaded_list, loaded], None, "qwen2.5-7b-instruct", 6144, &["GET /api/v0/models"]),
        case(
            "LM Studio before it has loaded the model",
            vec![unloaded_list, unloaded],
            Some("qwen2.5-7b-instruct"),
            "qwen2.5-7b-instruct",
            0,
            &["GET /api/v0/models"],
        ),
        case(
            "a server before llama.cpp",
            vec![
                list(json!([{"id": "m", "object": "model"}])),
                says("GET /props", json!({"default_generation_settings": {"n_ctx": 2048}})),
            ],
            None,
            "m",
            2048,
            &["GET /props"],
        ),
        case(
            "a server that nobody knows",
            vec![list(json!([{"id": "m", "object": "model"}]))],
            None,
            "m",
            0,
            &["GET /props", "GET /api/ps"],
        ),
    ]
}

/// The first call waits for no more than a moment, so it may know nothing yet. The second one asks nobody.
#[test]
fn each_server_tells_its_context_once() {
    for Case { what, pages, model, name, window, asked } in cases() {
        let mut sandbox = home("", model);
        let server = Played::noting(pages, Some(sandbox.path(MEMORY)));
        sandbox.set("LOCAL_LLM_URL", server.url());
        known(&sandbox);
        let places = server.places();
        let mut seen: Vec<&str> = places.iter().map(String::as_str).filter(|place| !place.contains("/health")).collect();
        let mut expected: Vec<&str> = [&["GET /v1/models"], asked, &["POST /v1/chat/completions"]].concat();
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected, "{what}");
        assert_eq!(known(&sandbox), (window, name.into()), "{what}");
        assert_eq!(server.places()[places.len()..], ["POST /v1/chat/completions"], "{what}");
    }
}

/// The user's own word.
#[test]
fn a_setting_wins_and_nobody_is_asked() {
    for Case { what, pages, .. } in cases() {
        let server = Played::new(pages);
        let mut sandbox = home(&server.url(), Some("mine"));
        sandbox.set("LOCAL_LLM_CONTEXT", "12345");
        assert_eq!(known(&sandbox), (12345, "mine".into()), "{what}");
        assert_eq!(server.places(), ["POST /v1/chat/completions"], "{what}");
    }
}

#[test]
fn a_server_that_never_tells_is_not_waited_for() {
    let llama = || list(json!([{"id": "m", "owned_by": "llamacpp"}]));
    let ollama = || list(json!([{"id": "m:1b", "owned_by": "library"}]));
    let silent = [
        vec![("GET /v1/models", Page::Never)],
        vec![llama(), ("GET /props", Page::Never)],
        vec![ollama(), ("GET /api/ps", Page::Never)],
        vec![ollama(), says("GET /api/ps", json!({"models": []})), ("POST /api/show", Page::Never)],
        vec![list(json!([{"id": "m", "owned_by": "organization_owner"}])), ("GET /api/v0/models", Page::Never)],
    ];
    for pages in silent {
        for model in [None, Some("m:1b")] {
            let server = Played::new(pages.clone());
            let sandbox = home(&server.url(), model);
            sandbox.cmd("claude").args(&["-p"]).stdin(long(2000)).run().expect(0, "ok\n", "");
            let chats = server.chats();
            assert_eq!(chats.len(), 1, "{:?}", server.places());
            assert!(chats[0]["messages"][0]["content"].as_str().unwrap().len() > 10_000, "all of it is sent");
        }
    }
}

#[test]
fn a_late_word_is_for_the_next_call() {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::{Duration, Instant};

    use super::{answer, is_chat};
    use crate::support::stub::{Stub, json as json_answer, sse};

    let mut sandbox = home("", Some("m"));
    let memory = sandbox.path(MEMORY);
    let has_asked = AtomicBool::new(false);
    let wait_for = |holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let stub = Stub::new(move |request, stream| {
        let page = match request.line.as_str() {
            "GET /v1/models HTTP/1.1" => json!({"data": [{"id": "m", "owned_by": "llamacpp"}]}),
            "GET /props HTTP/1.1" => {
                // The question comes first, and its answer after the server has told its context.
                wait_for(&|| has_asked.load(SeqCst));
                json!({"default_generation_settings": {"n_ctx": 3000}})
            }
            _ => json!({}),
        };
        if !is_chat(request) {
            let _ = stream.write_all(json_answer(200, &page.to_string()).as_bytes());
            return;
        }
        has_asked.store(true, SeqCst);
        wait_for(&|| memory.exists());
        let _ = stream.write_all(sse(&answer(5)).as_bytes());
    });
    sandbox.set("LOCAL_LLM_URL", stub.url());
    assert_eq!(known(&sandbox), (0, "m".into()), "it is not known yet");
    assert_eq!(known(&sandbox), (3000, "m".into()));
}
