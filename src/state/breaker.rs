//! What is known of Claude's refusals, on disk, shared by many short-lived processes.
//!
//! Without a condition the breaker is closed: calls go to Claude. With one it is open until a probe is due; then it is
//! half-open: one call asks Claude, and all others stay local until that has an answer. A file that is torn, lost or
//! from a clock that has jumped costs one call that asks Claude.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::claude_code::refusal::{Cause, Verdict};
use crate::context::Context;
use crate::error::Result;
use crate::os::atomic_file::{private_file, replace_private};
use crate::text::clock;

/// A stated reset is a bound, not the truth: access has come back hours before it (claude-code#77469), and asking costs
/// one call 0.3 s.
const EARLY_PROBE: SignedDuration = SignedDuration::from_mins(30);

/// When Claude is asked after a stated reset; up to twice that.
const JUST_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// The waits after failures one after the other, in minutes.
const BACKOFF: [i64; 5] = [1, 2, 4, 8, 15];

/// The breaker of this user.
pub(crate) struct Breaker {
    dir: PathBuf,
}

/// Something that stands between a call and Claude.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    /// What it is.
    #[serde(rename = "class")]
    pub cause: Cause,
    /// The models that it is for, if it is for some: their family, and the names under which calls met it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// When it was first met.
    pub since: Timestamp,
    /// When it is said to end.
    pub until: Option<Timestamp>,
    /// When Claude may be asked again.
    pub next_probe: Timestamp,
    /// When it was last met.
    updated: Timestamp,
    /// How often it was met, calls at the same time counted once.
    failures: usize,
}

/// What a call may do.
pub(crate) enum Admission {
    /// Ask Claude.
    Closed,
    /// Ask Claude, alone; nobody else does while the permit lives.
    Probe(Permit),
    /// Ask the local model, for this reason.
    Open(Condition),
}

/// The right to ask Claude while the breaker is half-open. It ends with the process, however that ends.
pub(crate) struct Permit {
    /// None where none can be had: then each call asks, which is better than none.
    _lock: Option<File>,
}

/// What a call's outcome has changed for everybody. One process alone is told of each change.
pub(crate) enum Change {
    /// Nothing.
    None,
    /// Calls went to Claude before, and do not now.
    Opened(Condition),
    /// Another condition has come to one that was there.
    Added(Condition),
    /// Claude answers again.
    Closed,
}

/// What a call asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    /// The model's name as the caller gave it; empty if none was given.
    pub model: String,
    /// When the call began.
    pub at: Timestamp,
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

    /// Also if a clock has jumped: what lies too far ahead, or begins in the future, was not written by this clock.
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.next_probe || now < self.updated || self.next_probe.duration_since(now) > EARLY_PROBE
    }

    /// The models that it is for.
    pub(crate) fn shown_models(&self) -> String {
        let named: Vec<&str> = self.models.iter().map(|name| if name.is_empty() { "default" } else { name }).collect();
        named.join(", ")
    }

    /// As people say it, after "Claude ".
    pub(crate) fn description(&self, now: Timestamp) -> String {
        match self.until.filter(|until| *until > now) {
            Some(until) => format!("{} until {}", self.cause.description(), clock(until, now)),
            None => self.cause.description().into(),
        }
    }
}

impl Breaker {
    /// The breaker in the state folder.
    ///
    /// # Errors
    /// If there is no home folder.
    pub(crate) fn new(context: &Context) -> Result<Breaker> {
        Ok(Breaker { dir: context.state_dir()? })
    }

    /// What a call may do now.
    pub(crate) fn admit(&self, attempt: &Attempt, now: Timestamp) -> Admission {
        let state = self.read();
        let in_the_way = state.conditions.into_iter().filter(|condition| condition.concerns(attempt));
        let Some(last) = in_the_way.max_by_key(|condition| (!condition.is_due(now), condition.next_probe)) else {
            return Admission::Closed;
        };
        if !last.is_due(now) {
            return Admission::Open(last);
        }
        match self.permit() {
            // Whoever had it before may just have been refused.
            Some(permit) if self.read().conditions.iter().all(|there| !there.concerns(attempt) || there.is_due(now)) => {
                Admission::Probe(permit)
            }
            _ => Admission::Open(last),
        }
    }

    /// Whether Claude is known to be away for a session that cannot try it: a stated end counts, however often others look.
    pub(crate) fn is_open(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let is_on = |condition: &Condition| !condition.is_due(now) || condition.until.is_some_and(|until| until > now);
        self.read().conditions.iter().any(|condition| condition.concerns(attempt) && is_on(condition))
    }

