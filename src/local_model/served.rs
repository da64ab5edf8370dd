//! What a server's list of models tells: which program it is, which model to ask for, and that one's context. No I/O here.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::shown::{Shown, shown};

/// The model that the documentation names as the default.
const DOCUMENTED_DEFAULT: &str = "mlx-community/Qwen2.5-7B-Instruct-4bit";

/// Ollama's context where neither the server nor the model sets another, in tokens.
pub(crate) const OLLAMA_DEFAULT: u32 = 4096;

/// The longest name of a model, in bytes: it may be a path.
const MOST_NAME: usize = 4096;

/// The program that serves the models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServerKind {
    LlamaCpp,
    Ollama,
    LmStudio,
    Vllm,
    Sglang,
    MlxLm,
    #[default]
    #[serde(other)]
    Unknown,
}

impl ServerKind {
    /// Whether the server itself refuses what does not fit. Ollama and LM Studio drop a part of it without a word
    /// (ollama/ollama#3839), and mlx-lm 0.32 checks nothing.
    pub(crate) fn refuses_what_is_too_long(self) -> bool {
        !matches!(self, ServerKind::Ollama | ServerKind::LmStudio | ServerKind::MlxLm)
    }
}

impl std::fmt::Display for ServerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ServerKind::LlamaCpp => "llama.cpp",
            ServerKind::Ollama => "Ollama",
            ServerKind::LmStudio => "LM Studio",
            ServerKind::Vllm => "vLLM",
            ServerKind::Sglang => "SGLang",
            ServerKind::MlxLm => "mlx-lm",
            ServerKind::Unknown => "a model server",
        })
    }
}

/// The models that a server lists.
#[derive(Debug, Default)]
pub(crate) struct Served {
    pub kind: ServerKind,
    models: Vec<Value>,
    /// Whether it has answered with a list at all.
    is_list: bool,
}

/// What to ask for if the user has named no model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Model(String),
    /// Nothing is listed, or it is not known which of the listed ones our own mlx-lm has loaded.
    WhateverIsLoaded,
    /// Several, and none of them is the default.
    OneOf(Vec<String>),
}

impl Served {
    /// `program` is the response's `Server` header.
    pub(crate) fn read(list: &mut Value, program: &str) -> Served {
        // Ollama without a model lists `null`.
        let is_list = list.is_array() || list.get("data").is_some_and(|data| data.is_array() || data.is_null());
        let list = if list.is_array() { list.take() } else { list.get_mut("data").map(Value::take).unwrap_or_default() };
        let models = match list {
            Value::Array(models) => models,
            _ => vec![],
        };
        Served { kind: kind(&models, program), models, is_list }
    }

    /// The names of the models that can chat; of all models if none looks so. What no setting could hold is no name.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut known = HashSet::new();
        let listed = self.models.iter().filter_map(|model| model["id"].as_str());
        let is_name = |name: &str| !name.is_empty() && name.len() <= MOST_NAME && *Shown::line(name) == *name;
        let names: Vec<&str> = listed.filter(|name| is_name(name) && known.insert(*name)).collect();
        let for_chats: Vec<&str> = names.iter().copied().filter(|name| !has_other_use(name)).collect();
        if for_chats.is_empty() { names } else { for_chats }
    }

    /// The list's entry of this model.
    pub(super) fn entry(&self, name: &str) -> Option<&Value> {
        self.models.iter().find(|model| model["id"].as_str() == Some(name))
    }

    /// There is a list, and no model in it.
    pub(crate) fn is_empty_list(&self) -> bool {
        self.is_list && self.models.is_empty()
    }

    pub(crate) fn choose(&self, is_ours: bool) -> Choice {
        match self.names().as_slice() {
            [] => Choice::WhateverIsLoaded,
            [only] => Choice::Model((*only).into()),
            // mlx-lm lists all that is in the hub's cache, and drops the model that it has loaded if another one is asked for. The
            // server of our service has loaded the service's.
            _ if is_ours && self.kind == ServerKind::MlxLm => Choice::WhateverIsLoaded,
            several if several.contains(&DOCUMENTED_DEFAULT) => Choice::Model(DOCUMENTED_DEFAULT.into()),
            several => Choice::OneOf(several.iter().map(|name| (*name).into()).collect()),
        }
    }

    /// The context that the list tells of the model with this name, or of the only model: llama.cpp answers to any name.
    pub(crate) fn window(&self, name: &str) -> Option<u32> {
        let is_named = |model: &&Value| model["id"].as_str().is_some_and(|id| is_same(id, name));
        let only = || if self.models.len() == 1 { self.models.first() } else { None };
        let model = self.models.iter().find(is_named).or_else(only)?;
        first_size(&[&model["meta"]["n_ctx"], &model["max_model_len"], &model["context_length"]])
    }
}

