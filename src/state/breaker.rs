//! The breaker: Claude's refusals, on disk, shared by many short-lived processes.
//!
//! Without a condition the breaker is closed: calls go to Claude. With one it is open until a probe is due; then it is
//! half-open: one call asks Claude, and all others stay local until that call has its answer. A file that is torn, lost or
//! written by a clock that has jumped costs one call to Claude.

mod times;

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::claude_code::refusal::{Cause, Verdict};
use crate::context::Context;
use crate::error::Result;
use crate::os::atomic_file::{open_private, replace_private};
use crate::read_file::read_own;
use crate::state::breaker::times::{EARLY_PROBE, after, end_within_window, next_probe};
use crate::text::clock;

/// The longest file that is read, in bytes: far more than this program writes.
const MOST_BYTES: u64 = 1 << 20;

pub(crate) struct Breaker {
    dir: PathBuf,
    /// Read only once the file is read, or its lock is held: what another process has written there is never of a later time.
    clock: fn() -> Timestamp,
}

/// Why Claude does not answer calls: a limit, an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    #[serde(rename = "class")]
    pub cause: Cause,
    /// Empty if the condition is for all models: else their family, and the names in the calls that Claude refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The first refusal.
    pub since: Timestamp,
    /// The stated end.
    pub until: Option<Timestamp>,
    pub next_probe: Timestamp,
    /// The last refusal.
    updated: Timestamp,
    /// Consecutive refusals: the first, and those of calls that came when a probe was due. What parallel calls meet counts once.
    failures: usize,
}

pub(crate) enum Admission {
    /// The call may ask Claude.
    Closed,
    /// The call alone may ask Claude: no other call gets a permit while this one lives.
    Probe(Permit),
    /// The call must not ask Claude, for this reason.
    Open(Condition),
}

/// The right to ask Claude while the breaker is half-open. It ends with the process, however that ends.
pub(crate) struct Permit {
    /// None where no lock file can be made: each call asking Claude is better than none.
    _lock: Option<File>,
}

/// What a call's outcome changed for all calls. One process alone gets each change.
pub(crate) enum Change {
    None,
    /// The first condition: calls went to Claude before, and do not now.
    Opened(Condition),
    /// Another condition beside those that were there.
    Added(Condition),
    /// Claude answers again.
    Closed,
}

/// A call that goes to Claude.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    /// The model's name as the caller gave it; empty if none was given.
    pub model: String,
    /// Before it asked the breaker: what is recorded later was not known to it.
    pub begun: Timestamp,
}

impl Attempt {
    fn names(&self) -> [String; 2] {
        let name = self.model.to_lowercase();
        let family = FAMILIES.iter().find(|family| name.contains(**family));
        [family.map_or_else(|| name.clone(), |family| family.to_string()), name]
    }
}

const FAMILIES: [&str; 3] = ["opus", "sonnet", "haiku"];

#[derive(Default, Serialize, Deserialize)]
struct BreakerFile {
    conditions: Vec<Condition>,
}

impl Condition {
    fn concerns(&self, attempt: &Attempt) -> bool {
        self.cause != Cause::Model || attempt.names().iter().any(|name| self.models.contains(name))
    }

    /// A probe too far ahead, or a refusal in the future, comes from a clock that has jumped: then a probe is due, too.
    fn is_probe_due(&self, now: Timestamp) -> bool {
        now >= self.next_probe || now < self.updated || self.next_probe.duration_since(now) > EARLY_PROBE
    }

    pub(crate) fn shown_models(&self) -> String {
        let named: Vec<&str> = self.models.iter().map(|name| if name.is_empty() { "default" } else { name }).collect();
        named.join(", ")
    }

    /// Completes a sentence that begins with "Claude ".
    pub(crate) fn description(&self, now: Timestamp) -> String {
        match self.until.filter(|until| *until > now) {
            Some(until) => format!("{} until {}", self.cause.description(), clock(until, now)),
            None => self.cause.description().into(),
        }
    }
}

impl Breaker {
    pub(crate) fn new(context: &Context) -> Result<Breaker> {
        Ok(Breaker { dir: context.state_dir()?, clock: Timestamp::now })
    }

    pub(crate) fn admit(&self, attempt: &Attempt) -> Admission {
        let Some((last, is_due)) = self.last_to_end(attempt) else { return Admission::Closed };
        if !is_due {
            return Admission::Open(last);
        }
        let Some(permit) = self.permit() else { return Admission::Open(last) };
        // Claude may just have refused the call that had the permit before, or answered it.
        match self.last_to_end(attempt) {
            None => Admission::Closed,
            Some((_, true)) => Admission::Probe(permit),
            Some((last, false)) => Admission::Open(last),
        }
    }

    /// What keeps this call from Claude for longest, and whether a probe of it is due.
    fn last_to_end(&self, attempt: &Attempt) -> Option<(Condition, bool)> {
        let (conditions, now) = (self.conditions(), (self.clock)());
        let concerning = conditions.into_iter().filter(|condition| condition.concerns(attempt));
        let last = concerning.max_by_key(|condition| (!condition.is_probe_due(now), condition.next_probe))?;
        let is_due = last.is_probe_due(now);
        Some((last, is_due))
    }

