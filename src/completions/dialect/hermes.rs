//! Hermes and Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

use super::between::Body;
use super::json::{calls_of, read_json};
use super::marks::{TOOL_CALL, TOOL_CALL_END, without};
use super::unreadable;
use crate::completions::tool::{Tool, ToolCall};

pub(super) fn read<'t>(after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    if let Some((value, left)) = read_json(after.trim_start(), is_whole) {
        return Some((calls_of(value, tools)?, without(left, TOOL_CALL_END)));
    }
    let Body { text: body, left, is_closed } = Body::of(TOOL_CALL, after, TOOL_CALL_END);
    let is_ended = is_closed || body.trim_end().ends_with('}');
    // Text behind the call shows that it is none.
    (is_ended || !is_whole).then(|| Some((vec![unreadable(body, tools)?], left)))?
}
