//! The honest mark: the one object in a result, under `failover`, that Claude Code's own results do not have. It says that the
//! local model answered, and why.

use std::fmt;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::claude_code::refusal::Cause;

/// Why the local model answered, as results say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    reason: MarkReason,
    /// The local model went on with a session in which Claude had used tools.
    is_resumed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MarkReason {
    Flag,
    NotInstalled,
    Refused { cause: Cause, until: Option<Timestamp> },
}

impl Mark {
    /// The user has switched to the local model.
    pub(crate) fn by_flag() -> Mark {
        Mark { reason: MarkReason::Flag, is_resumed: false }
    }

    /// There is no real Claude Code on this machine.
    pub(crate) fn not_installed() -> Mark {
        Mark { reason: MarkReason::NotInstalled, is_resumed: false }
    }

    /// Claude refused. `until` is the end of a limit, if Claude stated one.
    pub(crate) fn refused(cause: Cause, until: Option<Timestamp>) -> Mark {
        Mark { reason: MarkReason::Refused { cause, until }, is_resumed: false }
    }

    /// The same for a session that Claude had begun.
    pub(crate) fn resumed(self) -> Mark {
        Mark { is_resumed: true, ..self }
    }

    /// The word that stands in results and in the ledger.
    pub(crate) fn reason(&self) -> &'static str {
        match self.reason {
            MarkReason::Flag => "switch",
            MarkReason::NotInstalled => "not_installed",
            MarkReason::Refused { cause, .. } => cause.word(),
        }
    }
}

/// A refusal without a stated end has `"until": null`; a mark for any other reason has no `until`.
impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut mark = serializer.serialize_map(None)?;
        mark.serialize_entry("backend", "local")?;
        mark.serialize_entry("reason", self.reason())?;
        if let MarkReason::Refused { until, .. } = self.reason {
            mark.serialize_entry("until", &until)?;
        }
        if self.is_resumed {
            mark.serialize_entry("resumed", &true)?;
        }
        mark.end()
    }
}

/// The mark as JSON.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_as_callers_know_them() {
        let until = "2026-11-22T10:01:00Z".parse().ok();
        let table = [
            (Mark::by_flag(), r#"{"backend":"local","reason":"switch"}"#),
            (Mark::not_installed(), r#"{"backend":"local","reason":"not_installed"}"#),
            (Mark::refused(Cause::Overload, None), r#"{"backend":"local","reason":"overload","until":null}"#),
            (Mark::refused(Cause::FiveHour, until), r#"{"backend":"local","reason":"five_hour","until":"2026-11-22T10:01:00Z"}"#),
            (
                Mark::refused(Cause::FiveHour, until).resumed(),
                r#"{"backend":"local","reason":"five_hour","until":"2026-11-22T10:01:00Z","resumed":true}"#,
            ),
        ];
        for (mark, expected) in table {
            assert_eq!(mark.to_string(), expected);
        }
    }
}
