//! Limits and outages as bands of time: from the ledger, and from what the breaker knows to be open.

use jiff::{SignedDuration, Timestamp};

use crate::claude_code::refusal::Cause;
use crate::dashboard::timeline::axis::Axis;
use crate::state::breaker::Condition;
use crate::state::ledger::Entry;
use crate::state::ledger::outages::{Outage, name, outages};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Band {
    pub cause: Cause,
    pub name: &'static str,
    pub begin: Timestamp,
    /// The stated end, which may be ahead; none: it goes on, nobody knows for how long.
    pub end: Option<Timestamp>,
    pub is_over: bool,
    /// Of how many it is made.
    pub times: usize,
}

impl Band {
    /// Its plan's limits, in contrast to what happens to everybody.
    pub(super) fn is_limit(&self) -> bool {
        use Cause::{Credit, FiveHour, Model, SevenDay, Spend, Usage};
        matches!(self.cause, FiveHour | SevenDay | Model | Spend | Usage | Credit)
    }

    pub(super) fn title(&self) -> String {
        if self.times == 1 { self.name.to_string() } else { format!("{}, {} times", self.name, self.times) }
    }

    /// Where it is drawn to.
    pub(super) fn shown_end(&self, now: Timestamp) -> Timestamp {
        self.end.unwrap_or(now).max(self.begin)
    }
}

/// Those that reach into the axis, by their beginning.
pub(super) fn bands(entries: &[&Entry], conditions: &[Condition], now: Timestamp) -> Vec<Band> {
    let mut bands: Vec<Band> =
        outages(entries).into_iter().filter_map(|outage| from_outage(outage, entries, conditions, now)).collect();
    for condition in conditions {
        let is_same = |band: &&mut Band| band.cause == condition.cause && !band.is_over;
        match (bands.iter_mut().rfind(is_same), name(condition.cause)) {
            // The breaker knows later refusals than those that the ledger has.
            (Some(band), _) => band.end = condition.until.or(band.end).filter(|end| *end > now),
            (None, Some(name)) => {
                let end = condition.until.filter(|end| *end > now);
                bands.push(Band { cause: condition.cause, name, begin: condition.since.min(now), end, is_over: false, times: 1 });
            }
            (None, None) => {}
        }
    }
    bands.sort_by_key(|band| band.begin);
    bands
}

/// One band for those of the same cause between which there is less than `near`: a picture has no room for more.
pub(super) fn merged(bands: Vec<Band>, near: SignedDuration, now: Timestamp) -> Vec<Band> {
    let mut merged: Vec<Band> = Vec::new();
    for band in bands {
        let is_near =
            |last: &&mut Band| last.cause == band.cause && last.is_over && band.begin.duration_since(last.shown_end(now)) < near;
        match merged.iter_mut().rfind(is_near) {
            Some(last) => {
                last.end = band.end.map(|end| end.max(last.shown_end(now)));
                (last.is_over, last.times) = (band.is_over, last.times + band.times);
            }
            None => merged.push(band),
        }
    }
    merged
}

/// An outage that nothing has ended, and that the breaker does not know, ended nobody knows when: it is shown up to its last refusal.
fn from_outage(outage: Outage, entries: &[&Entry], conditions: &[Condition], now: Timestamp) -> Option<Band> {
    let name = name(outage.cause)?;
    let is_open = conditions.iter().any(|condition| condition.cause == outage.cause);
    let is_ahead = outage.end.is_some_and(|end| end > now);
    let is_over = outage.is_over || !is_open && !is_ahead;
    let last = || {
        let refused = entries.iter().filter(|entry| entry.verdict.as_deref() == Some(outage.cause.word()));
        refused.map(|entry| entry.time).max().unwrap_or(outage.begin)
    };
    let end = if is_over { Some(outage.end.unwrap_or_else(last)) } else { outage.end };
    Some(Band { cause: outage.cause, name, begin: outage.begin, end, is_over, times: 1 })
}

impl Axis {
    pub(super) fn has(&self, band: &Band) -> bool {
        band.shown_end(self.now) >= self.begin && band.begin < self.end()
    }
}
