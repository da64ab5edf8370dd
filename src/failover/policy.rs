//! What is done with a call that Claude refuses.

use std::time::Duration;

use crate::context::Context;
use crate::settings::Setting;

/// What is done with a call that Claude refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The local model answers.
    Local,
    /// It waits until Claude is back, for so long if that was said.
    Wait(Option<Duration>),
    /// It fails as it would without us, with an exit code of its own.
    Fail,
}

impl Policy {
    /// What `LLM_FAILOVER_POLICY` says: `local`, `wait`, `wait:2h`, `fail`.
    pub(crate) fn of(applet: &str, context: &Context) -> Policy {
        let Some(value) = context.settings.policy() else { return Policy::Local };
        Policy::parse(&value).unwrap_or_else(|| {
            let expected = "`local`, `wait`, `wait:2h` or `fail`";
            Setting::Policy.warn(applet, &value, expected, "local");
            Policy::Local
        })
    }

    /// How long a call waits; none if that is no question of time.
    pub(crate) fn longest_wait(self) -> Option<Duration> {
        match self {
            Policy::Wait(patience) => patience,
            Policy::Local | Policy::Fail => None,
        }
    }

    fn parse(text: &str) -> Option<Policy> {
        let text = text.trim().to_ascii_lowercase();
        match text.split_once(':') {
            Some(("wait", span)) => Some(Policy::Wait(Some(seconds(span.trim())?))),
            None if text == "wait" => Some(Policy::Wait(None)),
            None if text == "local" => Some(Policy::Local),
            None if text == "fail" => Some(Policy::Fail),
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
        let hours = |hours: u64| Some(Policy::Wait(Some(Duration::from_secs(hours * 3600))));
        let table = [
            ("local", Some(Policy::Local)),
            (" WAIT ", Some(Policy::Wait(None))),
            ("wait:2h", hours(2)),
            ("wait:120m", hours(2)),
            ("wait:7200", hours(2)),
            ("wait:1d", hours(24)),
            ("fail", Some(Policy::Fail)),
            ("wait:", None),
            ("wait:soon", None),
            ("wait:2 weeks", None),
            ("wait:99999999999999999999h", None),
            ("never", None),
        ];
        for (text, expected) in table {
            assert_eq!(Policy::parse(text), expected, "{text}");
        }
    }
}
