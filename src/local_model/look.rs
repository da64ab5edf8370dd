//! A look at the local models that calls rely on, before they are needed: whether each can answer, and whether agents can work with it.
//!
//! It loads no model and asks none anything, and takes a few seconds at most, whatever the servers do.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::completions::endpoint::{Endpoint, Timeouts};
use crate::error::Error;
use crate::local_model::chain::{Chain, Link};
use crate::local_model::served::{Choice, Served, ServerKind, is_same, several};
use crate::local_model::window;
use crate::server::probe::ServerState;
use crate::settings::Setting;
use crate::shown::{Shown, shown};

/// The smallest context in which an agent does long work, in tokens.
pub(crate) const LEAST_FOR_AGENTS: u32 = 8192;

/// The context that an agent works well in, in tokens: what the texts ask for.
pub(crate) const GOOD_FOR_AGENTS: u32 = 32_768;

/// How long a server may take for each answer.
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(2), idle: Duration::from_secs(3), whole: Some(Duration::from_secs(4)) };

/// How long all of it may take: a name server that says nothing is bound by no timeout of ours.
const LIMIT: Duration = Duration::from_secs(10);

/// What stands in the way of a local model.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It will not answer.
    NoAnswer(Error),
    /// It answers, and its context is too small for agents.
    SmallContext(Error),
}

/// For each link of the chain what stands in its way, in their order; the small model is the last. All are asked at the same time.
pub(crate) fn at_all(chain: &Arc<Chain>, needs_agents: bool) -> Vec<Option<Trouble>> {
    let (found, looks) = channel();
    for place in 0..chain.links().len() {
        let (found, chain) = (found.clone(), chain.clone());
        thread::spawn(move || {
            let is_main = place < chain.main_links().len();
            let _ = found.send((place, at(&chain.links()[place], needs_agents && is_main)));
        });
    }
    drop(found);
    let begun = Instant::now();
    let in_time = |link: &Link| Some(Trouble::NoAnswer(link.server.no_use("it has not answered in time")));
    let mut troubles: Vec<_> = chain.links().iter().map(in_time).collect();
    while let Ok((place, trouble)) = looks.recv_timeout(LIMIT.saturating_sub(begun.elapsed())) {
        troubles[place] = trouble;
    }
    troubles
}

fn at(link: &Link, needs_agents: bool) -> Option<Trouble> {
    let server = &link.server;
    let no_answer = |error| Some(Trouble::NoAnswer(error));
    match (server.state(), server.is_ours()) {
        (ServerState::Down, true) => return server.check_installed().err().map(Trouble::NoAnswer),
        (ServerState::Down, false) => return no_answer(server.not_there()),
        (ServerState::Foreign(what), _) => return no_answer(server.no_use(&what)),
        (ServerState::Hung, false) => return no_answer(server.no_use("it listens, but does not answer")),
        (ServerState::Dead(why), false) => return no_answer(server.no_use(&format!("its model does not run: {why}"))),
        // What is ours is started anew, and what loads will be there.
        (ServerState::Hung | ServerState::Dead(_), true) | (ServerState::Loading, _) => return None,
        (ServerState::Up, _) => {}
    }
    if let Some(why) = window::refused(server.endpoint(), TIMEOUTS) {
        return no_answer(server.no_use(&why));
    }
    let served = window::served_within(server.endpoint(), TIMEOUTS)?;
    let named = link.settings.model.as_deref();
    if let Some(error) = without_model(&served, named, server.is_ours(), server.endpoint()) {
        return no_answer(error);
    }
    if !needs_agents {
        return None;
    }
    let name = named.map(str::to_string).or_else(|| match served.choose(server.is_ours()) {
        Choice::Model(name) => Some(name),
        _ => None,
    });
    let stated = link.settings.window;
    let window = window::ask_within(server.endpoint(), &served, name.as_deref().unwrap_or_default(), TIMEOUTS);
    // A call uses what the user says, and no server reads more than it has; an assumption counts where neither is known.
    let its_own = window.tokens.filter(|_| !window.is_assumed || stated.is_none());
    let tokens = its_own.into_iter().chain(stated).min().filter(|tokens| *tokens < LEAST_FOR_AGENTS)?;
    let name = name.unwrap_or_else(|| link.name());
    let assumed = if window.is_assumed && stated.is_none() { ", unless Ollama is told otherwise" } else { "" };
    let is_stated = stated == Some(tokens) && window.tokens.is_none_or(|served| served >= LEAST_FOR_AGENTS);
    Some(Trouble::SmallContext(Error::NotUsable {
        what: shown!("the context of `{name}` has {tokens} tokens{assumed}, and an agent needs {LEAST_FOR_AGENTS}"),
        mend: if is_stated {
            shown!("raise {}", server.endpoint().variable(Setting::Window))
        } else {
            larger_context(served.kind, server.endpoint())
        },
    }))
}

/// The servers that know no other models than those that they list.
fn lists_all(kind: ServerKind) -> bool {
    matches!(kind, ServerKind::Ollama | ServerKind::LmStudio | ServerKind::Vllm | ServerKind::Sglang)
}

/// Why the server has no model that answers.
fn without_model(served: &Served, named: Option<&str>, is_ours: bool, endpoint: &Endpoint) -> Option<Error> {
    let key = || endpoint.variable(Setting::Model);
    let not_usable = |what, mend| Some(Error::NotUsable { what, mend });
    let names = served.names();
    if let Some(named) = named {
        if names.iter().any(|name| is_same(name, named)) || names.is_empty() || !lists_all(served.kind) {
            return None;
        }
        let listed = names.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let more = if names.len() > 5 { " and others" } else { "" };
        let what = shown!("the server at {} has no model `{named}`, but {listed}{more}", endpoint.place());
        return not_usable(what, shown!("set {} to one of these{}", key(), pull(served.kind, named)));
    }
    match served.choose(is_ours) {
        Choice::OneOf(names) => Some(several(key(), names)),
        Choice::WhateverIsLoaded if served.is_empty_list() && served.kind != ServerKind::MlxLm => not_usable(
            shown!("the server at {} has no model", endpoint.place()),
            shown!("load one there, and set {} to it", key()),
        ),
        Choice::WhateverIsLoaded | Choice::Model(_) => None,
    }
}

fn pull(kind: ServerKind, name: &str) -> Shown {
    if kind == ServerKind::Ollama { shown!(", or run `ollama pull {name}`") } else { Shown::default() }
}

/// What gives the models of such a server a larger context.
pub(crate) fn larger_context(kind: ServerKind, endpoint: &Endpoint) -> Shown {
    match kind {
        ServerKind::Ollama => shown!(
            "set OLLAMA_CONTEXT_LENGTH={GOOD_FOR_AGENTS} where `ollama serve` runs, or num_ctx {GOOD_FOR_AGENTS} in the model"
        ),
        ServerKind::LlamaCpp => shown!("start llama-server with -c {GOOD_FOR_AGENTS}"),
        ServerKind::LmStudio => {
            shown!("load it with `lms load MODEL --context-length {GOOD_FOR_AGENTS}`, or set Context Length in LM Studio")
        }
        ServerKind::Vllm => shown!("start vLLM with --max-model-len {GOOD_FOR_AGENTS}"),
        ServerKind::Sglang => shown!("start SGLang with --context-length {GOOD_FOR_AGENTS}"),
        ServerKind::MlxLm => shown!("set {} to a model with a longer context", endpoint.variable(Setting::Model)),
        ServerKind::Unknown => shown!("give the server a context of {GOOD_FOR_AGENTS} tokens"),
    }
}
