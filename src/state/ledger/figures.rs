//! What the calls of a span of time add up to.
//!
//! *What a wait would have cost*: of each call that the local model answered because Claude could not, the time from its beginning to
//! the end of that limit or outage, but no later than now. A caller who waits for Claude would have waited so long, and one who does
//! not would have failed. Calls side by side each count in full. Calls that went to the local model by the switch would have had an
//! answer of Claude's, and local answers that failed spared nobody anything: neither counts.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::state::ledger::outages::{self, Outage, outages};
use crate::state::ledger::{Entry, RouteName, thousandths};

/// How many calls each backend answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub claude: usize,
    pub local: usize,
}

impl Counts {
    pub(super) fn add(&mut self, entry: &Entry) {
        *(if entry.is_local() { &mut self.local } else { &mut self.claude }) += 1;
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub calls: Counts,
    /// Of these, the calls whose exit code is other than 0.
    pub failed: Counts,
    /// Of local answers, as far as they are known.
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// How long the calls took, added up.
    pub seconds: Seconds,
    /// The part of the calls that were answered locally, from 0 to 1. None if there were no calls.
    #[serde(serialize_with = "thousandths_if_known")]
    pub local_share: Option<f64>,
    /// What the local model writes in a second of a plain answer, its reading of the prompt included. An agent's seconds are also its
    /// tools', and those of a call that Claude refused are also Claude's. None if no plain answer tells.
    #[serde(serialize_with = "thousandths_if_known")]
    pub tokens_per_second: Option<f64>,
    pub wait: Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Seconds {
    #[serde(serialize_with = "thousandths")]
    pub claude: f64,
    #[serde(serialize_with = "thousandths")]
    pub local: f64,
}

/// What a wait for Claude would have cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Wait {
    /// That would have failed without the local model, or waited.
    pub calls: usize,
    /// Added up over these calls.
    #[serde(serialize_with = "thousandths")]
    pub seconds: f64,
    /// The longest of one call.
    #[serde(serialize_with = "thousandths")]
    pub longest_seconds: f64,
}

/// Adds up the calls that began within `span`. `entries` are all that there are: a limit may have begun before. Their order does not
/// matter.
pub(crate) fn figures(entries: &[&Entry], span: &Range<Timestamp>, now: Timestamp) -> Figures {
    figures_of(entries, |entry| span.contains(&entry.time), now)
}

/// Adds up those that are wanted.
pub(super) fn figures_of(entries: &[&Entry], is_wanted: impl Fn(&Entry) -> bool, now: Timestamp) -> Figures {
    let outages = outages(entries);
    let mut figures = Figures::default();
    let (mut written, mut writing) = (0, 0.0);
    let is_call = |entry: &&&Entry| entry.route != RouteName::Gateway && is_wanted(entry);
    for entry in entries.iter().filter(is_call) {
        let seconds = if entry.seconds.is_finite() { entry.seconds.max(0.0) } else { 0.0 };
        let has_failed = entry.exit.is_some_and(|code| code != 0);
        figures.calls.add(entry);
        if has_failed {
            figures.failed.add(entry);
        }
        if !entry.is_local() {
            figures.seconds.claude += seconds;
            continue;
        }
        figures.seconds.local += seconds;
        figures.input_tokens = figures.input_tokens.saturating_add(entry.input_tokens.unwrap_or(0));
        figures.output_tokens = figures.output_tokens.saturating_add(entry.output_tokens.unwrap_or(0));
        if let (RouteName::Answer, Some(tokens @ 1..)) = (entry.route, entry.output_tokens) {
            (written, writing) = (tokens.saturating_add(written), writing + seconds);
        }
        if let Some(end) = end_of_outage(entry, &outages, now).filter(|_| !has_failed) {
            figures.wait.add(end.duration_since(entry.time).as_secs_f64().max(0.0));
        }
    }
    let calls = figures.calls.claude + figures.calls.local;
    figures.local_share = (calls > 0).then(|| figures.calls.local as f64 / calls as f64);
    figures.tokens_per_second = (writing > 0.0).then(|| written as f64 / writing);
    figures
}

fn thousandths_if_known<S: Serializer>(number: &Option<f64>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    number.map(|number| (number * 1000.0).round() / 1000.0).serialize(serializer)
}

impl Wait {
    fn add(&mut self, seconds: f64) {
        self.calls += 1;
        self.seconds += seconds;
        self.longest_seconds = self.longest_seconds.max(seconds);
    }
}

/// None if Claude could have answered the call.
fn end_of_outage(entry: &Entry, outages: &[Outage], now: Timestamp) -> Option<Timestamp> {
    let cause = outages::cause_of_outage(entry)?;
    let is_its = |outage: &&Outage| outage.cause == cause && outage.has(entry.time);
    Some(outages.iter().rfind(is_its).and_then(|outage| outage.end).map_or(now, |end| end.min(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::ledger::parse;

    fn line(time: &str, rest: &str) -> Entry {
        let line = format!(r#"{{"time":"2026-11-22T{time}:00Z","applet":"claude",{rest}}}"#);
        parse(&line).expect(&line).entry
    }

    fn local(time: &str, route: &str, rest: &str) -> Entry {
        line(time, &format!(r#""route":"{route}","backend":"local","seconds":2,{rest}"#))
    }

    fn claude(time: &str, rest: &str) -> Entry {
        line(time, &format!(r#""route":"watch","backend":"claude","seconds":10,{rest}"#))
    }

    fn of(entries: &[Entry], since: &str, until: &str) -> Figures {
        let at = |time: &str| format!("2026-11-22T{time}:00Z").parse::<Timestamp>().unwrap();
        figures(&entries.iter().collect::<Vec<_>>(), &(at(since)..at(until)), at(until))
    }

    #[test]
    fn a_night_added_up() {
        let limit = r#""verdict":"five_hour","until":"2026-11-22T05:00:00Z""#;
        let entries = [
            claude("00:00", r#""verdict":"fine","input_tokens":7,"output_tokens":7,"exit":0"#),
            local("01:00", "watch", &format!(r#"{limit},"input_tokens":100,"output_tokens":20,"exit":0"#)),
            local("02:00", "answer", &format!(r#"{limit},"input_tokens":10,"output_tokens":30"#)),
            local("02:00", "gateway", r#""input_tokens":10,"truncated":true"#),
            local("03:00", "answer", &format!(r#"{limit},"exit":1"#)),
            local("04:00", "answer", r#""verdict":"switch","output_tokens":50,"exit":0"#),
            claude("04:30", r#""verdict":"caller","exit":1"#),
        ];
        let expected = Figures {
            calls: Counts { claude: 2, local: 4 },
            failed: Counts { claude: 1, local: 1 },
            input_tokens: 110,
            output_tokens: 100,
            seconds: Seconds { claude: 20.0, local: 8.0 },
            local_share: Some(4.0 / 6.0),
            tokens_per_second: Some(20.0),
            wait: Wait { calls: 2, seconds: 7.0 * 3600.0, longest_seconds: 4.0 * 3600.0 },
        };
        assert_eq!(of(&entries, "00:00", "06:00"), expected);
        let mut reversed = entries.to_vec();
        reversed.reverse();
        assert_eq!(of(&reversed, "00:00", "06:00"), expected);
        assert_eq!(of(&entries, "02:00", "04:00").wait, Wait { calls: 1, seconds: 2.0 * 3600.0, longest_seconds: 7200.0 });
        assert_eq!(of(&entries, "06:00", "07:00"), Figures::default());
    }

    #[test]
    fn a_wait_ends_with_claudes_next_answer_or_now() {
        let overload = || local("01:00", "answer", r#""verdict":"overload","exit":0"#);
        let wait = |entries: &[Entry], until: &str| of(entries, "00:00", until).wait.seconds / 60.0;
        assert!((wait(&[overload(), claude("01:20", r#""verdict":"fine""#)], "06:00") - 20.0).abs() < 1e-6);
        assert!((wait(&[overload()], "02:00") - 60.0).abs() < 1e-6);
        let weekly = local("01:00", "answer", r#""verdict":"seven_day","until":"2026-11-25T05:00:00Z""#);
        assert!((wait(&[weekly], "01:30") - 30.0).abs() < 1e-6);
    }

    #[test]
    fn what_a_foreign_ledger_says_breaks_no_sum() {
        let entry = local("01:00", "answer", r#""output_tokens":18446744073709551615"#);
        let backwards = Entry { seconds: -1.0, ..entry.clone() };
        let sum = of(&[entry.clone(), entry, backwards], "00:00", "02:00");
        assert_eq!((sum.output_tokens, sum.seconds.local), (u64::MAX, 4.0));
    }
}
