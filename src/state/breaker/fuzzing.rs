//! What must hold whatever the breaker's file says.

use std::path::Path;

use super::*;

/// In seconds, in November 2026.
const NOW: i64 = 1_795_742_000;

const CAUSES: [Cause; 4] = [Cause::FiveHour, Cause::Model, Cause::Credit, Cause::Overload];

/// The breaker's file, in a folder.
pub(crate) fn breaker(bytes: &[u8], folder: &Path) {
    let breaker = Breaker { dir: folder.into(), clock: || Timestamp::from_second(NOW).unwrap_or_default() };
    let write = |bytes: &[u8]| fs::write(breaker.path(), bytes).is_ok();
    let now = (breaker.clock)();
    for cause in CAUSES {
        if !write(bytes) {
            return;
        }
        let attempt = Attempt { model: "opus".into(), begun: now };
        match breaker.admit(&attempt) {
            Admission::Open(condition) => {
                assert!(
                    condition.next_probe.duration_since(now) <= EARLY_PROBE,
                    "a file must not keep Claude away: {condition:?}"
                );
                condition.description(now);
                condition.shown_models();
            }
            Admission::Probe(_) | Admission::Closed => {}
        }
        breaker.away(&attempt);
        let verdict = Verdict { cause, until: Timestamp::MAX.checked_sub(cause.window()).ok(), family: None };
        breaker.record_refusal(&verdict, &attempt);
        let refused: Vec<Condition> = breaker.conditions().into_iter().filter(|condition| condition.updated == now).collect();
        assert!(
            refused.iter().any(|condition| condition.cause == cause && condition.concerns(&attempt)),
            "it is known: {refused:?}"
        );
        for condition in refused {
            let wait = condition.next_probe.duration_since(now);
            assert!(SignedDuration::ZERO < wait && wait <= EARLY_PROBE, "{condition:?}");
            assert!(condition.until.is_none_or(|until| until.duration_since(now) <= condition.cause.window()), "{condition:?}");
        }
        breaker.record_answer(&attempt);
        assert!(matches!(breaker.admit(&attempt), Admission::Closed), "Claude has answered");
    }
}
