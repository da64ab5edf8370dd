//! What gives the answers: a server that is there, or an engine that is set up here.

use crate::local_model::listing::Listed;
use crate::local_model::served::ServerKind;
use crate::settings::Setting;
use crate::setup::discover::Found;
use crate::setup::engine::{Check, Download, Engine, Prepared};
use crate::setup::plan::Step;
use crate::setup::service::Service;
use crate::shown::{Shown, shown};

pub(super) enum Brain {
    Server(ServerBrain),
    Engine(Box<EngineBrain>),
    /// The user says where it is, later.
    None,
}

/// A server of the user's.
pub(super) struct ServerBrain {
    pub kind: ServerKind,
    pub url: String,
    pub shown: Shown,
    /// None: the server lists none, and answers with the one that it has.
    pub model: Option<Listed>,
    pub larger: Option<Larger>,
}

/// A server that is set up here.
pub(super) struct EngineBrain {
    pub engine: Engine,
    /// What was found before anything is made.
    pub check: Check,
    pub service: Service,
    pub label: String,
    pub port: u16,
    /// Once it is made.
    pub prepared: Option<Prepared>,
    /// `LLM_SERVER_CMD`, if the service is made and needs one.
    pub command: Option<String>,
}

/// A variant of an Ollama model, with a context in which agents can work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Larger {
    pub from: String,
    pub name: String,
    pub tokens: u32,
    /// Whether the server gives the model less for certain; else it is asked first, which loads the model.
    pub is_sure: bool,
}

/// With less an agent's first question hardly fits, and Ollama's default is 4096.
pub(super) const ENOUGH: u32 = 16_384;

/// The label that a service has if nobody gives another one.
const LABEL: &str = "com.local.mlxserver";

const WANTED: u32 = 32_768;

/// From here on a machine has the memory for a context of [`WANTED`].
const MUCH_MEMORY: u64 = 14 << 30;

impl Brain {
    pub(super) fn lines(&self) -> Vec<(Step, Shown)> {
        match self {
            Brain::Server(ServerBrain { shown, larger: Some(larger), .. }) => {
                let Larger { from, name, tokens, is_sure } = larger;
                let unless = if *is_sure { "" } else { ", unless its context has as much already" };
                vec![(
                    Step::Brain,
                    shown!("have Ollama at {shown} make `{name}` of `{from}`, with a context of {tokens} tokens{unless}"),
                )]
            }
            Brain::Engine(ours) => vec![
                (
                    Step::Brain,
                    shown!("set up {} with the model {}{}", ours.engine.text(), ours.engine.model(), downloads(&ours.check)),
                ),
                (Step::Service, shown!("set up the service that starts it: {}", ours.service.text())),
            ],
            Brain::Server(_) | Brain::None => vec![],
        }
    }

    /// What the user should know of it.
    pub(super) fn notes(&self) -> Vec<Shown> {
        match self {
            Brain::Server(ServerBrain { kind, model: Some(model), larger, .. }) => notes(*kind, model, larger.is_some()),
            Brain::Engine(ours) => ours.check.warnings.clone(),
            Brain::Server(_) => vec![],
            Brain::None => vec!["say in the settings file where your server is, or run this again with --url".into()],
        }
    }

    pub(super) fn settings(&self) -> Vec<(Setting, Option<String>)> {
        match self {
            Brain::Server(server) => vec![
                (Setting::Url, Some(server.url.clone())),
                (Setting::Model, server.asked_for()),
                (Setting::Supervisor, Some("none".into())),
                (Setting::ServerCommand, None),
                (Setting::ServiceLabel, None),
                (Setting::Port, None),
            ],
            Brain::Engine(ours) => vec![
                (Setting::Port, Some(ours.port.to_string())),
                (Setting::ServiceLabel, Some(ours.label.clone()).filter(|label| label != LABEL)),
                (Setting::Url, None),
                (Setting::Supervisor, None),
                (Setting::Model, Some(ours.engine.model_name())),
                (Setting::ServerCommand, ours.command.clone()),
            ],
            Brain::None => {
                vec![(Setting::Supervisor, Some("none".into())), (Setting::Model, None), (Setting::ServerCommand, None)]
            }
        }
    }
}

impl ServerBrain {
    pub(super) fn new(found: &Found, model: Option<&Listed>) -> ServerBrain {
        ServerBrain { kind: found.kind, url: found.url.clone(), shown: found.shown.clone(), model: model.cloned(), larger: None }
    }

