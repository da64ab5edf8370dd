//! MiniMax M1: `<tool_calls>` before a line of JSON for each call. M2's form is in `invoke.rs`.

use super::between::json_calls;
use super::invoke;
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OPENERS: &[&str] = &["<tool_calls>"];

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    if after.trim_start().starts_with('<') {
        return invoke::read(opener, after, tools, is_whole);
    }
    json_calls(opener, after, "</tool_calls>", tools, is_whole)
}
