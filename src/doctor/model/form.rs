//! What a local model's answers are like: streamed, clean, of a form; and whether it sees pictures.

use crate::completions::failure::CompletionError;
use crate::completions::thinking::mark_in;
use crate::completions::untaken::Untaken;
use crate::doctor::check::Check;
use crate::doctor::model::mend::Failing;
use crate::doctor::model::speed::Speed;
use crate::doctor::model::trial::Told;
use crate::doctor::model::{Subject, questions};
use crate::shown::{Shown, shown};

/// How much of an answer is shown, in characters.
const SHOWN: usize = 60;

pub(super) fn check(subject: &Subject, speed: &Speed, add: &mut dyn FnMut(Check)) {
    add(streaming(subject, &speed.long));
    let sum = subject.asker.ask(&questions::sum());
    add(leaks(subject, &[&speed.greeting, &speed.long, &sum]));
    add(images(subject));
    add(schema(subject));
}

fn streaming(subject: &Subject, long: &Told) -> Check {
    match (long.text_pieces, long.written()) {
        (0 | 1, 4..) => {
            Check::warning("streaming", "an answer comes in one piece: nobody sees it grow", subject.mend(Failing::Streaming))
        }
        (pieces, _) => Check::ok("streaming", shown!("an answer comes word by word, in {pieces} pieces")),
    }
}

/// What the callers get counts as a problem; what this program takes out, other programs would get.
fn leaks(subject: &Subject, all: &[&Told]) -> Check {
    let id = "leaks";
    let told = |told: &&&Told| told.outcome.is_ok();
    if let Some(token) = all.iter().filter(told).find_map(|told| told.outcome.as_ref().ok()?.unknown_markup.clone()) {
        let text = shown!("`{token}` of the model's template stands in its answers");
        return Check::problem(id, text, subject.mend(Failing::Markup));
    }
    if let Some(mark) = all.iter().filter(told).find_map(|told| mark_in(&told.text)) {
        return Check::problem(id, shown!("`{mark}` stands in its answers"), subject.mend(Failing::Thinking));
    }
    let is_unopened = |told: &&&Told| told.outcome.as_ref().is_ok_and(|ended| ended.thinks_unopened == Some(true));
    let mark = all.iter().find_map(|told| mark_in(&told.raw_text));
    if let Some(mark) = mark.or_else(|| all.iter().any(|told| is_unopened(&told)).then_some("</think>")) {
        let text = shown!("the server leaves thinking in the text (`{mark}`); it is taken out here");
        return Check::warning(id, text, subject.mend(Failing::Thinking));
    }
    if let Some(failed) = all.iter().find(|told| told.outcome.is_err()) {
        return subject.unfinished(id, failed).unwrap_or_else(|| Check::problem(id, subject.why(failed), "see the server's log"));
    }
    match all.iter().any(|told| told.has_thinking) {
        true => Check::ok(id, "the server tells thinking from the text, and no markup leaks"),
        false => Check::ok(id, "no thinking and no markup in the text"),
    }
}

fn images(subject: &Subject) -> Check {
    let id = "images";
    let told = subject.asker.ask(&questions::picture());
    let mend = || subject.mend(Failing::Images);
    match &told.outcome {
        // Most models see nothing, and work well without.
        Err(CompletionError::Untaken { about, .. }) if about.contains(&Untaken::Images) => {
            Check::ok(id, shown!("not seen: pictures are told of in words; to have them seen, {}", mend()))
        }
        Err(_) => {
            subject.unfinished(id, &told).unwrap_or_else(|| Check::warning(id, shown!("none: {}", subject.why(&told)), mend()))
        }
        Ok(_) if told.text.to_lowercase().contains("red") => Check::ok(id, "seen"),
        Ok(_) => {
            let said = excerpt(&told);
            Check::ok(id, shown!("taken, but not seen: a red one is `{said}`; to have them seen, {}", mend()))
        }
    }
}

fn schema(subject: &Subject) -> Check {
    let id = "schema";
    let told = subject.asker.ask(&questions::form());
    let mend = || subject.mend(Failing::Schema);
    match &told.outcome {
        Err(_) => {
            subject.unfinished(id, &told).unwrap_or_else(|| Check::warning(id, shown!("refused: {}", subject.why(&told)), mend()))
        }
        Ok(_) if questions::has_form(&told.text) => Check::ok(id, "the server holds answers to a JSON schema"),
        Ok(_) => Check::warning(id, "passed over: the answer is not of the JSON schema that was given", mend()),
    }
}

fn excerpt(told: &Told) -> Shown {
    Shown::squeezed(&told.text).at_most(SHOWN)
}
