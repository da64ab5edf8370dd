//! How things stand, as `llm-failover status` and the dashboard show it.

mod agents;
pub(crate) mod links;

use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::claude_code::locate;
use crate::context::Context;
use crate::error::Result;
use crate::local_model::chain::Chain;
use crate::settings::FIRST;
use crate::settings::url::without_default_path;
use crate::shown::{Shown, shown};
use crate::state::breaker::{Breaker, Condition};
use crate::state::flag::{Backend, Flag};
use crate::state::ledger;
use crate::state::ledger::Counts;
use crate::status::agents::Agents;
use crate::status::links::LinkStatus;
use crate::text::clock;

#[derive(Serialize)]
pub(crate) struct Status {
    pub backend: Backend,
    /// When the flag was last set, RFC 3339.
    since: Option<String>,
    pub local_server: LocalServer,
    /// `LOCAL_LLM_MODEL`; none: the model that the server has loaded.
    model: Option<String>,
    /// `LOCAL_LLM_SMALL_MODEL`; none: the main one.
    pub small_model: Option<String>,
    /// The local models in the order in which they are asked.
    pub links: Vec<LinkStatus>,
    /// What Claude Code gets on the local model; none: it does not run there.
    agents: Option<Agents>,
    real_claude: Option<PathBuf>,
    /// Why the local model answers in `auto`; empty: calls go to Claude.
    pub conditions: Vec<Condition>,
    /// Since the flag was last set.
    calls: Counts,
    #[serde(skip)]
    pub since_time: Option<Timestamp>,
}

/// The first line of the status.
pub(crate) fn backend_line(backend: Backend) -> Shown {
    shown!("current backend: {}", backend.word())
}

#[derive(Serialize)]
pub(crate) struct LocalServer {
    pub state: &'static str,
    /// Why the server is unusable.
    pub detail: Option<Shown>,
    host: Shown,
    port: u16,
    pub url: Shown,
    /// Whether this program starts and stops it.
    pub is_ours: bool,
    pub supervisor: String,
}

impl LocalServer {
    /// Scripts parse what it says of our own server.
    fn line(&self) -> Shown {
        let place = if self.is_ours { shown!("port {}", self.port) } else { shown!("{}:{}", self.host, self.port) };
        match self.state {
            "down" if self.is_ours => "down (lazy)".into(),
            "down" => "not running (not ours to start)".into(),
            "up" => shown!("UP ({place})"),
            "loading" => shown!("loading ({place})"),
            state => shown!("NOT USABLE ({place}): {}", self.detail.as_deref().unwrap_or(state)),
        }
    }
}

impl Status {
    pub(crate) fn read(context: &Context, chain: &Chain, flag: &Flag, backend: Backend) -> Result<Status> {
        let server = &chain.first().server;
        let links = links::read(chain);
        let (state, detail) = links.first().map(|first| (first.state, first.detail.clone())).unwrap_or_default();
        let real_claude = locate::find(context).ok();
        let since_time = flag.last_written().and_then(|time: SystemTime| Timestamp::try_from(time).ok());
        Ok(Status {
            backend,
            since: since_time.map(|time| time.to_string()),
            local_server: LocalServer {
                state,
                detail,
                host: Shown::line(server.endpoint().host()),
                port: server.endpoint().port(),
                is_ours: server.is_ours(),
                url: server.endpoint().shown(),
                supervisor: server.supervisor_name().into(),
            },
            model: context.settings.model(FIRST)?,
            small_model: chain.small_model(),
            agents: Agents::read(context, &links).filter(|_| real_claude.is_some()),
            links,
            real_claude,
            calls: since_time.map(|since| ledger::count_since(context, since)).unwrap_or_default(),
            conditions: Breaker::new(context).map(|breaker| breaker.conditions()).unwrap_or_default(),
            since_time,
        })
    }

    /// Who is asked when, if there is more than one model.
    fn roles(&self) -> Option<String> {
        let others = (2..=self.links.len()).map(|place| place.to_string()).collect::<Vec<_>>().join(", ");
        let in_turn = (!others.is_empty()).then(|| format!("1 is asked first, then {others}, each if none before it answers"));
        let small = self.small_model.as_ref().map(|small| format!("{small} does the small work of Claude Code"));
        let roles: Vec<String> = in_turn.into_iter().chain(small).collect();
        (!roles.is_empty()).then(|| roles.join("; "))
    }

    pub(crate) fn json(&self) -> Shown {
        Shown::json(&(serde_json::to_string(self).unwrap_or_default() + "\n"))
    }

    /// Scripts parse the first two lines.
    pub(crate) fn text(&self) -> Shown {
        let mut lines = vec![backend_line(self.backend)];
        let mut line = |name: &str, value: &str| lines.push(shown!("{name}: {value}"));
        line("local server", &self.local_server.line());
        if !self.local_server.is_ours {
            line("address", without_default_path(&self.local_server.url));
        }
        line("supervisor", &self.local_server.supervisor);
        line("model", self.model.as_deref().unwrap_or("as served"));
        if let Some(small) = &self.small_model {
            line("small model", small);
        }
        if self.links.len() > 1 {
            for (place, link) in self.links.iter().enumerate() {
                line(&format!("local model {}", place + 1), &link.line());
            }
        }
        if let Some(roles) = self.roles() {
            line("roles", &roles);
        }
        if let Some(agents) = &self.agents {
            line("agents", &agents.line());
        }
        line("real claude", &self.real_claude.as_ref().map_or("not found".into(), |path| path.display().to_string()));
        let now = Timestamp::now();
        match self.conditions.as_slice() {
            [] if self.backend == Backend::Auto => line("claude", "answers"),
            conditions => conditions.iter().for_each(|condition| {
                let models = if condition.models.is_empty() { String::new() } else { format!(" ({})", condition.shown_models()) };
                let (since, next) = (clock(condition.since, now), clock(condition.next_probe.max(now), now));
                line("claude", &format!("{}{models}, since {since}; asked again at {next}", condition.description(now)));
            }),
        }
        if self.backend == Backend::Auto {
            line("calls", &format!("{} to claude, {} answered locally", self.calls.claude, self.calls.local));
        }
        if let Some(time) = self.since_time {
            line("since", &time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string());
        }
        Shown::lines(lines.join("\n") + "\n")
    }
}
