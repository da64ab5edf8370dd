//! Which model answers, and how long its context is.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::local_model::ask::served_models;
use crate::local_model::request::RequestSettings;

/// Stands for a model without a name.
pub(crate) const NAMELESS: &str = "local";

#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Its name, as callers see it.
    pub name: String,
    /// Its context in tokens, if that is known.
    pub window: Option<u32>,
    /// Whether the server itself refuses what does not fit.
    pub is_checked: bool,
}

/// The hub's cache of models.
#[derive(Clone)]
pub(crate) struct HubCache {
    hub: Option<PathBuf>,
}

impl HubCache {
    /// `HF_HUB_CACHE`, `HF_HOME/hub` or `~/.cache/huggingface/hub`.
    pub(crate) fn new(context: &Context) -> HubCache {
        let hub = context.env("HF_HUB_CACHE").map(PathBuf::from);
        let hub = hub.or_else(|| context.env("HF_HOME").map(|home| PathBuf::from(home).join("hub")));
        HubCache { hub: hub.or_else(|| Some(context.home().ok()?.join(".cache/huggingface/hub"))) }
    }

    /// The context in the configuration of a model that a server on this machine has, given by its folder or its name on
    /// the hub.
    fn window(&self, name: &str, endpoint: &Endpoint) -> Option<u32> {
        if !endpoint.is_loopback() {
            return None;
        }
        if Path::new(name).is_absolute() {
            return window_in(&Path::new(name).join("config.json"));
        }
        let model = self.hub.as_ref()?.join(format!("models--{}", name.replace('/', "--")));
        let snapshots = fs::read_dir(model.join("snapshots")).ok()?;
        snapshots.flatten().find_map(|snapshot| window_in(&snapshot.path().join("config.json")))
    }
}

fn window_in(config: &Path) -> Option<u32> {
    let config: Value = serde_json::from_slice(&fs::read(config).ok()?).ok()?;
    [&config, &config["text_config"]].iter().find_map(|part| part["max_position_embeddings"].as_u64()?.try_into().ok())
}

/// The model of the settings, with the context of its files, if they tell both; its name only if that `is_told`.
pub(crate) fn by_settings(settings: &RequestSettings, endpoint: &Endpoint, hub_cache: &HubCache, is_told: bool) -> Option<Model> {
    let name = settings.model.as_deref().or(if is_told { None } else { Some(NAMELESS) })?;
    let window = settings.window.or_else(|| hub_cache.window(name, endpoint))?;
    Some(Model { name: shown(name), window: Some(window), is_checked: false })
}

/// The model of the settings, or else of the server's list, with the context that the server says. `None` if it lists none.
pub(crate) fn by_server(settings: &RequestSettings, endpoint: &Endpoint, hub_cache: &HubCache) -> Option<Model> {
    let served = served_models(endpoint);
    if served.is_empty() && settings.window.is_none() {
        return None;
    }
    let named = |model: &&Value| model["id"].as_str().is_some() && model["id"].as_str() == settings.model.as_deref();
    // mlx-lm lists all that is in the hub's cache: of several models none can be taken for the one that is loaded.
    let chosen = served.iter().find(named).or(if served.len() == 1 { served.first() } else { None });
    let name = settings.model.as_deref().or_else(|| chosen?["id"].as_str()).unwrap_or(NAMELESS);
    let stated = chosen.and_then(|model| {
        let places = [&model["meta"]["n_ctx"], &model["max_model_len"], &model["context_length"]];
        places.iter().find_map(|place| place.as_u64()?.try_into().ok())
    });
    Some(Model {
        name: shown(name),
        window: settings.window.or(stated).or_else(|| hub_cache.window(name, endpoint)),
        is_checked: settings.window.is_none() && stated.is_some(),
    })
}

/// The name as callers see it: llama.cpp without an alias calls a model by the whole path of its file.
pub(crate) fn shown(name: &str) -> String {
    let last = name.rsplit('/').next().filter(|last| !last.is_empty());
    if name.starts_with('/') { last.unwrap_or(name).into() } else { name.into() }
}
