//! The breaker: Claude's refusals, on disk, shared by many short-lived processes.
//!
//! Without a condition the breaker is closed: calls go to Claude. With one it is open until a probe is due; then it is
//! half-open: one call asks Claude, and all others stay local until that call has its answer. A file that is torn, lost or
//! written by a clock that has jumped costs one call to Claude.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::claude_code::refusal::{Cause, Verdict};
use crate::context::Context;
use crate::error::Result;
use crate::os::atomic_file::{open_private, replace_private};
use crate::text::clock;

/// A stated reset is a bound, not the truth: access has come back hours before it (claude-code#77469), and asking costs
/// one call 0.3 s.
const EARLY_PROBE: SignedDuration = SignedDuration::from_mins(30);

/// The probe after a stated reset comes this long after it, and at most twice as long.
const JUST_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// The waits after consecutive failures, in minutes.
const BACKOFF: [i64; 5] = [1, 2, 4, 8, 15];

pub(crate) struct Breaker {
    dir: PathBuf,
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
    /// Consecutive refusals. Those of parallel calls count once.
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
        Ok(Breaker { dir: context.state_dir()? })
    }

    pub(crate) fn admit(&self, attempt: &Attempt, now: Timestamp) -> Admission {
        let conditions = self.conditions().into_iter().filter(|condition| condition.concerns(attempt));
        let Some(last) = conditions.max_by_key(|condition| (!condition.is_probe_due(now), condition.next_probe)) else {
            return Admission::Closed;
        };
        if !last.is_probe_due(now) {
            return Admission::Open(last);
        }
        match self.permit() {
            // Claude may just have refused the call that had the permit before.
            Some(permit) if self.conditions().iter().all(|other| !other.concerns(attempt) || other.is_probe_due(now)) => {
                Admission::Probe(permit)
            }
            _ => Admission::Open(last),
        }
    }

    /// Why Claude is away for a session that cannot probe it: until the stated end, even while other calls probe.
    pub(crate) fn away(&self, attempt: &Attempt, now: Timestamp) -> Option<Condition> {
        let is_on = |condition: &Condition| !condition.is_probe_due(now) || condition.until.is_some_and(|until| until > now);
        let on = self.conditions().into_iter().filter(|condition| condition.concerns(attempt) && is_on(condition));
        on.max_by_key(|condition| condition.until)
    }

    pub(crate) fn is_open(&self, attempt: &Attempt, now: Timestamp) -> bool {
        self.away(attempt, now).is_some()
    }

    pub(crate) fn conditions(&self) -> Vec<Condition> {
        self.read().conditions
    }

    pub(crate) fn record_refusal(&self, verdict: &Verdict, attempt: &Attempt, now: Timestamp) -> Change {
        self.update(|state| {
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

    pub(crate) fn record_answer(&self, attempt: &Attempt, now: Timestamp) -> Change {
        // Almost always there is no condition: then no lock is taken.
        if !self.read().conditions.iter().any(|condition| condition.concerns(attempt)) {
            return Change::None;
        }
        self.update(|state| {
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
        fs::read(self.path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// A change that cannot be written did not happen: the next call asks Claude.
    fn update(&self, change: impl FnOnce(&mut BreakerFile) -> Change) -> Change {
        let Ok(lock) = open_private(&self.dir.join("breaker.lock")) else { return Change::None };
        if lock.lock().is_err() {
            return Change::None;
        }
        let mut state = self.read();
        let change = change(&mut state);
        let is_written = match state.conditions.is_empty() {
            true => fs::remove_file(self.path()).is_ok(),
            false => replace_private(&self.path(), &serde_json::to_vec(&state).unwrap_or_default()).is_ok(),
        };
        if is_written { change } else { Change::None }
    }
}

impl Condition {
    fn record_again(&mut self, verdict: &Verdict, attempt: &Attempt, now: Timestamp) {
        // The refusals of parallel calls count as one.
        if attempt.begun >= self.updated || now < self.updated {
            let is_long_ago = now.duration_since(self.updated) > SignedDuration::from_hours(1);
            self.failures = if is_long_ago { 1 } else { self.failures + 1 };
        }
        let latest = self.since + self.cause.window();
        if latest <= now || now < self.since {
            self.since = now;
            self.until = None;
        }
        self.until = end_within_window(self.cause, verdict.until, self.since).or(self.until);
        self.next_probe = next_probe(self.cause, self.until, self.failures, now);
        self.updated = now;
    }
}

/// The stated end, at most a window of the limit after its first refusal. One that moves on with each asking
/// (claude-code#76486) does not move further.
fn end_within_window(cause: Cause, until: Option<Timestamp>, since: Timestamp) -> Option<Timestamp> {
    until.filter(|_| cause.is_limit()).map(|until| until.min(since + cause.window()))
}

fn next_probe(cause: Cause, until: Option<Timestamp>, failures: usize, now: Timestamp) -> Timestamp {
    // Many machines must not probe at the same second.
    let random_share_of = |span: SignedDuration| span * i32::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255;
    if cause.is_limit() {
        let early = now + EARLY_PROBE;
        return match until {
            Some(until) if until > now => early.min(until + JUST_AFTER + random_share_of(JUST_AFTER)),
            // The two clocks may differ, and a reset that is stated to the minute is rounded.
            Some(until) if now.duration_since(until) < SignedDuration::from_mins(5) => now + SignedDuration::from_mins(1),
            _ => early,
        };
    }
    let wait = SignedDuration::from_mins(BACKOFF[failures.clamp(1, BACKOFF.len()) - 1]);
    now + wait - random_share_of(wait / 4)
}

#[cfg(test)]
mod tests;
