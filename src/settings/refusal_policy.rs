//! What becomes of a call that Claude refuses: `LLM_FAILOVER_POLICY`.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalPolicy {
    /// The local model answers.
    Local,
    /// The call waits until Claude is back, at most for this long.
    Wait(Option<Duration>),
    /// The call fails with Claude's refusal, and with an exit code of its own.
    Fail,
}

impl RefusalPolicy {
    /// None without a limit.
    pub(crate) fn longest_wait(self) -> Option<Duration> {
        match self {
            RefusalPolicy::Wait(limit) => limit,
            RefusalPolicy::Local | RefusalPolicy::Fail => None,
        }
    }

    pub(super) fn parse(text: &str) -> Option<RefusalPolicy> {
        let text = text.trim().to_ascii_lowercase();
        match text.split_once(':') {
            Some(("wait", span)) => Some(RefusalPolicy::Wait(Some(seconds(span.trim())?))),
            None if text == "wait" => Some(RefusalPolicy::Wait(None)),
            None if text == "local" => Some(RefusalPolicy::Local),
            None if text == "fail" => Some(RefusalPolicy::Fail),
            _ => None,
        }
    }
}

/// `90`, `90s`, `45m`, `2h`, `1d`.
fn seconds(span: &str) -> Option<Duration> {
    let digits = span.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &span[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_as_people_write_them() {
        let hours = |hours: u64| Some(RefusalPolicy::Wait(Some(Duration::from_secs(hours * 3600))));
        let table = [
            ("local", Some(RefusalPolicy::Local)),
            (" WAIT ", Some(RefusalPolicy::Wait(None))),
            ("wait:2h", hours(2)),
            ("wait:120m", hours(2)),
            ("wait:7200", hours(2)),
            ("wait:1d", hours(24)),
            ("fail", Some(RefusalPolicy::Fail)),
            ("wait:", None),
            ("wait:soon", None),
            ("wait:2 weeks", None),
            ("wait:99999999999999999999h", None),
            ("never", None),
        ];
        for (text, expected) in table {
            assert_eq!(RefusalPolicy::parse(text), expected, "{text}");
        }
    }
}
