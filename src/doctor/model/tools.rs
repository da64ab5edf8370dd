//! Whether a local model calls tools, which an agent lives by.

use crate::completions::failure::CompletionError;
use crate::doctor::check::Check;
use crate::doctor::model::mend::Failing;
use crate::doctor::model::trial::Told;
use crate::doctor::model::{Subject, questions};
use crate::shown::shown;

pub(super) fn check(subject: &Subject, add: &mut dyn FnMut(Check)) {
    let id = "tools";
    let one = questions::weather(&["Paris"]);
    let mut told = subject.asker.ask(&one);
    // A small model does not always.
    if told.outcome.is_ok() && told.calls() == 0 {
        told = subject.asker.ask(&one);
    }
    if let Some(check) = subject.unfinished(id, &told) {
        return add(check);
    }
    let calls = match &told.outcome {
        Ok(ended) => &ended.calls,
        Err(CompletionError::Untaken { .. } | CompletionError::Refusal(_)) => {
            let text = shown!("the server refuses tools ({}); agents get them described in words", subject.why(&told));
            return add(Check::problem(id, text, subject.mend(Failing::Tools)));
        }
        Err(_) => {
            return add(Check::problem(id, subject.why(&told), subject.mend(Failing::Tools)));
        }
    };
    let Some(call) = calls.first() else {
        return add(Check::problem(id, "the model calls no tool: agents can only talk", subject.mend(Failing::Tools)));
    };
    if call.arguments.as_ref().map_or(true, |arguments| arguments.get("city").is_none()) {
        let text = "the model calls a tool, but its arguments are not of the tool's schema";
        return add(Check::warning(id, text, subject.mend(Failing::Tools)));
    }
    add(Check::ok(id, shown!("called, {}", way(&told))));
    let two = subject.asker.ask(&questions::weather(&["Paris", "Oslo"]));
    add(subject.unfinished("parallel-tools", &two).unwrap_or_else(|| match (&two.outcome, two.calls()) {
        (Ok(_), 2..) => Check::ok("parallel-tools", shown!("{} calls in one answer, {}", two.calls(), way(&two))),
        (Ok(_), 1) => {
            let text = "one call in an answer where two were asked for: work takes more turns";
            Check::warning("parallel-tools", text, subject.mend(Failing::Parallel))
        }
        (Ok(_), _) => Check::warning("parallel-tools", "no call where two were asked for", subject.mend(Failing::Parallel)),
        (Err(_), _) => Check::warning("parallel-tools", subject.why(&two), subject.mend(Failing::Parallel)),
    }));
}

fn way(told: &Told) -> String {
    match (told.call_pieces, told.calls()) {
        (0, _) => "as text, which is read here".into(),
        (pieces, calls) if pieces > calls => format!("by the server's parser, streamed in {pieces} pieces"),
        _ => "by the server's parser, each in one piece".into(),
    }
}
