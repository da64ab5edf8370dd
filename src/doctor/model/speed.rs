//! How fast a local model answers.

use crate::doctor::check::Check;
use crate::doctor::model::trial::Told;
use crate::doctor::model::{Subject, questions, seconds};
use crate::local_model::context::tokens;
use crate::settings::Setting;
use crate::shown::shown;

/// The prompt by which reading is measured, in tokens by the estimate.
const SAMPLE: usize = 1000;

/// Slower than this, in tokens a second, nobody waits for the end of an answer.
const SLOW: f64 = 4.0;

/// What was measured.
pub(super) struct Speed {
    /// Tokens a second that are read.
    pub(super) reads: Option<f64>,
    /// How many tokens the server counts for one of the estimate. None if it counts none.
    pub(super) per_estimated: Option<f64>,
    /// The longest of the answers.
    pub(super) long: Told,
    /// All that was answered.
    pub(super) greeting: Told,
}

pub(super) fn measure(subject: &Subject, nonce: &str, add: &mut dyn FnMut(Check)) -> Speed {
    let asker = &subject.asker;
    let greeting = asker.ask(&questions::greeting());
    let long = asker.ask(&questions::long_answer());
    let question = questions::long_prompt(SAMPLE, &format!("a{nonce}"), 4);
    let estimated: usize = question.messages.iter().filter_map(|message| message["content"].as_str()).map(tokens).sum();
    let sample = asker.ask(&question);
    let per_estimated = sample.read().map(|read| read as f64 / estimated as f64);
    let count = sample.read().map_or(estimated as f64 * 0.8, |read| read as f64);
    let reads = sample.first.filter(|first| !first.is_zero()).map(|first| count / first.as_secs_f64());
    // The first piece has taken the time of reading.
    let writing = long.end.saturating_sub(long.first.unwrap_or_default()).as_secs_f64();
    let whole = if long.text_pieces > 1 { writing } else { long.end.as_secs_f64() };
    let written = long.written() as f64;
    let writes = (written > 1.0 && whole > 0.0).then(|| written / whole);
    let per_second = |speed: Option<f64>| speed.map_or("an unknown number of".to_string(), |speed| format!("{speed:.1}"));
    let first = seconds(&greeting);
    let text = shown!(
        "reads {} and writes {} tokens a second; the first word of a plain answer comes after {first:.2} s",
        per_second(reads),
        per_second(writes)
    );
    let model = asker.link.server.endpoint().variable(Setting::Model);
    let mut check = match () {
        () if long.is_out_of_time || sample.is_out_of_time => {
            let text = shown!("{text}; not all of it came within {:.0} s", asker.limit.as_secs_f64());
            Check::warning("speed", text, shown!("set {model} to a smaller model"))
        }
        () if long.outcome.is_err() => Check::problem("speed", subject.why(&long), "see the server's log"),
        () if writes.is_some_and(|writes| writes < SLOW) => {
            Check::warning("speed", text, shown!("set {model} to a smaller model"))
        }
        () => Check::ok("speed", text),
    };
    for (name, figure) in [("read_per_second", reads), ("written_per_second", writes), ("first_word_seconds", Some(first))] {
        check = figure.into_iter().fold(check, |check, figure| check.with(name, figure));
    }
    add(check);
    Speed { reads, per_estimated, long, greeting }
}
