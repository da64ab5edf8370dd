//! The honest mark: the one object in a result, under `failover`, that Claude Code's own results do not have. It says that the
//! local model answered, and why.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use memchr::memmem;
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

/// A result in which the usage of `model` names `local` as its provider. Claude Code names `firstParty` (2.1.330) or nothing. The
/// line is not parsed: that would change its numbers.
pub(crate) fn with_local_provider<'l>(line: &'l [u8], model: &str) -> Cow<'l, [u8]> {
    const LOCAL: &[u8] = b"\"provider\":\"local\"";
    let key = [serde_json::Value::from(model).to_string().as_bytes(), b":{"].concat();
    let after = |text: &[u8], from: usize| memmem::find(&line[from..], text).map(|at| from + at + text.len());
    let usage = after(b"\"modelUsage\":{", 0).and_then(|from| after(&key, from));
    // The object of a model holds no other.
    let Some((begin, end)) = usage.and_then(|begin| Some((begin, begin + memchr::memchr(b'}', &line[begin..])?))) else {
        return Cow::Borrowed(line);
    };
    let fields = &line[begin..end];
    let provider = memmem::find(fields, b"\"provider\":\"");
    let (before, behind) = match provider {
        Some(at) => {
            let value = at + b"\"provider\":\"".len();
            let length = memchr::memchr(b'"', &fields[value..]).map_or(0, |end| end + 1);
            (&line[..begin + at], &line[begin + value + length..])
        }
        None => (&line[..end], &line[end..]),
    };
    let comma: &[u8] = if provider.is_none() && !fields.is_empty() { b"," } else { b"" };
    Cow::Owned([before, comma, LOCAL, behind].concat())
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

    #[test]
    fn the_usage_of_a_local_model() {
        let with = |line: &str| String::from_utf8(with_local_provider(line.as_bytes(), "a \"b\"").into_owned()).unwrap();
        let usage = |models: &str| format!("{{\"result\":\"\\\"modelUsage\\\":{{\",\"modelUsage\":{{{models}}},\"x\":1.10}}\n");
        let claude = r#""claude-opus-5-5":{"costUSD":0.1,"provider":"firstParty"}"#;
        for (given, expected) in [
            (
                r#"{"costUSD":0.10,"provider":"firstParty","costBasis":"list"}"#,
                r#"{"costUSD":0.10,"provider":"local","costBasis":"list"}"#,
            ),
            (r#"{"costUSD":0.10}"#, r#"{"costUSD":0.10,"provider":"local"}"#),
            (r#"{}"#, r#"{"provider":"local"}"#),
        ] {
            let models = |of_model: &str| usage(&format!("{claude},\"a \\\"b\\\"\":{of_model}"));
            assert_eq!(with(&models(given)), models(expected));
        }
        for line in [usage(claude), usage(""), "{}".into()] {
            assert_eq!(with(&line), line);
        }
    }
}
