//! What stands between a mark that begins calls and the one that ends them, for the families that differ only in those.

use super::json::{calls_of, read_json};
use super::unreadable;
use crate::completions::tool::{Tool, ToolCall};

/// The calls in JSON behind an opener, one after the other or in a list, up to `end`, which may be missing.
pub(super) fn json_calls<'t>(
    opener: &str,
    after: &'t str,
    end: &str,
    tools: &[Tool],
    is_whole: bool,
) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut calls = Vec::new();
    let mut left = after.trim_start();
    while let Some((value, next)) = read_json(left, is_whole) {
        calls.extend(calls_of(value, tools)?);
        left = next.trim_start_matches(|c: char| matches!(c, ',' | ';') || c.is_whitespace());
        if let Some(behind) = left.strip_prefix(end) {
            return (!calls.is_empty()).then_some((calls, behind));
        }
    }
    if calls.is_empty() {
        let body = Body::of(opener, after, end);
        return if body.may_be_call(is_whole) { Some((vec![unreadable(body.text, tools)?], body.left)) } else { None };
    }
    Some((calls, left))
}

/// What stands behind an opener.
pub(super) struct Body<'t> {
    pub text: &'t str,
    pub left: &'t str,
    /// Whether the end mark is there.
    pub is_closed: bool,
}

impl<'t> Body<'t> {
    /// Up to `end`, or to where the same opener begins the next: looking further each time would take a model's endless
    /// repetitions a time that grows with their square.
    pub(super) fn of(opener: &str, after: &'t str, end: &str) -> Body<'t> {
        let limit = after.find(opener).unwrap_or(after.len());
        match after[..limit].find(end) {
            Some(at) => Body { text: &after[..at], left: &after[at + end.len()..], is_closed: true },
            None => Body { text: &after[..limit], left: &after[limit..], is_closed: false },
        }
    }

    /// Whether what cannot be read is a call nevertheless. Text that goes on without an end shows that it is none.
    pub(super) fn may_be_call(&self, is_whole: bool) -> bool {
        self.is_closed || !is_whole || self.text.trim_end().ends_with(['}', ']', ')'])
    }
}
