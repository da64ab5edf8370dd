//! When a condition ends at the latest, and when Claude is asked again.

use jiff::{SignedDuration, Timestamp};

use crate::claude_code::refusal::Cause;

/// A stated reset is a bound, not the truth: access has come back hours before it (claude-code#77469), and asking costs
/// one call 0.3 s.
pub(super) const EARLY_PROBE: SignedDuration = SignedDuration::from_mins(30);

/// The probe after a stated reset comes this long after it, and at most twice as long.
const JUST_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// The waits after consecutive failures, in minutes.
const BACKOFF: [i64; 5] = [1, 2, 4, 8, 15];

/// The stated end, at most a window of the limit after its first refusal. One that moves on with each asking
/// (claude-code#76486) does not move further.
pub(super) fn end_within_window(cause: Cause, until: Option<Timestamp>, since: Timestamp) -> Option<Timestamp> {
    until.filter(|_| cause.is_limit()).map(|until| until.min(after(since, cause.window())))
}

/// A file may say any time, the last that there is too.
pub(super) fn after(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

pub(super) fn next_probe(cause: Cause, until: Option<Timestamp>, failures: usize, now: Timestamp) -> Timestamp {
    // Many machines must not probe at the same second.
    let random_share_of = |span: SignedDuration| span * i32::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255;
    if cause.is_limit() {
        let early = now + EARLY_PROBE;
        return match until {
            Some(until) if until > now => early.min(after(until, JUST_AFTER + random_share_of(JUST_AFTER))),
            // The two clocks may differ, and a reset that is stated to the minute is rounded.
            Some(until) if now.duration_since(until) < SignedDuration::from_mins(5) => now + SignedDuration::from_mins(1),
            _ => early,
        };
    }
    let wait = SignedDuration::from_mins(BACKOFF[failures.clamp(1, BACKOFF.len()) - 1]);
    now + wait - random_share_of(wait / 4)
}
