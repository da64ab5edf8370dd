//! Stand-ins of the model servers, each with the addresses and the JSON of the real one.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::stub::{Request, Stub, completion, json as reply, sse};

/// What every model here says.
pub const SAID: &str = "Hello from here.";

fn path(request: &Request) -> (&str, &str) {
    let mut words = request.line.split(' ');
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

pub fn serve(answer: impl Fn(&str, &str, &Request) -> Option<String> + Send + Sync + 'static) -> Stub {
    Stub::new(move |request, stream| {
        let (method, path) = path(request);
        let found = answer(method, path, request);
        let _ = stream.write_all(found.unwrap_or_else(|| reply(404, r#"{"error":"not found"}"#)).as_bytes());
    })
}

fn chat() -> String {
    sse(&completion(SAID))
}

pub fn list(models: Value) -> String {
    reply(200, &json!({"object": "list", "data": models}).to_string())
}

/// A model of [`ollama`]: its `num_ctx`, the longest that it can have, whether it calls tools, its size in bytes.
pub type OllamaModel = (Option<u32>, u32, bool, u64);

/// As Ollama 0.9: a model is loaded with 4096 tokens unless it has a `num_ctx`, or the server's default is `default`.
pub fn ollama(models: &[(&str, OllamaModel)], default: u32) -> (Stub, Arc<Mutex<BTreeMap<String, OllamaModel>>>) {
    let models: BTreeMap<String, OllamaModel> = models.iter().map(|(name, model)| ((*name).to_string(), *model)).collect();
    let (models, loaded) = (Arc::new(Mutex::new(models)), Mutex::new(Vec::<String>::new()));
    let shared = models.clone();
    let missing = |name: &str| reply(404, &json!({"error": format!("model '{name}' not found")}).to_string());
    let stub = serve(move |method, path, request| {
        let mut models = models.lock().unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let name = body["model"].as_str().unwrap_or_default().to_string();
        let found = models.get(&name).copied();
        Some(match (method, path) {
            ("GET", "/") => reply(200, "\"Ollama is running\""),
            ("GET", "/api/version") => reply(200, r#"{"version":"0.9.0"}"#),
            ("GET", "/v1/models") => list(
                models.keys().map(|name| json!({"id": name, "object": "model", "created": 1, "owned_by": "library"})).collect(),
            ),
            ("GET", "/api/tags") => {
                let tag =
                    |(name, model): (&String, &OllamaModel)| json!({"name": name, "model": name, "size": model.3, "digest": "d"});
                reply(200, &json!({"models": models.iter().map(tag).collect::<Vec<_>>()}).to_string())
            }
            ("GET", "/api/ps") => {
                let names = loaded.lock().unwrap().clone();
                let running =
                    |name: &String| json!({"name": name, "model": name, "context_length": models[name].0.unwrap_or(default)});
                reply(200, &json!({"models": names.iter().map(running).collect::<Vec<_>>()}).to_string())
            }
            ("POST", "/api/show") => match found {
                None => missing(&name),
                Some((num_ctx, most, tools, _)) => {
                    let parameters = num_ctx.map(|tokens| format!("num_ctx                        {tokens}")).unwrap_or_default();
                    let capabilities = if name.contains("embed") {
                        vec!["embedding"]
                    } else if tools {
                        vec!["completion", "tools"]
                    } else {
                        vec!["completion"]
                    };
                    let info = json!({"general.architecture": "qwen3", "qwen3.context_length": most});
                    reply(200, &json!({"parameters": parameters, "model_info": info, "capabilities": capabilities}).to_string())
                }
            },
            ("POST", "/api/generate") if found.is_some() => {
                loaded.lock().unwrap().push(name.clone());
                reply(200, &json!({"model": name, "response": "", "done": true, "done_reason": "load"}).to_string())
            }
            ("POST", "/api/create") => match models.get(body["from"].as_str().unwrap_or_default()).copied() {
                None => missing(body["from"].as_str().unwrap_or_default()),
                Some((_, most, tools, size)) => {
                    let tokens = body["parameters"]["num_ctx"].as_u64().and_then(|tokens| tokens.try_into().ok());
                    models.insert(name, (tokens, most, tools, size));
                    reply(200, &json!({"status": "success"}).to_string())
                }
            },
            ("DELETE", "/api/delete") => match models.remove(&name) {
                None => missing(&name),
                Some(_) => reply(200, ""),
            },
            ("POST", "/v1/chat/completions") if found.is_some() => chat(),
            ("POST", "/v1/chat/completions") => {
                let message = format!("model \"{name}\" not found, try pulling it first");
                reply(404, &json!({"error": {"message": message, "type": "not_found_error"}}).to_string())
            }
            _ => return None,
        })
    });
    (stub, shared)
}

/// As LM Studio 0.3.16: it answers 200 to any address, with an error in it.
pub fn lm_studio() -> Stub {
    serve(|method, path, _| {
        let model = |id: &str, kind: &str, is_loaded: bool| {
            let mut model = json!({"id": id, "object": "model", "type": kind, "max_context_length": 131_072, "capabilities": ["tool_use"],
                "state": if is_loaded { "loaded" } else { "not-loaded" }});
            if is_loaded {
                model["loaded_context_length"] = json!(4096);
            }
            model
        };
        Some(match (method, path) {
            ("GET", "/v1/models") => list(
                ["qwen/qwen3-8b", "google/gemma-3-27b", "text-embedding-nomic-embed-text-v1.5"]
                    .iter()
                    .map(|id| json!({"id": id, "object": "model", "owned_by": "organization_owner"}))
                    .collect(),
            ),
            ("GET", "/api/v0/models") => list(json!([
                model("google/gemma-3-27b", "vlm", false),
                model("qwen/qwen3-8b", "llm", true),
                model("text-embedding-nomic-embed-text-v1.5", "embeddings", false)
            ])),
            ("POST", "/v1/chat/completions") => chat(),
            _ => reply(200, &json!({"error": format!("Unexpected endpoint or method. ({method} {path})")}).to_string()),
        })
    })
}

/// As llama-server of 2026.
pub fn llama_server() -> Stub {
    serve(|method, path, _| {
        let id = "/models/Qwen3-8B-Q4_K_M.gguf";
        Some(match (method, path) {
            ("GET", "/health") => reply(200, r#"{"status":"ok"}"#),
            ("GET", "/v1/models") => list(json!([{"id": id, "object": "model", "owned_by": "llamacpp",
                "meta": {"n_ctx": 32_768, "n_ctx_train": 40_960, "size": 5_000_000_000_u64, "ftype": "Q4_K_M"}}])),
            ("GET", "/props") => reply(
                200,
                &json!({"default_generation_settings": {"n_ctx": 32_768},
                "chat_template_caps": {"supports_tools": true, "supports_tool_calls": true}})
                .to_string(),
            ),
            ("POST", "/v1/chat/completions") => chat(),
            _ => return None,
        })
    })
}

/// As vLLM 0.11, with `--api-key` where there is a key.
pub fn vllm(key: Option<&'static str>) -> Stub {
    serve(move |method, path, request| {
        let is_let_in = key.is_none_or(|key| request.header("authorization") == Some(&format!("Bearer {key}")));
        Some(match (method, path) {
            ("GET", "/health") => reply(200, ""),
            _ if path.starts_with("/v1") && !is_let_in => reply(401, r#"{"error":"Unauthorized"}"#),
            ("GET", "/v1/models") => {
                list(json!([{"id": "Qwen/Qwen3-8B", "object": "model", "owned_by": "vllm", "max_model_len": 40_960}]))
            }
            ("POST", "/v1/chat/completions") => chat(),
            _ => reply(404, r#"{"detail":"Not Found"}"#),
        })
    })
}

/// As mlx_lm.server 0.32: it lists all that is in the hub's cache.
pub fn mlx_lm() -> Stub {
    serve(|method, path, _| {
        let plain = |body: Value| {
            format!("HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.12.3\r\nContent-type: application/json\r\n\r\n{body}")
        };
        Some(match (method, path) {
            ("GET", "/health") => plain(json!({"status": "ok"})),
            ("GET", "/v1/models") => plain(json!({"object": "list", "data": [
                {"id": "mlx-community/Qwen2.5-7B-Instruct-4bit", "object": "model", "created": 1},
                {"id": "mlx-community/gemma-3-27b-it-4bit", "object": "model", "created": 1}]})),
            ("POST", "/v1/chat/completions") => chat(),
            _ => return None,
        })
    })
}
