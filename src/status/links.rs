//! The links of the chain of local models, as `llm-failover` shows them and warns of them.

use std::thread;

use serde::Serialize;

use crate::context::Context;
use crate::local_model::chain::{Chain, Link};
use crate::local_model::model::name_for_callers;
use crate::server::probe::ServerState;
use crate::shown::{Shown, shown};

#[derive(Serialize)]
pub(crate) struct LinkStatus {
    pub url: Shown,
    /// The name that the user gave, or the one that the server serves; none: unknown.
    pub model: Option<String>,
    pub state: &'static str,
    /// Why the server is unusable.
    pub detail: Option<Shown>,
    /// In tokens, if it is known.
    pub context: Option<u32>,
    /// The same, if it is no mere default of the server.
    #[serde(skip)]
    pub(super) certain_context: Option<u32>,
    /// Others on the way can read what is asked and answered.
    pub clear_text: bool,
}

/// All links, asked at the same time.
pub(crate) fn read(chain: &Chain) -> Vec<LinkStatus> {
    thread::scope(|scope| {
        let asked: Vec<_> = chain.main_links().iter().map(|link| scope.spawn(|| LinkStatus::read(link))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

impl LinkStatus {
    fn read(link: &Link) -> LinkStatus {
        let (state, detail) = words(link.server.state());
        let found = if state == "up" { link.models.find_patiently().ok() } else { None };
        let named = link.settings.model.as_deref().map(name_for_callers);
        let endpoint = link.server.endpoint();
        LinkStatus {
            url: endpoint.shown(),
            model: named.or_else(|| found.as_ref().filter(|model| model.id.is_some()).map(|model| model.name.clone())),
            state,
            detail,
            certain_context: match &found {
                Some(model) => model.window.filter(|_| !model.is_assumed),
                None => link.settings.window,
            },
            context: link.settings.window.or_else(|| found.and_then(|model| model.window)),
            clear_text: endpoint.is_open_to_the_net(),
        }
    }

    pub(crate) fn line(&self) -> Shown {
        let model = self.model.as_deref().unwrap_or("as served");
        let context = self.context.map(|tokens| format!(", context of {tokens} tokens")).unwrap_or_default();
        let state = match (self.state, &self.detail) {
            ("up", _) => "answers",
            (_, Some(detail)) => detail,
            (state, None) => state,
        };
        shown!("{model} at {}: {state}{context}", self.url)
    }
}

/// A state, and why the server is unusable.
fn words(state: ServerState) -> (&'static str, Option<Shown>) {
    match state {
        ServerState::Down => ("down", None),
        ServerState::Up => ("up", None),
        ServerState::Loading => ("loading", None),
        ServerState::Hung => ("hung", Some("it listens, but does not answer".into())),
        ServerState::Dead(why) => ("dead", Some(shown!("it runs, but its model does not: {why}"))),
        ServerState::Foreign(what) => ("foreign", Some(Shown::line(what))),
    }
}

/// What the user should know of the settings of the links.
pub(crate) fn warnings(applet: &str, context: &Context, chain: &Chain) -> Vec<Shown> {
    let unusable = chain.unusable.iter().map(|error| shown!("{error}: this local model is not asked"));
    unusable.chain(clear_text(applet, context, chain)).collect()
}

/// One warning for all links. A net at home is not this machine.
fn clear_text(applet: &str, context: &Context, chain: &Chain) -> Option<Shown> {
    let endpoints = chain.main_links().iter().map(|link| link.server.endpoint());
    let open: Vec<_> = endpoints.filter(|endpoint| endpoint.is_open_to_the_net()).collect();
    if open.is_empty() || context.settings.is_insecure_on_purpose(applet) {
        return None;
    }
    let urls = open.iter().map(|endpoint| format!("`{}`", endpoint.shown())).collect::<Vec<_>>().join(", ");
    let with_key = if open.iter().any(|endpoint| endpoint.key().is_some()) { ", and the key with them" } else { "" };
    Some(shown!(
        "prompts and answers go to {urls} in clear text{with_key}; use https, or set LOCAL_LLM_INSECURE=1 if nobody else is on that net"
    ))
}
