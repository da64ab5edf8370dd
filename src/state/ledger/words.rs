//! What the calls of a span of time were like: in sentences for a mail or a notification, and as JSON.

use std::ops::Range;

use jiff::Timestamp;
use serde::Serialize;

use crate::shown::Shown;
use crate::state::ledger::figures::{Figures, figures, figures_of};
use crate::state::ledger::outages::{Outage, outages, within};
use crate::state::ledger::{Entry, milliseconds};
use crate::text::{clock, length};

/// The most limits and outages that are named.
const MOST_OUTAGES: usize = 4;

/// The calls that began within `span`, a sentence to a line.
pub(crate) fn in_sentences(entries: &[&Entry], span: &Range<Timestamp>, now: Timestamp) -> Shown {
    Shown::lines(sentences(&figures(entries, span, now), &outages_within(entries, span), span, now).join("\n") + "\n")
}

/// As [`in_sentences`], on one line, of the calls that ended within `span`: one that takes longer than a night is told in the morning
/// after. None if there were none.
pub(crate) fn of_ended(entries: &[&Entry], span: &Range<Timestamp>, now: Timestamp) -> Option<Shown> {
    let figures = figures_of(entries, |entry| span.contains(&entry.end()), now);
    let text = || Shown::squeezed(sentences(&figures, &outages_within(entries, span), span, now).join(" "));
    (figures.calls.claude + figures.calls.local > 0).then(text)
}

/// What happened, and nothing of what did not.
pub(super) fn sentences(figures: &Figures, outages: &[Outage], span: &Range<Timestamp>, now: Timestamp) -> Vec<String> {
    let when = match span.end < now {
        true => format!("from {} to {}", clock(span.start, now), clock(span.end, now)),
        false => format!("since {}", clock(span.start, now)),
    };
    let calls = figures.calls.claude + figures.calls.local;
    let first = match (figures.calls.claude, figures.calls.local) {
        (0, 0) => format!("No calls {when}."),
        (claude, 0) => format!("{} {when}, {}with Claude.", calls_of(calls), all_of(claude)),
        (0, local) => format!("{} {when}, {}with the local model.", calls_of(calls), all_of(local)),
        (claude, local) => format!("{} {when}: {}.", calls_of(calls), by_each(claude, local)),
    };
    let failed = match (figures.failed.claude, figures.failed.local) {
        (0, 0) => None,
        (claude, 0) => Some(format!("{} failed with Claude.", calls_of(claude))),
        (0, local) => Some(format!("{} failed with the local model.", calls_of(local))),
        (claude, local) => Some(format!("{} failed: {}.", calls_of(claude + local), by_each(claude, local))),
    };
    [Some(first), away(outages, now), failed, written(figures), spared(figures)].into_iter().flatten().collect()
}

fn by_each(claude: usize, local: usize) -> String {
    format!("{} with Claude, {} with the local model", thousands(claude as u64), thousands(local as u64))
}

fn calls_of(count: usize) -> String {
    format!("{} {}", thousands(count as u64), if count == 1 { "call" } else { "calls" })
}

fn all_of(count: usize) -> &'static str {
    match count {
        1 => "",
        2 => "both ",
        _ => "all ",
    }
}

fn away(outages: &[Outage], now: Timestamp) -> Option<String> {
    let named: Vec<String> = outages.iter().rev().take(MOST_OUTAGES).rev().map(|outage| outage.text(now)).collect();
    let more = match outages.len() - named.len() {
        0 => String::new(),
        more => format!("; {more} more before"),
    };
    (!named.is_empty()).then(|| format!("Claude could not answer: {}{more}.", named.join("; ")))
}

fn written(figures: &Figures) -> Option<String> {
    let (read, written) = (figures.input_tokens, figures.output_tokens);
    let tokens = |count| format!("{} token{}", thousands(count), if count == 1 { "" } else { "s" });
    let speed = figures.tokens_per_second.map(|speed| format!(" ({speed:.0} a second)")).unwrap_or_default();
    let time = length(figures.seconds.local);
    (written > 0).then(|| format!("The local model read {} and wrote {}{speed}, in {time}.", tokens(read), tokens(written)))
}

fn spared(figures: &Figures) -> Option<String> {
    let wait = figures.wait;
    let (all, longest) = (length(wait.seconds), length(wait.longest_seconds));
    match wait.calls {
        0 => None,
        1 => Some(format!("Without the local model, 1 call would have failed, or waited {all} for Claude.")),
        calls => Some(format!(
            "Without the local model, {} would have failed, or waited for Claude: {all} in all, one of them {longest}.",
            calls_of(calls)
        )),
    }
}

/// With a comma between thousands.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// For programs: the same figures, on one line.
pub(crate) fn as_json(entries: &[&Entry], span: &Range<Timestamp>, now: Timestamp) -> Shown {
    let outages = outages_within(entries, span);
    let report = Report {
        since: span.start,
        until: span.end.min(now),
        figures: figures(entries, span, now),
        outages: outages.iter().map(Band::of).collect(),
    };
    Shown::json(&(serde_json::to_string(&report).unwrap_or_default() + "\n"))
}

fn outages_within(entries: &[&Entry], span: &Range<Timestamp>) -> Vec<Outage> {
    within(span, outages(entries)).collect()
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "milliseconds")]
    since: Timestamp,
    #[serde(serialize_with = "milliseconds")]
    until: Timestamp,
    #[serde(flatten)]
    figures: Figures,
    outages: Vec<Band>,
}

#[derive(Serialize)]
struct Band {
    cause: &'static str,
    #[serde(serialize_with = "milliseconds")]
    since: Timestamp,
    /// Null: Claude has not answered since then, and has stated no end.
    until: Option<String>,
}

impl Band {
    fn of(outage: &Outage) -> Band {
        Band { cause: outage.cause.word(), since: outage.begin, until: outage.end.map(|end| format!("{end:.3}")) }
    }
}
