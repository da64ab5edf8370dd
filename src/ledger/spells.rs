//! What the ledger sums up to: how many calls, and when Claude could not answer.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::moment;
use super::{Entry, count};

/// The calls that began after `since`, and the spells of limits and outages since then, as they are seen at `now`.
pub fn sum(entries: &[&Entry], since: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let counts = count(entries.iter().copied().filter(|entry| entry.time >= since));
    let calls = counts.claude + counts.local;
    let counted = format!("{calls} call{}, {} answered locally", if calls == 1 { "" } else { "s" }, counts.local);
    let spells = spells(entries);
    let told: Vec<String> =
        spells.iter().filter(|spell| spell.end.is_none_or(|end| end >= since)).map(|spell| spell.text(now, zone)).collect();
    match told.as_slice() {
        [] => format!("{counted}\n"),
        [only] => format!("{counted}, {only}\n"),
        several => format!("{counted}\n  {}\n", several.join("\n  ")),
    }
}

/// A time in which Claude could not answer.
struct Spell<'a> {
    verdict: &'a str,
    begin: Timestamp,
    /// As it was stated, or as it was found to be over.
    end: Option<Timestamp>,
    is_over: bool,
}

impl Spell<'_> {
    fn text(&self, now: Timestamp, zone: &TimeZone) -> String {
        let (name, begin) = (name(self.verdict).unwrap_or_default(), moment(self.begin, now, zone));
        match self.end.map(|end| (moment(end, now, zone), moment(end, self.begin, zone))) {
            None => format!("{name} since {begin}"),
            Some((end, _)) if end == begin => format!("{name} {begin}"),
            Some((_, end)) => format!("{name} {begin}–{end}"),
        }
    }

    /// Another model's success does not end a model's limit.
    fn ends_with_an_answer(&self) -> bool {
        !self.is_over && (self.verdict != "model" || self.end.is_none())
    }
}

/// A spell begins with the first call that met it. It ends as stated, or with the first answer of Claude's before that.
fn spells<'a>(entries: &[&'a Entry]) -> Vec<Spell<'a>> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.time);
    let mut spells: Vec<Spell> = Vec::new();
    for entry in entries {
        let verdict = entry.verdict.as_deref().unwrap_or_default();
        if name(verdict).is_some() {
            let goes_on =
                |spell: &&mut Spell| spell.verdict == verdict && !spell.is_over && spell.end.is_none_or(|end| entry.time <= end);
            match spells.iter_mut().rfind(goes_on) {
                Some(spell) => spell.end = entry.until.or(spell.end),
                None => spells.push(Spell { verdict, begin: entry.time, end: entry.until, is_over: false }),
            }
        } else if verdict == "fine" && !entry.is_local() {
            for spell in spells.iter_mut().filter(|spell| spell.ends_with_an_answer()) {
                spell.end = Some(spell.end.map_or(entry.time, |end| end.min(entry.time)));
                spell.is_over = true;
            }
        }
    }
    spells
}

/// What people call a verdict for which Claude is to blame.
fn name(verdict: &str) -> Option<&'static str> {
    Some(match verdict {
        "five_hour" => "limit",
        "seven_day" => "weekly limit",
        "model" => "a model's limit",
        "spend" => "spend limit",
        "usage" => "usage limit",
        "credit" => "no credit",
        "overload" => "overload",
        "server_error" => "server error",
        "network" => "unreachable",
        "throttle" => "throttled",
        _ => return None,
    })
}
