//! `llm-failover status`, for people and for programs.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::claude_code::locate;
use crate::cli::links;
use crate::cli::links::LinkStatus;
use crate::context::Context;
use crate::error::Result;
use crate::local_model::chain::Chain;
use crate::settings::FIRST;
use crate::state::breaker::{Breaker, Condition};
use crate::state::flag::{Backend, Flag};
use crate::state::ledger;
use crate::state::ledger::Counts;
use crate::text::clock;

#[derive(Serialize)]
pub(crate) struct Status {
    backend: Backend,
    /// When the flag was last set, RFC 3339.
    since: Option<String>,
    local_server: LocalServer,
    /// `LOCAL_LLM_MODEL`; none: the model that the server has loaded.
    model: Option<String>,
    /// `LOCAL_LLM_SMALL_MODEL`; none: the main one.
    small_model: Option<String>,
    /// The local models in the order in which they are asked.
    links: Vec<LinkStatus>,
    real_claude: Option<PathBuf>,
    /// Why the local model answers in `auto`; empty: calls go to Claude.
    conditions: Vec<Condition>,
    /// Since the flag was last set.
    calls: Counts,
    #[serde(skip)]
    since_time: Option<Timestamp>,
}

/// The first line of the status.
pub(crate) fn backend_line(backend: Backend) -> String {
    format!("current backend: {}\n", backend.word())
}

#[derive(Serialize)]
struct LocalServer {
    state: &'static str,
    /// Why the server is unusable.
    detail: Option<String>,
    port: u16,
    url: String,
    supervisor: String,
}

impl Status {
    pub(crate) fn read(context: &Context, chain: &Chain, flag: &Flag, backend: Backend) -> Result<Status> {
        let server = &chain.first().server;
        let links = links::read(chain);
        let (state, detail) = links.first().map(|first| (first.state(), first.detail())).unwrap_or_default();
        let since_time = flag.last_written().and_then(|time: SystemTime| Timestamp::try_from(time).ok());
        Ok(Status {
            backend,
            since: since_time.map(|time| time.to_string()),
            local_server: LocalServer {
                state,
                detail,
                port: server.endpoint().port(),
                url: server.endpoint().shown(),
                supervisor: server.supervisor_name().into(),
            },
            model: context.settings.model(FIRST)?,
            small_model: chain.small_model(),
            links,
            real_claude: locate::find(context).ok(),
            calls: since_time.map(|since| ledger::count_since(context, since)).unwrap_or_default(),
            conditions: Breaker::new(context).map(|breaker| breaker.conditions()).unwrap_or_default(),
            since_time,
        })
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Scripts parse the first two lines.
    pub(crate) fn text(&self) -> String {
        let LocalServer { state, detail, port, supervisor, .. } = &self.local_server;
        let server = match *state {
            "down" => "down (lazy)".to_string(),
            "up" => format!("UP (port {port})"),
            "loading" => format!("loading (port {port})"),
            _ => format!("NOT USABLE (port {port}): {}", detail.as_deref().unwrap_or(state)),
        };
        let mut text = backend_line(self.backend);
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name}: {value}");
        };
        line("local server", server);
        line("supervisor", supervisor.clone());
        line("model", self.model.clone().unwrap_or_else(|| "as served".into()));
        if let Some(small) = &self.small_model {
            line("small model", small.clone());
        }
        if self.links.len() > 1 {
            for (place, link) in self.links.iter().enumerate() {
                line(&format!("local model {}", place + 1), link.line());
            }
        }
        line("real claude", self.real_claude.as_ref().map_or("not found".into(), |path| path.display().to_string()));
        let now = Timestamp::now();
        match self.conditions.as_slice() {
            [] if self.backend == Backend::Auto => line("claude", "answers".into()),
            conditions => conditions.iter().for_each(|condition| {
                let models = if condition.models.is_empty() { String::new() } else { format!(" ({})", condition.shown_models()) };
                let (since, next) = (clock(condition.since, now), clock(condition.next_probe.max(now), now));
                line("claude", format!("{}{models}, since {since}; asked again at {next}", condition.description(now)));
            }),
        }
        if self.backend == Backend::Auto {
            line("calls", format!("{} to claude, {} answered locally", self.calls.claude, self.calls.local));
        }
        if let Some(time) = self.since_time {
            line("since", time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string());
        }
        text
    }
}
