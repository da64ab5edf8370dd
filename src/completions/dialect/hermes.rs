//! Hermes and Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. Qwen 2.5 Coder takes the tags of its prompt's list of
//! tools for those of a call, and others shorten the name of the tag.

use super::between::{Body, json_calls};
use super::json::{calls_of, read_json};
use super::marks::{TOOL_CALL, TOOL_CALL_END, without};
use super::unreadable;
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OTHER_OPENERS: &[&str] = &["<tools>", "<function_call>"];

pub(super) fn read_other<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    // Where no JSON follows, the tag stands for itself.
    after.trim_start().starts_with(['{', '[']).then_some(())?;
    json_calls(opener, after, &opener.replacen('<', "</", 1), tools, is_whole)
}

pub(super) fn read<'t>(after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    if let Some((value, left)) = read_json(after.trim_start(), is_whole) {
        return Some((calls_of(value, tools)?, without(left, TOOL_CALL_END)));
    }
    let Body { text: body, left, is_closed } = Body::of(TOOL_CALL, after, TOOL_CALL_END);
    let is_ended = is_closed || body.trim_end().ends_with('}');
    // Text behind the call shows that it is none.
    (is_ended || !is_whole).then(|| Some((vec![unreadable(body, tools)?], left)))?
}