    /// Why Claude is away for a session that cannot probe it: until the stated end, even while other calls probe.
    pub(crate) fn away(&self, attempt: &Attempt) -> Option<Condition> {
        let (conditions, now) = (self.conditions(), (self.clock)());
        let is_on = |condition: &Condition| !condition.is_probe_due(now) || condition.until.is_some_and(|until| until > now);
        let on = conditions.into_iter().filter(|condition| condition.concerns(attempt) && is_on(condition));
        on.max_by_key(|condition| condition.until)
    }

    pub(crate) fn is_open(&self, attempt: &Attempt) -> bool {
        self.away(attempt).is_some()
    }

    pub(crate) fn conditions(&self) -> Vec<Condition> {
        self.read().conditions
    }

    pub(crate) fn record_refusal(&self, verdict: &Verdict, attempt: &Attempt) -> Change {
        self.update(|state, now| {
            let was_closed = state.conditions.is_empty();
            let cause = verdict.cause;
            let mut models = if cause == Cause::Model { attempt.names().to_vec() } else { vec![] };
            models.extend(verdict.family.clone().filter(|_| cause == Cause::Model));
            models.sort();
            models.dedup();
            let is_same = |condition: &&mut Condition| {
                condition.cause == cause && (cause != Cause::Model || condition.models.iter().any(|name| models.contains(name)))
            };
            if let Some(condition) = state.conditions.iter_mut().find(is_same) {
                condition.record_again(verdict, attempt, now);
                condition.models.extend(models);
                condition.models.sort();
                condition.models.dedup();
                return Change::None;
            }
            let until = end_within_window(cause, verdict.until, now);
            let next_probe = next_probe(cause, until, 1, now);
            let condition = Condition { cause, models, since: now, until, next_probe, updated: now, failures: 1 };
            state.conditions.push(condition.clone());
            if was_closed { Change::Opened(condition) } else { Change::Added(condition) }
        })
    }

    pub(crate) fn record_answer(&self, attempt: &Attempt) -> Change {
        // Almost always there is no condition: then no lock is taken.
        if !self.read().conditions.iter().any(|condition| condition.concerns(attempt)) {
            return Change::None;
        }
        self.update(|state, now| {
            let before = state.conditions.len();
            // The answer to a call that began before a limit proves nothing about it, unless the clock has gone back since.
            let is_older = |condition: &Condition| attempt.begun < condition.since && condition.since <= now;
            state.conditions.retain(|condition| !condition.concerns(attempt) || is_older(condition));
            if state.conditions.len() < before { Change::Closed } else { Change::None }
        })
    }

    pub(crate) fn reset(&self) {
        let _ = fs::remove_file(self.path());
    }

    fn permit(&self) -> Option<Permit> {
        let lock = open_private(&self.dir.join("probe.lock")).ok();
        match lock.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => None,
            _ => Some(Permit { _lock: lock }),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("breaker.json")
    }

    fn read(&self) -> BreakerFile {
        read_own(&self.path(), MOST_BYTES).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Gives `change` the time, which is none that another process has written here meanwhile. A change that cannot be written did
    /// not happen: the next call asks Claude.
    fn update(&self, change: impl FnOnce(&mut BreakerFile, Timestamp) -> Change) -> Change {
        let Ok(lock) = open_private(&self.dir.join("breaker.lock")) else { return Change::None };
        if lock.lock().is_err() {
            return Change::None;
        }
        let mut state = self.read();
        let change = change(&mut state, (self.clock)());
        let is_written = match state.conditions.is_empty() {
            true => fs::remove_file(self.path()).is_ok(),
            false => replace_private(&self.path(), &serde_json::to_vec(&state).unwrap_or_default()).is_ok(),
        };
        if is_written { change } else { Change::None }
    }
}

impl Condition {
    fn record_again(&mut self, verdict: &Verdict, attempt: &Attempt, now: Timestamp) {
        // What is refused before a probe is due was not asked whether Claude is back: it met the outage beside another call, or was left
        // to Claude since no local model answered. Nor was a call that began before the last refusal, however long it took.
        let is_parallel = attempt.begun < self.updated && self.updated <= now;
        if self.is_probe_due(now) && !is_parallel {
            // How long ago a time of another clock was, nobody knows.
            let is_recent = self.updated <= now && now.duration_since(self.updated) <= SignedDuration::from_hours(1);
            self.failures = if is_recent { self.failures.saturating_add(1) } else { 1 };
        }
        let latest = after(self.since, self.cause.window());
        if latest <= now || now < self.since {
            self.since = now;
            self.until = None;
        }
        self.until = end_within_window(self.cause, verdict.until, self.since).or(self.until);
        self.next_probe = next_probe(self.cause, self.until, self.failures, now);
        self.updated = now;
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
