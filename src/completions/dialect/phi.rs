//! Phi 4 mini: `functools[{…}]`. Its form with marks is Granite's.

use super::between::json_calls;
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OPENERS: &[&str] = &["functools["];

pub(super) fn read<'t>(_: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    // The bracket is part of the opener, as the word alone is Python's.
    let (calls, left) = json_calls("functools[", after, "]", tools, is_whole)?;
    Some((calls, left))
}
