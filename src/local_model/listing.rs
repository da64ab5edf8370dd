//! The models of a server as a person chooses from them: how much context each has, and whether it calls tools, as the server says.

use std::time::Duration;

use serde_json::{Value, json};

use crate::completions::endpoint::{Endpoint, Timeouts};
use crate::local_model::served::{Served, ServerKind, first_size, is_same};
use crate::local_model::window::{self, TIMEOUTS, Window, get, most_of_the_model, post};

/// A model that a server lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub name: String,
    pub window: Window,
    /// The longest context that it can be given, in tokens.
    pub most: Option<u32>,
    /// None: the server does not say.
    pub calls_tools: Option<bool>,
    /// Of its weights.
    pub bytes: Option<u64>,
    pub is_loaded: bool,
}

/// The models that can chat. At most this many are asked after.
const MOST_ASKED: usize = 40;

pub(crate) fn list(endpoint: &Endpoint, served: &Served) -> Vec<Listed> {
    let names = served.names().into_iter().take(MOST_ASKED);
    match served.kind {
        ServerKind::Ollama => {
            let (tags, running) = (get(endpoint, "/api/tags"), get(endpoint, "/api/ps"));
            names.filter_map(|name| of_ollama(endpoint, served, name, &tags, &running)).collect()
        }
        ServerKind::LmStudio => {
            let list = get(endpoint, "/api/v0/models");
            names.filter_map(|name| of_lm_studio(name, &list)).collect()
        }
        ServerKind::LlamaCpp => {
            let props = get(endpoint, "/props");
            names.map(|name| of_llama_cpp(endpoint, served, name, &props)).collect()
        }
        _ => names.map(|name| bare(endpoint, served, name)).collect(),
    }
}

/// The program, also if it lists no model by which it is known.
pub(crate) fn kind(endpoint: &Endpoint, served: &Served) -> ServerKind {
    let is_ollama = || served.names().is_empty() && get(endpoint, "/api/version")["version"].is_string();
    if served.kind == ServerKind::Unknown && is_ollama() { ServerKind::Ollama } else { served.kind }
}

fn bare(endpoint: &Endpoint, served: &Served, name: &str) -> Listed {
    let window = window::ask(endpoint, served, name);
    Listed { name: name.into(), window, most: window.tokens, ..Listed::default() }
}

/// None for a model that does not chat, such as one for embeddings.
fn of_ollama(endpoint: &Endpoint, served: &Served, name: &str, tags: &Value, running: &Value) -> Option<Listed> {
    let shown = post(endpoint, "/api/show", &json!({ "model": name }));
    // Since Ollama 0.6.4 (`capabilities` of api.ShowResponse).
    let abilities = shown["capabilities"].as_array();
    let can = |ability: &str| abilities.map(|abilities| abilities.iter().any(|one| one == ability));
    let of_name = |list: &Value| list["models"].as_array().into_iter().flatten().find(|one| is_named(one, name)).cloned();
    (can("completion") != Some(false)).then(|| Listed {
        most: most_of_the_model(&shown["model_info"]),
        calls_tools: can("tools"),
        bytes: of_name(tags).and_then(|model| model["size"].as_u64()),
        is_loaded: of_name(running).is_some(),
        ..bare(endpoint, served, name)
    })
}

fn is_named(model: &Value, name: &str) -> bool {
    ["name", "model"].iter().any(|key| model[*key].as_str().is_some_and(|id| is_same(id, name)))
}

/// `/api/v0/models` tells the type and, since 0.3.16, what a model can.
fn of_lm_studio(name: &str, list: &Value) -> Option<Listed> {
    let model = list["data"].as_array().into_iter().flatten().find(|model| model["id"] == name).cloned().unwrap_or_default();
    let is_loaded = model["state"] == "loaded";
    let abilities = model["capabilities"].as_array();
    (model["type"] != "embeddings").then(|| Listed {
        name: name.into(),
        window: Window { tokens: first_size(&[&model["loaded_context_length"]]).filter(|_| is_loaded), is_assumed: false },
        most: first_size(&[&model["max_context_length"]]),
        calls_tools: abilities.map(|abilities| abilities.iter().any(|one| one == "tool_use")),
        bytes: None,
        is_loaded,
    })
}

fn of_llama_cpp(endpoint: &Endpoint, served: &Served, name: &str, props: &Value) -> Listed {
    let entry = served.entry(name).cloned().unwrap_or_default();
    Listed {
        most: first_size(&[&entry["meta"]["n_ctx_train"]]),
        calls_tools: props["chat_template_caps"]["supports_tools"].as_bool(),
        bytes: entry["meta"]["size"].as_u64(),
        is_loaded: true,
        ..bare(endpoint, served, name)
    }
}

/// Has Ollama make `name` of the model `from`, with another context. It shares the weights of that.
///
/// # Errors
/// What the server says.
pub(crate) fn derive_at_ollama(endpoint: &Endpoint, from: &str, name: &str, tokens: u32) -> Result<(), String> {
    // Since 0.5.5 (docs/api.md); before that a model's file had to be sent.
    let body = json!({ "model": name, "from": from, "parameters": { "num_ctx": tokens }, "stream": false });
    let timeouts = Timeouts { idle: Duration::from_secs(600), whole: None, ..TIMEOUTS };
    let mut response =
        endpoint.post_at_root("/api/create", body.to_string().as_bytes(), timeouts).map_err(|error| error.to_string())?;
    let status = response.status();
    let said = crate::completions::endpoint::short_body(&mut response);
    let json: Value = serde_json::from_str(&said).unwrap_or_default();
    match json["error"].as_str() {
        None if status.is_success() => Ok(()),
        Some(error) => Err(error.into()),
        None => Err(format!("HTTP {status}")),
    }
}

/// Whether it is gone.
pub(crate) fn delete_at_ollama(endpoint: &Endpoint, name: &str) -> bool {
    let deleted = endpoint.delete_at_root("/api/delete", json!({ "model": name }).to_string().as_bytes(), TIMEOUTS);
    deleted.is_ok_and(|response| response.status().is_success() || response.status().as_u16() == 404)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lm_studio_says_of_its_models() {
        let list = json!({"data": [
            {"id": "a", "type": "llm", "state": "loaded", "max_context_length": 131_072, "loaded_context_length": 4096,
             "capabilities": ["tool_use"]},
            {"id": "b", "type": "vlm", "state": "not-loaded", "max_context_length": 8192, "capabilities": ["vision"]},
            {"id": "c", "type": "llm", "state": "not-loaded"},
            {"id": "d", "type": "embeddings", "state": "not-loaded"}]});
        let of = |name: &str| {
            of_lm_studio(name, &list).map(|model| (model.window.tokens, model.most, model.calls_tools, model.is_loaded))
        };
        assert_eq!(of("a"), Some((Some(4096), Some(131_072), Some(true), true)));
        assert_eq!(of("b"), Some((None, Some(8192), Some(false), false)));
        assert_eq!(of("c"), Some((None, None, None, false)));
        assert_eq!(of("d"), None);
        assert_eq!(of("of another list"), Some((None, None, None, false)));
    }
}
