//! The contexts of models in the hub's cache, and in folders: mlx-lm tells none.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::read_file::read_regular;

/// The longest configuration of a model, in bytes.
const MOST_BYTES: u64 = 4 << 20;

/// The hub's cache of models.
#[derive(Clone)]
pub(crate) struct HubCache {
    hub: Option<PathBuf>,
}

impl HubCache {
    /// `HF_HUB_CACHE`, or `hub` in the hub's own folder.
    pub(crate) fn new(context: &Context) -> HubCache {
        let hub = context.env("HF_HUB_CACHE").map(|hub| context.expand_home(hub));
        HubCache { hub: hub.or_else(|| Some(HubCache::home(context)?.join("hub"))) }
    }

    /// `HF_HOME`, or `huggingface` in `XDG_CACHE_HOME` or `~/.cache`.
    pub(crate) fn home(context: &Context) -> Option<PathBuf> {
        let home = context.env("HF_HOME").map(|home| context.expand_home(home));
        let cache = || context.env("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(context.home().ok()?.join(".cache")));
        home.or_else(|| Some(cache()?.join("huggingface")))
    }

    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.hub.clone()
    }

    /// The context in the configuration of a model that a server on this machine has, given by its folder or its name on
    /// the hub.
    pub(crate) fn window(&self, name: &str, endpoint: &Endpoint) -> Option<u32> {
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
    let config: Value = serde_json::from_slice(&read_regular(config, MOST_BYTES).ok()?).ok()?;
    [&config, &config["text_config"]].iter().find_map(|part| part["max_position_embeddings"].as_u64()?.try_into().ok())
}
