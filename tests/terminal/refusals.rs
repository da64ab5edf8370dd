//! Which failures of Claude's a person is asked for.

use super::{ASKS, Home, VERSIONS};
use crate::auto::{each_of_a_share, same};
use crate::support::messages_api::{Reply, error};
use crate::support::script::says;
use crate::support::until;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Throttled,
    SignedOut,
    Overloaded,
    NoCredit,
}

impl Failure {
    fn reply(self) -> Reply {
        match self {
            Failure::Throttled => error(429, "rate_limit_error", "Too many tokens in a minute."),
            Failure::SignedOut => error(401, "authentication_error", "OAuth token has been revoked."),
            Failure::Overloaded => error(529, "overloaded_error", "Overloaded"),
            Failure::NoCredit => error(400, "invalid_request_error", "Your credit balance is too low to access the API."),
        }
    }

    /// What is said of Claude then.
    fn status(self) -> Option<&'static str> {
        match self {
            Failure::Throttled | Failure::SignedOut => None,
            Failure::Overloaded => Some("is overloaded"),
            Failure::NoCredit => Some("is out of credit"),
        }
    }
}

#[test]
fn failures_of_one_kind_are_asked_for() {
    let failures = [Failure::Throttled, Failure::SignedOut, Failure::Overloaded, Failure::NoCredit];
    let items: Vec<_> = VERSIONS.into_iter().flat_map(|version| failures.map(|failure| (version, failure))).collect();
    each_of_a_share(&items, 2, |&(version, failure)| {
        let mut home = Home::new(version);
        let model = home.plays([says("An answer of here.")]);
        home.sandbox.set("CLAUDE_CODE_MAX_RETRIES", "1");
        home.claude(move |_| failure.reply());
        let person = home.session("claude --permission-mode default");
        person.asks(|person| person.says("Of pears."));
        if let Some(status) = failure.status() {
            until(60, "the breaker is open", || home.status().starts_with(status));
            person.is_asked("Of plums.", ASKS);
            same("why", true, person.terminal.text().contains(&format!("Claude {status}")))?;
            person.goes(|person| person.answers("Of plums.", "local"));
            person.reads("An answer of here.");
            same("prompts", 1, model.questions()[0]["messages"].to_string().matches("Of plums.").count())?;
        } else {
            person.asks(|person| person.says("Of plums."));
            same("held", 0, person.held())?;
            same("status", "answers", home.status().as_str())?;
        }
        same("notifications", usize::from(failure.status().is_some()), home.told().len())?;
        person.leaves()
    });
}