/// Whether a model is not for chats, by its name. LM Studio brings one that makes embeddings, and Ollama's library has more of them;
/// LocalAI and vLLM list models of other kinds beside the one that chats.
fn has_other_use(name: &str) -> bool {
    const PARTS: [&str; 6] = ["embed", "rerank", "bge-", "minilm", "gte-", "whisper"];
    let name = name.to_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// Ollama takes a name without a tag for `latest`.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.strip_suffix(":latest").unwrap_or(one) == other.strip_suffix(":latest").unwrap_or(other)
}

/// The first of these that is a number of tokens. Some servers write it as text, and some with a decimal point.
pub(crate) fn first_size(places: &[&Value]) -> Option<u32> {
    let number = |place: &Value| place.as_f64().or_else(|| place.as_str()?.trim().parse().ok());
    let is_size = |number: &f64| (1.0..=f64::from(u32::MAX)).contains(number);
    places.iter().find_map(|place| number(place).filter(is_size).map(|number| number as u32))
}

fn kind(models: &[Value], program: &str) -> ServerKind {
    let is_owned_by = |owner: &str| models.iter().any(|model| model["owned_by"] == owner);
    let has_tag = |model: &Value| model["id"].as_str().is_some_and(|id| id.contains(':')) && model["owned_by"].is_string();
    let says_n_ctx = |model: &Value| !model["meta"]["n_ctx"].is_null();
    if is_owned_by("llamacpp") || program.starts_with("llama.cpp") || models.iter().any(says_n_ctx) {
        ServerKind::LlamaCpp
    } else if is_owned_by("vllm") {
        ServerKind::Vllm
    } else if is_owned_by("sglang") {
        ServerKind::Sglang
    } else if is_owned_by("organization_owner") {
        ServerKind::LmStudio
    // The owner is the namespace: `library` unless the model comes from elsewhere (ollama 0.9, openai/openai.go).
    } else if is_owned_by("library") || !models.is_empty() && models.iter().all(has_tag) {
        ServerKind::Ollama
    } else if program.starts_with("BaseHTTP") && models.iter().all(|model| model["owned_by"].is_null()) {
        ServerKind::MlxLm
    } else {
        ServerKind::Unknown
    }
}

