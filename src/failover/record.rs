//! The ledger's entries.

use std::process::ExitCode;

use crate::answer::conversation::Answered;
use crate::failover::Failover;
use crate::os::exit::Exit;
use crate::routing::reason::Refusal;
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::watch::Watch;

impl Failover<'_> {
    pub(super) fn entry(&self, route: RouteName, answered_by: AnsweredBy) -> Entry {
        Entry::new(self.applet, self.begun, route, answered_by)
    }

    pub(super) fn record_claude(&self, watch: &Watch, exit: Exit) {
        Entry { exit: Some(exit.code()), ..self.entry_of_claude(watch) }.append(self.context);
    }

    pub(super) fn entry_of_claude(&self, watch: &Watch) -> Entry {
        let (verdict, entry) = (watch.verdict(), self.entry(RouteName::Watch, AnsweredBy::Claude));
        watch.record(Entry { verdict: Some(verdict.cause.word().into()), until: verdict.until, ..entry })
    }

    /// Returns the exit code. `answered` is none if stdout is closed.
    pub(super) fn record_local(&self, route: RouteName, refusal: &Refusal, answered: Option<Answered>) -> ExitCode {
        let Some(answered) = answered else { return ExitCode::FAILURE };
        answered.tell_claude(self.applet);
        let entry = Entry { until: refusal.until, ..self.entry(route, AnsweredBy::Local) };
        answered.record(refusal.cause.word(), entry).append(self.context);
        answered.exit_code()
    }
}
