//! How long a local model's context really is, and what an agent's first turn takes in it.
//!
//! The server is asked, and then given a prompt that needs the context: as long as Claude Code's instructions, or as the context that
//! is told, if that is shorter. A server that drops a part of it says by its own count how much it has read, and the model no
//! longer knows what stood at the front.

use crate::completions::failure::CompletionError;
use crate::context::Context;
use crate::doctor::check::Check;
use crate::doctor::model::mend::Failing;
use crate::doctor::model::questions::{FACT, long_prompt};
use crate::doctor::model::speed::Speed;
use crate::doctor::model::trial::Told;
use crate::doctor::model::{Subject, seconds};
use crate::gateway::agent_prompt::{AgentPrompt, USUAL_LENGTH};
use crate::settings::Setting;
use crate::shown::{Shown, shown};

/// What an agent gets of Claude Code's instructions in a small context, in tokens.
const LEAN_LENGTH: u32 = 3000;

/// With less an agent does no work.
const LEAST: u32 = 8192;

/// With less its work is short.
const FAIR: u32 = 16_384;

/// What the question and the answer take, in tokens.
const AROUND: u32 = 300;

/// A first turn that takes longer is nothing to wait for, in seconds.
const LONG_TURN: f64 = 60.0;

/// How much of the time for a trial its prompt may take, by the speed that was measured.
const SHARE: f64 = 0.5;

pub(super) fn check(context: &Context, subject: &Subject, speed: &Speed, nonce: &str, add: &mut dyn FnMut(Check)) {
    let stated = subject.asker.link.settings.window;
    let told = stated.or(subject.said);
    let prompt = AgentPrompt::from_settings(context).unwrap_or_default();
    let is_lean = prompt.is_lean_in(told);
    let turn = if is_lean { LEAN_LENGTH } else { USUAL_LENGTH };
    let wanted = told.map_or(USUAL_LENGTH, |told| told.saturating_sub(AROUND).min(USUAL_LENGTH));
    let in_time = |wanted: u32| {
        let most = speed.reads.map_or(f64::from(wanted), |reads| reads * subject.asker.time().as_secs_f64() * SHARE);
        wanted.min(most as u32)
    };
    let tried = in_time(wanted);
    let ask = |tokens: u32, nonce: &str| {
        let estimated = f64::from(tokens) / speed.per_estimated.unwrap_or(0.8);
        subject.asker.ask(&long_prompt(estimated as usize, nonce, 32))
    };
    let long = ask(tried, &format!("b{nonce}"));
    // One prompt serves both where an agent gets all of the instructions.
    let lean = (is_lean && tried >= turn).then(|| ask(turn, &format!("c{nonce}")));
    let first_turn = lean.as_ref().or((!is_lean && tried >= turn).then_some(&long));
    add(turn_check(subject, speed, turn, first_turn));
    add(context_check(subject, stated, wanted, tried, &long));
}

fn turn_check(subject: &Subject, speed: &Speed, turn: u32, told: Option<&Told>) -> Check {
    let id = "first-turn";
    let measured = told.filter(|told| told.outcome.is_ok() && told.first.is_some());
    let (after, how) = match (measured, speed.reads) {
        (Some(told), _) => (seconds(told), "comes"),
        (None, Some(reads)) => (f64::from(turn) / reads, "would come, by the speed of reading,"),
        (None, None) => {
            let model = subject.asker.link.server.endpoint().variable(Setting::Model);
            return Check::warning(
                id,
                "not measured: the server read too little in time",
                shown!("set {model} to a smaller model"),
            );
        }
    };
    let text = shown!("the first word of an agent {how} after {after:.1} s ({turn} tokens of instructions)");
    let check = match after > LONG_TURN {
        true if turn > LEAN_LENGTH => Check::warning(id, text, "set LOCAL_LLM_AGENT_PROMPT=lean, or take a smaller model"),
        true => {
            let model = subject.asker.link.server.endpoint().variable(Setting::Model);
            Check::warning(id, text, shown!("set {model} to a smaller model"))
        }
        false => Check::ok(id, text),
    };
    check.with("seconds", after).with("tokens", turn.into())
}