/// The error for a server with several models. `key`: the variable that chooses one.
pub(crate) fn several(key: String, names: Vec<String>) -> Error {
    const MOST_NAMED: usize = 10;
    let named: Vec<String> = names.iter().take(MOST_NAMED).map(|name| format!("`{}`", Shown::line(name))).collect();
    let more = names.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(" or {more} more") } else { String::new() };
    Error::SeveralModels { key: Shown::line(key), names: shown!("{}{more}", named.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::Setting;

    fn served(models: &Value, program: &str) -> Served {
        Served::read(&mut json!({"object": "list", "data": models}), program)
    }

    #[test]
    fn each_server_is_known_by_its_list() {
        let table = [
            (json!([{"id": "/m/x.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 9}}]), "", ServerKind::LlamaCpp),
            (json!([{"id": "m", "meta": {"n_ctx": 9}}]), "", ServerKind::LlamaCpp),
            (json!([{"id": "m"}]), "llama.cpp", ServerKind::LlamaCpp),
            (json!([{"id": "m", "owned_by": "vllm", "max_model_len": 9}]), "uvicorn", ServerKind::Vllm),
            (json!([{"id": "m", "owned_by": "sglang", "max_model_len": 9}]), "uvicorn", ServerKind::Sglang),
            (json!([{"id": "m", "owned_by": "organization_owner"}]), "", ServerKind::LmStudio),
            (json!([{"id": "qwen3:8b", "owned_by": "library"}]), "", ServerKind::Ollama),
            (json!([{"id": "hf.co/bartowski/X-GGUF:Q4", "owned_by": "bartowski"}]), "", ServerKind::Ollama),
            (json!([{"id": "org/m", "created": 1}]), "BaseHTTP/0.6 Python/3.12.3", ServerKind::MlxLm),
            (json!([]), "BaseHTTP/0.6 Python/3.12.3", ServerKind::MlxLm),
            (json!([{"id": "org/m", "owned_by": "me"}]), "BaseHTTP/0.6 Python/3.12.3", ServerKind::Unknown),
            (json!([{"id": "m"}]), "", ServerKind::Unknown),
            (json!({"id": "m"}), "", ServerKind::Unknown),
            (json!([7, null, {"id": 7}]), "", ServerKind::Unknown),
            (json!("x"), "", ServerKind::Unknown),
        ];
        for (models, program, expected) in table {
            assert_eq!(served(&models, program).kind, expected, "{models} {program}");
        }
        let mut bare = json!([{"id": "a"}]);
        assert_eq!(Served::read(&mut bare, "").names(), ["a"]);
        for mut odd in [json!("x"), json!(7), json!([]), json!(null)] {
            assert_eq!(Served::read(&mut odd, "").names().len(), 0);
        }
    }

    #[test]
    fn one_model_or_the_default_is_taken() {
        let model = |name: &str| Choice::Model(name.into());
        let list = |names: &[&str]| names.iter().map(|name| json!({"id": name})).collect::<Value>();
        let (mlx, default) = ("BaseHTTP/0.6 Python/3.12.3", DOCUMENTED_DEFAULT);
        let table = [
            (list(&[]), mlx, false, Choice::WhateverIsLoaded),
            (list(&["a"]), "", false, model("a")),
            (list(&["a"]), mlx, true, model("a")),
            (list(&["a", "text-embedding-nomic-embed-text-v1.5"]), "", false, model("a")),
            (list(&["a", "a"]), "", false, model("a")),
            (list(&["nomic-embed-text:latest"]), "", false, model("nomic-embed-text:latest")),
            (
                list(&["Qwen3-Embedding-0.6B", "bge-m3:latest", "all-minilm", "jina-reranker", "whisper-1", "a"]),
                "",
                false,
                model("a"),
            ),
            (list(&["a", default]), "", false, model(default)),
            (list(&["a", default]), mlx, false, model(default)),
            (list(&["a", default]), mlx, true, Choice::WhateverIsLoaded),
            (list(&["a", "b"]), mlx, true, Choice::WhateverIsLoaded),
            (list(&["a", "b"]), mlx, false, Choice::OneOf(vec!["a".into(), "b".into()])),
            (list(&["a", "b"]), "", true, Choice::OneOf(vec!["a".into(), "b".into()])),
            (json!([{"no": "id"}, {"id": 7}, {"id": ""}]), "", false, Choice::WhateverIsLoaded),
            (json!(null), "", false, Choice::WhateverIsLoaded),
        ];
        for (models, program, is_ours, expected) in table {
            assert_eq!(served(&models, program).choose(is_ours), expected, "{models} {program} {is_ours}");
        }
    }

    #[test]
    fn the_context_in_the_list() {
        let table = [
            (json!([{"id": "m", "meta": {"n_ctx": 8192, "n_ctx_train": 9}}]), "any", Some(8192)),
            (json!([{"id": "m", "max_model_len": 32768}]), "m", Some(32768)),
            (json!([{"id": "a", "max_model_len": 1}, {"id": "b", "context_length": 2}]), "b", Some(2)),
            (json!([{"id": "a:latest", "max_model_len": 1}, {"id": "b", "max_model_len": 2}]), "a", Some(1)),
            (json!([{"id": "a", "max_model_len": 1}, {"id": "b", "max_model_len": 2}]), "c", None),
            (json!([{"id": "m", "meta": {"n_ctx": "8192"}, "max_model_len": 0}]), "m", Some(8192)),
            (json!([{"id": "m", "max_model_len": 8192.0}]), "m", Some(8192)),
            (json!([{"id": "m", "meta": {"n_ctx": "many"}, "max_model_len": 1e12, "context_length": 0}]), "m", None),
            (json!([{"id": "m", "max_model_len": -1}]), "m", None),
            (json!([]), "m", None),
        ];
        for (models, name, expected) in table {
            assert_eq!(served(&models, "").window(name), expected, "{models} {name}");
        }
    }

    #[test]
    fn at_most_ten_models_are_named() {
        let names = |count: usize| (0..count).map(|number| number.to_string()).collect();
        assert_eq!(
            several(Setting::Model.name().into(), names(2)).to_string(),
            "the local server has several models, and none is chosen: set LOCAL_LLM_MODEL to one of `0`, `1`"
        );
        let said = several(Setting::Model.name().into(), names(12)).to_string();
        assert!(said.ends_with("`8`, `9` or 2 more"), "{said}");
    }
}