    pub(super) fn text(&self) -> Shown {
        match self.asked_for() {
            Some(model) => shown!("`{model}` of {} at {}", self.kind, self.shown),
            None => shown!("{} at {}", self.kind, self.shown),
        }
    }

    /// The name under which it is asked for.
    pub(super) fn asked_for(&self) -> Option<String> {
        self.larger.as_ref().map(|larger| larger.name.clone()).or_else(|| Some(self.model.as_ref()?.name.clone()))
    }
}

/// What is fetched, and how long that takes where it is known.
fn downloads(check: &Check) -> Shown {
    let all: Vec<Shown> = check.downloads.iter().filter(|download| download.bytes > 0).map(Download::line).collect();
    if all.is_empty() { "".into() } else { shown!(", to be fetched: {}", all.join(", ")) }
}

/// The variant that Ollama should make of this model, if it has too little context and can be given more.
pub(super) fn larger(found: &Found, model: &Listed, memory: Option<u64>) -> Option<Larger> {
    let has = model.window.tokens.unwrap_or_default();
    let wanted = if memory.is_none_or(|memory| memory >= MUCH_MEMORY) { WANTED } else { ENOUGH };
    let tokens = model.most.map_or(wanted, |most| most.min(wanted));
    if found.kind != ServerKind::Ollama || has >= ENOUGH || tokens <= has {
        return None;
    }
    let (base, tag) = model.name.rsplit_once(':').unwrap_or((&model.name, "latest"));
    let size = tokens / 1024;
    let name = if tag == "latest" { format!("{base}:{size}k") } else { format!("{base}:{tag}-{size}k") };
    Some(Larger { from: model.name.clone(), name, tokens, is_sure: !model.window.is_assumed })
}

fn notes(kind: ServerKind, model: &Listed, gets_more: bool) -> Vec<Shown> {
    let name = &model.name;
    let mut notes = Vec::new();
    if let Some(tokens) = model.window.tokens.filter(|tokens| *tokens < ENOUGH && !gets_more) {
        let mend = match kind {
            ServerKind::Ollama => {
                "run this with --larger-context, or start `ollama serve` with OLLAMA_CONTEXT_LENGTH=32768".into()
            }
            ServerKind::LmStudio => shown!("`lms load {name} --context-length 32768`"),
            ServerKind::LlamaCpp => "start llama-server with `-c 32768`".into(),
            ServerKind::Vllm => "start vLLM with `--max-model-len 32768`".into(),
            _ => "give it more in the server's own settings".into(),
        };
        let has = if model.window.is_assumed { "gets from Ollama, unless that is told otherwise," } else { "has" };
        notes.push(shown!("`{name}` {has} a context of {tokens} tokens, which is little for agents: {mend}"));
    }
    if model.calls_tools == Some(false) {
        notes.push(shown!("`{name}` calls no tools: it answers questions, and agents can do little with it"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_model::window::Window;

    #[test]
    fn a_larger_context_is_for_ollama_where_there_is_too_little() {
        let found = |kind| Found { kind, url: String::new(), shown: "".into(), models: vec![] };
        let model = |name: &str, tokens, is_assumed, most| Listed {
            name: name.into(),
            window: Window { tokens, is_assumed },
            most,
            ..Listed::default()
        };
        let table = [
            (ServerKind::Ollama, model("qwen3:8b", Some(4096), true, Some(40_960)), 16, Some(("qwen3:8b-32k", 32_768, false))),
            (ServerKind::Ollama, model("qwen3:8b", Some(4096), false, None), 8, Some(("qwen3:8b-16k", 16_384, true))),
            (ServerKind::Ollama, model("phi:latest", Some(2048), false, Some(8192)), 16, Some(("phi:8k", 8192, true))),
            (ServerKind::Ollama, model("hf.co/a/b:Q4", None, false, None), 64, Some(("hf.co/a/b:Q4-32k", 32_768, true))),
            (ServerKind::Ollama, model("tiny", Some(2048), false, Some(2048)), 16, None),
            (ServerKind::Ollama, model("a", Some(16_384), false, Some(40_960)), 16, None),
            (ServerKind::LmStudio, model("a", Some(4096), false, Some(40_960)), 16, None),
        ];
        for (kind, model, gigabytes, expected) in table {
            let seen = larger(&found(kind), &model, Some(gigabytes << 30));
            let seen = seen.as_ref().map(|larger| (larger.name.as_str(), larger.tokens, larger.is_sure));
            assert_eq!(seen, expected, "{model:?}");
        }
    }
}
