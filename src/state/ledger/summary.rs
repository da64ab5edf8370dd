//! A summary of the ledger: how many calls, and when Claude could not answer.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;

use crate::claude_code::refusal::Cause;
use crate::state::ledger::{Entry, count};
use crate::text::clock;

/// The calls that began after `since`, and Claude's limits and outages since then. Times are shown as from `now`.
pub(crate) fn summarize(entries: &[&Entry], since: Timestamp, now: Timestamp) -> String {
    let counts = count(entries.iter().copied().filter(|entry| entry.time >= since));
    let calls = counts.claude + counts.local;
    let counted = format!("{calls} call{}, {} answered locally", if calls == 1 { "" } else { "s" }, counts.local);
    let outages = outages(entries);
    let shown: Vec<String> =
        outages.iter().filter(|outage| outage.end.is_none_or(|end| end >= since)).map(|outage| outage.text(now)).collect();
    match shown.as_slice() {
        [] => format!("{counted}\n"),
        [only] => format!("{counted}, {only}\n"),
        several => format!("{counted}\n  {}\n", several.join("\n  ")),
    }
}

/// A time in which Claude could not answer.
struct Outage {
    cause: Cause,
    begin: Timestamp,
    /// The stated end, or Claude's first answer.
    end: Option<Timestamp>,
    is_over: bool,
}

impl Outage {
    fn text(&self, now: Timestamp) -> String {
        let (name, begin) = (name(self.cause).unwrap_or_default(), clock(self.begin, now));
        match self.end.map(|end| (clock(end, now), clock(end, self.begin))) {
            None => format!("{name} since {begin}"),
            Some((end, _)) if end == begin => format!("{name} {begin}"),
            Some((_, end)) => format!("{name} {begin}–{end}"),
        }
    }

    /// An answer of another model does not end a model's limit.
    fn ends_with_an_answer(&self) -> bool {
        !self.is_over && (self.cause != Cause::Model || self.end.is_none())
    }
}

/// An outage begins with the first refusal. It ends at its stated end, or with Claude's first answer before that.
fn outages(entries: &[&Entry]) -> Vec<Outage> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.time);
    let mut outages: Vec<Outage> = Vec::new();
    for entry in entries {
        let Some(cause) = cause(entry.verdict.as_deref()) else { continue };
        if name(cause).is_some() {
            let continues =
                |outage: &&mut Outage| outage.cause == cause && !outage.is_over && outage.end.is_none_or(|end| entry.time <= end);
            match outages.iter_mut().rfind(continues) {
                Some(outage) => outage.end = entry.until.or(outage.end),
                None => outages.push(Outage { cause, begin: entry.time, end: entry.until, is_over: false }),
            }
        } else if cause == Cause::None && !entry.is_local() {
            for outage in outages.iter_mut().filter(|outage| outage.ends_with_an_answer()) {
                outage.end = Some(outage.end.map_or(entry.time, |end| end.min(entry.time)));
                outage.is_over = true;
            }
        }
    }
    outages
}

/// None if the verdict is no cause: the flag, no real Claude.
fn cause(verdict: Option<&str>) -> Option<Cause> {
    let words: StrDeserializer<'_, serde::de::value::Error> = verdict?.into_deserializer();
    Cause::deserialize(words).ok()
}

/// None if Claude could have answered.
fn name(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::FiveHour => "limit",
        Cause::SevenDay => "weekly limit",
        Cause::Model => "a model's limit",
        Cause::Spend => "spend limit",
        Cause::Usage => "usage limit",
        Cause::Credit => "no credit",
        Cause::Overload => "overload",
        Cause::ServerError => "server error",
        Cause::Network => "unreachable",
        Cause::Throttle => "throttled",
        Cause::None | Cause::SignIn | Cause::BadRequest => return None,
    })
}
