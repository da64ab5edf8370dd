//! How things stand, read anew each time: the settings may have changed since the last one.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::context::Context;
use crate::dashboard::view::{LinkView, LocalServer, View};
use crate::error::Result;
use crate::local_model::chain::Chain;
use crate::shown::{Shown, shown};
use crate::state::breaker::{Attempt, Breaker, Condition};
use crate::state::flag::{Backend, Flag};
use crate::state::ledger;
use crate::status::{Status, links};

const NAME: &str = "llm-failover";

/// With the settings as they are now.
pub(super) fn context() -> Context {
    Context::from_process().for_applet(NAME, &[])
}

/// Who answers a call that names no model.
pub(super) struct Answering {
    pub backend: Backend,
    pub since: Option<Timestamp>,
    /// Why the local model answers in `auto`.
    pub condition: Option<Condition>,
    pub warning: Option<Shown>,
}

impl Answering {
    pub(super) fn read(context: &Context) -> Result<Answering> {
        let flag = Flag::new(context)?;
        let (backend, warning) = flag.read();
        let since = flag.last_written().and_then(|time| Timestamp::try_from(time).ok());
        let away = || Breaker::new(context).ok()?.away(&Attempt::default());
        Ok(Answering { backend, since, condition: (backend == Backend::Auto).then(away).flatten(), warning })
    }

    pub(super) fn is_local(&self) -> bool {
        self.backend == Backend::Local || self.condition.is_some()
    }
}

/// The status, with the chain that it is of, and what the local server takes up in bytes.
pub(super) fn status(context: &Context) -> Result<(Status, Chain, Option<u64>)> {
    let flag = Flag::new(context)?;
    let chain = Chain::with_small_model(context)?;
    let status = Status::read(context, &chain, &flag, flag.read().0)?;
    let memory = chain.first().server.memory();
    Ok((status, chain, memory))
}

/// What of the local models can change by itself.
pub(super) fn servers(context: &Context) -> Vec<String> {
    let chain = Chain::new(context);
    chain.map(|chain| links::read(&chain).iter().map(|link| link.line().to_string()).collect()).unwrap_or_default()
}

pub(super) fn view(context: &Context, token: &str) -> View {
    let answering = Answering::read(context);
    let mut warnings: Vec<Shown> = context.settings_warnings().iter().map(Shown::line).collect();
    let (backend, since) = match answering {
        Ok(answering) => {
            warnings.extend(answering.warning);
            (answering.backend, answering.since)
        }
        Err(error) => {
            warnings.push(shown!("{error}"));
            (Backend::Claude, None)
        }
    };
    let mut view = View {
        now: Timestamp::now(),
        zone: TimeZone::system(),
        backend,
        since,
        conditions: Breaker::new(context).map(|breaker| breaker.conditions()).unwrap_or_default(),
        server: LocalServer {
            state: "unknown".into(),
            detail: None,
            url: Shown::default(),
            is_ours: false,
            supervisor: String::new(),
            memory: None,
        },
        links: vec![],
        small_model: None,
        warnings: vec![],
        entries: ledger::read(context).unwrap_or_default().into_iter().map(|line| line.entry).collect(),
        token: token.into(),
    };
    match status(context) {
        Ok((status, chain, memory)) => {
            warnings.extend(links::warnings(NAME, context, &chain));
            let server = status.local_server;
            view.server = LocalServer {
                state: server.state.into(),
                detail: server.detail,
                url: server.url,
                is_ours: server.is_ours,
                supervisor: server.supervisor,
                memory,
            };
            view.links = status.links.into_iter().map(LinkView::from).collect();
            view.small_model = status.small_model;
        }
        Err(error) => warnings.push(shown!("{error}")),
    }
    warnings.extend(context.no_place_for_state().filter(|_| backend == Backend::Auto));
    view.warnings = warnings;
    view
}

impl From<links::LinkStatus> for LinkView {
    fn from(link: links::LinkStatus) -> LinkView {
        LinkView {
            model: link.model,
            url: link.url,
            state: link.state.into(),
            detail: link.detail,
            context: link.context,
            clear_text: link.clear_text,
        }
    }
}