    /// What stands between calls and Claude.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        self.read().conditions
    }

    /// Claude has refused a call.
    pub(crate) fn refused(&self, verdict: &Verdict, attempt: &Attempt, now: Timestamp) -> Change {
        self.change(|state| {
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
                condition.meet_again(verdict, attempt, now);
                condition.models.extend(models);
                condition.models.sort();
                condition.models.dedup();
                return Change::None;
            }
            let until = bounded(cause, verdict.until, now);
            let next_probe = next_probe(cause, until, 1, now);
            let condition = Condition { cause, models, since: now, until, next_probe, updated: now, failures: 1 };
            state.conditions.push(condition.clone());
            if was_closed { Change::Opened(condition) } else { Change::Added(condition) }
        })
    }

    /// Claude answers a call.
    pub(crate) fn answered(&self, attempt: &Attempt, now: Timestamp) -> Change {
        // Almost always: nothing is to be changed, and nothing is to be locked for it.
        if !self.read().conditions.iter().any(|condition| condition.concerns(attempt)) {
            return Change::None;
        }
        self.change(|state| {
            let before = state.conditions.len();
            // A call that began before a limit was met says nothing about it, unless the clock has gone back since.
            let is_older = |condition: &Condition| attempt.at < condition.since && condition.since <= now;
            state.conditions.retain(|condition| !condition.concerns(attempt) || is_older(condition));
            if state.conditions.len() < before { Change::Closed } else { Change::None }
        })
    }

    /// Forgets everything: the user has set the switch.
    pub(crate) fn reset(&self) {
        let _ = fs::remove_file(self.file());
    }

    fn permit(&self) -> Option<Permit> {
        let lock = private_file(&self.dir.join("probe.lock")).ok();
        match lock.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => None,
            _ => Some(Permit { _lock: lock }),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("breaker.json")
    }

    fn read(&self) -> BreakerFile {
        fs::read(self.file()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// A change that cannot be kept is one that did not happen: the next call asks Claude.
    fn change(&self, make: impl FnOnce(&mut BreakerFile) -> Change) -> Change {
        let Ok(lock) = private_file(&self.dir.join("breaker.lock")) else { return Change::None };
        if lock.lock().is_err() {
            return Change::None;
        }
        let mut state = self.read();
        let change = make(&mut state);
        let kept = match state.conditions.is_empty() {
            true => fs::remove_file(self.file()).is_ok(),
            false => replace_private(&self.file(), &serde_json::to_vec(&state).unwrap_or_default()).is_ok(),
        };
        if kept { change } else { Change::None }
    }
}

impl Condition {
    fn meet_again(&mut self, verdict: &Verdict, attempt: &Attempt, now: Timestamp) {
        // Calls that were under way at the same time tell one thing many times.
        if attempt.at >= self.updated || now < self.updated {
            let is_long_ago = now.duration_since(self.updated) > SignedDuration::from_hours(1);
            self.failures = if is_long_ago { 1 } else { self.failures + 1 };
        }
        let latest = self.since + self.cause.window();
        if latest <= now || now < self.since {
            self.since = now;
            self.until = None;
        }
        self.until = bounded(self.cause, verdict.until, self.since).or(self.until);
        self.next_probe = next_probe(self.cause, self.until, self.failures, now);
        self.updated = now;
    }
}

/// A stated end, if it lies within the limit's window from when that was first met. One that moves on with each asking
/// (claude-code#76486) does not move further.
fn bounded(cause: Cause, until: Option<Timestamp>, since: Timestamp) -> Option<Timestamp> {
    until.filter(|_| cause.is_limit()).map(|until| until.min(since + cause.window()))
}

fn next_probe(cause: Cause, until: Option<Timestamp>, failures: usize, now: Timestamp) -> Timestamp {
    // Many machines must not come back at the same second.
    let share_of = |span: SignedDuration| span * i32::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255;
    if cause.is_limit() {
        let early = now + EARLY_PROBE;
        return match until {
            Some(until) if until > now => early.min(until + JUST_AFTER + share_of(JUST_AFTER)),
            // Two clocks differ, and what is told to the minute is rounded.
            Some(until) if now.duration_since(until) < SignedDuration::from_mins(5) => now + SignedDuration::from_mins(1),
            _ => early,
        };
    }
    let wait = SignedDuration::from_mins(BACKOFF[failures.clamp(1, BACKOFF.len()) - 1]);
    now + wait - share_of(wait / 4)
}

#[cfg(test)]
mod tests;
