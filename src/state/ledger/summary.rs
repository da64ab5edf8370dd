//! What the ledger sums up to: how many calls, and when Claude could not answer.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;

use crate::claude_code::refusal::Class;
use crate::state::ledger::{Entry, count};
use crate::text::clock;

/// The calls that began after `since`, and the spells of limits and outages since then, as they are seen at `now`.
pub(crate) fn sum(entries: &[&Entry], since: Timestamp, now: Timestamp) -> String {
    let counts = count(entries.iter().copied().filter(|entry| entry.time >= since));
    let calls = counts.claude + counts.local;
    let counted = format!("{calls} call{}, {} answered locally", if calls == 1 { "" } else { "s" }, counts.local);
    let spells = spells(entries);
    let told: Vec<String> =
        spells.iter().filter(|spell| spell.end.is_none_or(|end| end >= since)).map(|spell| spell.text(now)).collect();
    match told.as_slice() {
        [] => format!("{counted}\n"),
        [only] => format!("{counted}, {only}\n"),
        several => format!("{counted}\n  {}\n", several.join("\n  ")),
    }
}

/// A time in which Claude could not answer.
struct Spell {
    class: Class,
    begin: Timestamp,
    /// As it was stated, or as it was found to be over.
    end: Option<Timestamp>,
    is_over: bool,
}

impl Spell {
    fn text(&self, now: Timestamp) -> String {
        let (name, begin) = (name(self.class).unwrap_or_default(), clock(self.begin, now));
        match self.end.map(|end| (clock(end, now), clock(end, self.begin))) {
            None => format!("{name} since {begin}"),
            Some((end, _)) if end == begin => format!("{name} {begin}"),
            Some((_, end)) => format!("{name} {begin}–{end}"),
        }
    }

    /// Another model's success does not end a model's limit.
    fn ends_with_an_answer(&self) -> bool {
        !self.is_over && (self.class != Class::Model || self.end.is_none())
    }
}

/// A spell begins with the first call that met it. It ends as stated, or with the first answer of Claude's before that.
fn spells(entries: &[&Entry]) -> Vec<Spell> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.time);
    let mut spells: Vec<Spell> = Vec::new();
    for entry in entries {
        let Some(class) = class(entry.verdict.as_deref()) else { continue };
        if name(class).is_some() {
            let goes_on =
                |spell: &&mut Spell| spell.class == class && !spell.is_over && spell.end.is_none_or(|end| entry.time <= end);
            match spells.iter_mut().rfind(goes_on) {
                Some(spell) => spell.end = entry.until.or(spell.end),
                None => spells.push(Spell { class, begin: entry.time, end: entry.until, is_over: false }),
            }
        } else if class == Class::Fine && !entry.is_local() {
            for spell in spells.iter_mut().filter(|spell| spell.ends_with_an_answer()) {
                spell.end = Some(spell.end.map_or(entry.time, |end| end.min(entry.time)));
                spell.is_over = true;
            }
        }
    }
    spells
}

/// A verdict's class, if it is one.
fn class(verdict: Option<&str>) -> Option<Class> {
    let words: StrDeserializer<'_, serde::de::value::Error> = verdict?.into_deserializer();
    Class::deserialize(words).ok()
}

/// What people call it that Claude could not answer.
fn name(class: Class) -> Option<&'static str> {
    Some(match class {
        Class::FiveHour => "limit",
        Class::SevenDay => "weekly limit",
        Class::Model => "a model's limit",
        Class::Spend => "spend limit",
        Class::Usage => "usage limit",
        Class::Credit => "no credit",
        Class::Overload => "overload",
        Class::ServerError => "server error",
        Class::Network => "unreachable",
        Class::Throttle => "throttled",
        Class::Fine | Class::SignIn | Class::Caller => return None,
    })
}
