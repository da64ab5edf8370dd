//! All that the page shows, as plain values: the page reads nothing itself.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::shown::Shown;
use crate::state::breaker::Condition;
use crate::state::flag::Backend;
use crate::state::ledger::Entry;

pub(crate) struct View {
    pub now: Timestamp,
    /// That of the page's times.
    pub zone: TimeZone,
    pub backend: Backend,
    /// When the flag was last set.
    pub since: Option<Timestamp>,
    /// Why Claude does not answer.
    pub conditions: Vec<Condition>,
    pub server: LocalServer,
    /// The local models in the order in which they are asked.
    pub links: Vec<LinkView>,
    /// The one that does the small work of Claude Code.
    pub small_model: Option<String>,
    /// What the user should know of the flag and of the settings.
    pub warnings: Vec<Shown>,
    /// The ledger, in any order.
    pub entries: Vec<Entry>,
    /// What a request must bring along that changes something.
    pub token: String,
}

pub(crate) struct LocalServer {
    /// `up`, `down`, `loading`, `hung`, `dead` or `foreign`.
    pub state: String,
    /// Why the server is unusable.
    pub detail: Option<Shown>,
    pub url: Shown,
    /// Whether this program starts and stops it.
    pub is_ours: bool,
    pub supervisor: String,
    /// What it takes up, in bytes.
    pub memory: Option<u64>,
}

pub(crate) struct LinkView {
    /// None: the one that the server has loaded.
    pub model: Option<String>,
    pub url: Shown,
    /// As of the local server.
    pub state: String,
    pub detail: Option<Shown>,
    /// In tokens.
    pub context: Option<u32>,
    /// Others on the way can read what is asked and answered.
    pub clear_text: bool,
}

/// A local time, with the day if it is not that of `beside`.
pub(crate) fn clock(time: Timestamp, beside: Timestamp, zone: &TimeZone) -> String {
    let (time, beside) = (time.to_zoned(zone.clone()), beside.to_zoned(zone.clone()));
    time.strftime(if time.date() == beside.date() { "%H:%M" } else { "%a %-d %b %H:%M" }).to_string()
}
