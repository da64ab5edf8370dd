//! Hermes and Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

use super::json::{calls_of, read_json};
use super::marks::{TOOL_CALL_END, up_to, without};
use super::unreadable;
use crate::completions::tool::{Tool, ToolCall};

pub(super) fn read<'t>(after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    match read_json(after.trim_start(), is_whole) {
        Some((value, left)) => Some((calls_of(value, tools)?, without(left, TOOL_CALL_END))),
        None => {
            let (body, left) = up_to(after, TOOL_CALL_END);
            Some((vec![unreadable(body, tools)?], left))
        }
    }
}
