//! `/metrics`, in Prometheus' text format 0.0.4.
//!
//! A counter never falls while this process lives: it begins with what the ledger holds, and goes on with the lines that come, whatever
//! becomes of the file that they came from.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

use crate::claude_code::refusal::Cause;
use crate::context::Context;
use crate::dashboard::look::{Answering, status};
use crate::state::breaker::Breaker;
use crate::state::flag::Backend;
use crate::state::ledger::tail::Tail;
use crate::state::ledger::{Entry, RouteName};

/// Those that keep calls from Claude.
const CAUSES: [Cause; 10] = [
    Cause::FiveHour,
    Cause::SevenDay,
    Cause::Model,
    Cause::Spend,
    Cause::Usage,
    Cause::Credit,
    Cause::Overload,
    Cause::ServerError,
    Cause::Network,
    Cause::Throttle,
];

const STATES: [&str; 6] = ["up", "down", "loading", "hung", "dead", "foreign"];

/// How many causes of calls are told apart: what stands in the ledger is anybody's text.
const MOST_CAUSES: usize = 100;

#[derive(Default)]
pub(super) struct Metrics {
    tail: Tail,
    /// By route, backend and cause.
    calls: BTreeMap<[String; 3], u64>,
    /// By route and backend: how long the calls took, and how many they were.
    seconds: BTreeMap<[String; 2], (f64, u64)>,
    /// By backend and direction.
    tokens: BTreeMap<[&'static str; 2], u64>,
    failed: BTreeMap<&'static str, u64>,
}

impl Metrics {
    pub(super) fn text(&mut self, context: &Context) -> String {
        for entry in self.tail.new_entries(context) {
            self.count(&entry);
        }
        let mut text = Text::default();
        self.counters(&mut text);
        state(context, &mut text);
        text.0
    }

    fn count(&mut self, entry: &Entry) {
        if entry.route == RouteName::Gateway {
            return;
        }
        let backend = entry.answered_by.word();
        let route = serde_json::to_value(entry.route).ok().and_then(|word| Some(word.as_str()?.to_string())).unwrap_or_default();
        let cause = entry.verdict.clone().unwrap_or_else(|| "none".into());
        let mut key = [route.clone(), backend.to_string(), cause];
        if self.calls.len() >= MOST_CAUSES && !self.calls.contains_key(&key) {
            key[2] = "other".into();
        }
        *self.calls.entry(key).or_default() += 1;
        let (seconds, calls) = self.seconds.entry([route, backend.to_string()]).or_default();
        *seconds += if entry.seconds.is_finite() { entry.seconds.max(0.0) } else { 0.0 };
        *calls += 1;
        for (direction, tokens) in [("input", entry.input_tokens), ("output", entry.output_tokens)] {
            let sum = self.tokens.entry([backend, direction]).or_default();
            *sum = sum.saturating_add(tokens.unwrap_or(0));
        }
        *self.failed.entry(backend).or_default() += u64::from(entry.exit.is_some_and(|code| code != 0));
    }

    fn counters(&self, text: &mut Text) {
        text.family("llm_failover_calls_total", "counter", "Calls in the ledger, by route, backend and cause.");
        for ([route, backend, cause], count) in &self.calls {
            text.sample("llm_failover_calls_total", &[("route", route), ("backend", backend), ("cause", cause)], *count as f64);
        }
        text.family("llm_failover_failed_calls_total", "counter", "Calls whose exit code is not 0.");
        for (backend, count) in &self.failed {
            text.sample("llm_failover_failed_calls_total", &[("backend", backend)], *count as f64);
        }
        text.family("llm_failover_call_seconds", "summary", "How long calls took.");
        for ([route, backend], (seconds, calls)) in &self.seconds {
            let labels = [("route", route.as_str()), ("backend", backend)];
            text.sample("llm_failover_call_seconds_sum", &labels, *seconds);
            text.sample("llm_failover_call_seconds_count", &labels, *calls as f64);
        }
        text.family("llm_failover_tokens_total", "counter", "Tokens of calls, as far as they are known.");
        for ([backend, direction], tokens) in &self.tokens {
            text.sample("llm_failover_tokens_total", &[("backend", backend), ("direction", direction)], *tokens as f64);
        }
    }
}

/// What holds at this moment.
fn state(context: &Context, text: &mut Text) {
    let number = |is: bool| f64::from(u8::from(is));
    let seconds = |time: Timestamp| time.as_millisecond() as f64 / 1000.0;
    if let Ok(answering) = Answering::read(context) {
        text.family("llm_failover_switch", "gauge", "1 for the position of the switch.");
        for backend in [Backend::Claude, Backend::Auto, Backend::Local] {
            text.sample("llm_failover_switch", &[("position", backend.word())], number(answering.backend == backend));
        }
        if let Some(since) = answering.since {
            text.family("llm_failover_switch_timestamp_seconds", "gauge", "When the switch was last set.");
            text.sample("llm_failover_switch_timestamp_seconds", &[], seconds(since));
        }
        text.family("llm_failover_answers_locally", "gauge", "1 if the local model answers the next call.");
        text.sample("llm_failover_answers_locally", &[], number(answering.is_local()));
    }
    let conditions = Breaker::new(context).map(|breaker| breaker.conditions()).unwrap_or_default();
    text.family("llm_failover_breaker_open", "gauge", "1 while calls in auto are kept from Claude for this cause.");
    for cause in CAUSES {
        let is_open = conditions.iter().any(|condition| condition.cause == cause);
        text.sample("llm_failover_breaker_open", &[("cause", cause.word())], number(is_open));
    }
    text.family("llm_failover_breaker_until_timestamp_seconds", "gauge", "The end that Claude has stated.");
    for cause in CAUSES {
        let until = conditions.iter().filter(|condition| condition.cause == cause).filter_map(|condition| condition.until).max();
        if let Some(until) = until {
            text.sample("llm_failover_breaker_until_timestamp_seconds", &[("cause", cause.word())], seconds(until));
        }
    }
    if let Ok((status, _, memory)) = status(context) {
        let links = || status.links.iter().enumerate().map(|(place, link)| ((place + 1).to_string(), link));
        text.family("llm_failover_server_state", "gauge", "1 for the state of each local server.");
        for (place, link) in links() {
            for state in STATES {
                let labels = [("link", place.as_str()), ("url", &link.url), ("state", state)];
                text.sample("llm_failover_server_state", &labels, number(link.state == state));
            }
        }
        text.family("llm_failover_context_tokens", "gauge", "The context of each local model, if it is known.");
        for (place, link) in links() {
            if let Some(tokens) = link.context {
                text.sample("llm_failover_context_tokens", &[("link", &place), ("url", &link.url)], tokens.into());
            }
        }
        if let Some(bytes) = memory {
            text.family("llm_failover_server_memory_bytes", "gauge", "What the first local server takes up.");
            text.sample("llm_failover_server_memory_bytes", &[], bytes as f64);
        }
    }
    text.family("llm_failover_build_info", "gauge", "The version of this program.");
    text.sample("llm_failover_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if place == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
