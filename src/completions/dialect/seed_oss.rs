//! Seed-OSS: Qwen 3 Coder's form between marks of its own.

use super::marks::without;
use super::qwen_coder::{self, FUNCTION};
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OPENERS: &[&str] = &["<seed:tool_call>"];

pub(super) fn read<'t>(_: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut calls = Vec::new();
    let mut rest = after;
    while let Some(function) = rest.trim_start().strip_prefix(FUNCTION) {
        let Some((found, left)) = qwen_coder::read(FUNCTION, function, tools, is_whole) else { break };
        calls.extend(found);
        rest = left;
    }
    (!calls.is_empty()).then(|| (calls, without(rest, "</seed:tool_call>")))
}