fn context_check(subject: &Subject, stated: Option<u32>, wanted: u32, tried: u32, told: &Told) -> Check {
    let id = "context";
    let variable = subject.asker.link.server.endpoint().variable(Setting::Window);
    let says = match (stated, subject.said) {
        (Some(stated), Some(said)) if stated > said => {
            let text = shown!("{variable} says {stated} tokens, and the server {said}");
            return Check::problem(id, text, shown!("unset {variable}, or {}", subject.mend(Failing::Context)));
        }
        (Some(stated), _) => shown!("{stated} tokens, as {variable} says"),
        (None, Some(said)) => shown!("{said} tokens, as the server says"),
        (None, None) => "the server does not say how long it is".into(),
    };
    let known = stated.or(subject.said);
    let read = told.read();
    let figures = |check: Check| {
        let check = known.into_iter().fold(check, |check, known| check.with("told", known.into()));
        read.into_iter().fold(check, |check, read| check.with("read", read as f64))
    };
    figures(match &told.outcome {
        Err(CompletionError::TooLong { window, .. } | CompletionError::AnswerTooLong { window, .. }) => {
            let limit = window.map_or_else(Shown::default, |window| shown!(": it has {window}"));
            let text = shown!("{says}; it refuses a prompt of {tried} tokens{limit}");
            match window.is_some_and(|window| window >= FAIR.into()) {
                true => Check::warning(id, text, subject.mend(Failing::Context)),
                false => Check::problem(id, text, subject.mend(Failing::Context)),
            }
        }
        Err(_) if told.is_out_of_time => {
            let text = shown!("{says}; a prompt of {tried} tokens was not read within {:.0} s", told.end.as_secs_f64());
            Check::warning(id, text, "more time for each trial: --limit SECONDS")
        }
        Err(_) => Check::problem(
            id,
            shown!("{says}; a prompt of {tried} tokens fails: {}", subject.why(told)),
            subject.mend(Failing::Context),
        ),
        Ok(_) => answered(subject, known, &says, wanted, tried, told),
    })
}

/// For a long prompt that was answered.
fn answered(subject: &Subject, known: Option<u32>, says: &Shown, wanted: u32, tried: u32, told: &Told) -> Check {
    let id = "context";
    let variable = subject.asker.link.server.endpoint().variable(Setting::Window);
    let is_stated = known.is_some_and(|known| known < FAIR) && known != subject.said;
    let mend = || if is_stated { shown!("unset {variable}, or raise it") } else { subject.mend(Failing::Context) };
    let is_known = told.text.to_lowercase().contains(FACT) || told.raw_text.to_lowercase().contains(FACT);
    // The sample has shown how the server counts.
    const SHORT: f64 = 0.85;
    match told.read() {
        Some(read) if (read as f64) < SHORT * f64::from(tried) => {
            let text = shown!("{says}; of {tried} tokens {read} were read and the rest was dropped without a word");
            Check::problem(id, text, mend())
        }
        None if !is_known => {
            let text = shown!("{says}; of {tried} tokens the first are not known any more, and the server does not count");
            Check::problem(id, text, mend())
        }
        _ if known.is_some_and(|known| known < LEAST) => {
            Check::problem(id, shown!("{says}: an agent needs {LEAST} at least"), mend())
        }
        _ if known.is_some_and(|known| known < FAIR) => Check::warning(id, shown!("{says}: an agent does little in it"), mend()),
        Some(read) if !is_known => {
            let model = subject.asker.link.server.endpoint().variable(Setting::Model);
            let text = shown!("{says}; {read} tokens were read, and the model does not know what stood at their front");
            Check::warning(id, text, shown!("set {model} to a larger model"))
        }
        read => {
            let read = read.unwrap_or(tried.into());
            let part = if tried < wanted { ", as many as fit into the time" } else { "" };
            Check::ok(id, shown!("{says}; {read} tokens were read{part}, and the model knows what stood at their front"))
        }
    }
}
