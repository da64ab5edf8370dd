//! Granite 3: `<|tool_call|>[{…}]`, Phi 4 mini: the same around each call, with an end.

use super::between::json_calls;
use super::hermes;
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OPENERS: &[&str] = &["<|tool_call|>"];

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    // Granite 3.3 writes both marks.
    if let Some(after) = after.trim_start().strip_prefix("<tool_call>") {
        return hermes::read(after, tools, is_whole);
    }
    json_calls(opener, after, "<|/tool_call|>", tools, is_whole)
}
