//! The times in which Claude could not answer, as the ledger tells of them.

use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;

use crate::claude_code::refusal::Cause;
use crate::state::ledger::Entry;
use crate::text::clock;

/// A time in which Claude could not answer.
pub(crate) struct Outage {
    pub cause: Cause,
    pub begin: Timestamp,
    /// The stated end, or Claude's first answer.
    pub end: Option<Timestamp>,
    pub is_over: bool,
}

impl Outage {
    pub(crate) fn text(&self, now: Timestamp) -> String {
        let (name, begin) = (name(self.cause).unwrap_or_default(), clock(self.begin, now));
        match self.end.map(|end| (clock(end, now), clock(end, self.begin))) {
            None => format!("{name} since {begin}"),
            Some((end, _)) if end == begin => format!("{name} {begin}"),
            Some((_, end)) => format!("{name} {begin}–{end}"),
        }
    }

    /// Whether it lasted at that time.
    pub(crate) fn has(&self, time: Timestamp) -> bool {
        self.begin <= time && self.end.is_none_or(|end| time <= end)
    }

    /// An answer of another model does not end a model's limit.
    fn ends_with_an_answer(&self) -> bool {
        !self.is_over && (self.cause != Cause::Model || self.end.is_none())
    }
}

/// An outage begins with the first refusal. It ends at its stated end, or with Claude's first answer before that.
pub(crate) fn outages(entries: &[&Entry]) -> Vec<Outage> {
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

/// Those that lasted at some time of the span.
pub(crate) fn within(span: &Range<Timestamp>, outages: Vec<Outage>) -> impl Iterator<Item = Outage> + use<> {
    let (since, until) = (span.start, span.end);
    outages.into_iter().filter(move |outage| outage.begin < until && outage.end.is_none_or(|end| end >= since))
}

/// Why Claude could not answer this call; none if it could have.
pub(crate) fn cause_of_outage(entry: &Entry) -> Option<Cause> {
    cause(entry.verdict.as_deref()).filter(|cause| name(*cause).is_some())
}

/// None if the verdict is no cause: the flag, no real Claude.
fn cause(verdict: Option<&str>) -> Option<Cause> {
    let words: StrDeserializer<'_, serde::de::value::Error> = verdict?.into_deserializer();
    Cause::deserialize(words).ok()
}

/// None if Claude could have answered.
pub(crate) fn name(cause: Cause) -> Option<&'static str> {
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
