//! LFM2: `<|tool_call_start|>[NAME(key="text")]<|tool_call_end|>`, Llama 4: the same between marks of its own.

use super::between::{Body, json_calls};
use super::python_call;
use crate::completions::tool::{Tool, ToolCall};

const LFM2: &str = "<|tool_call_start|>";
const LLAMA_4: &str = "<|python_start|>";

pub(super) const OPENERS: &[&str] = &[LFM2, LLAMA_4];

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let end = if opener == LFM2 { "<|tool_call_end|>" } else { "<|python_end|>" };
    let inside = after.trim_start().trim_start_matches('[').trim_start();
    if inside.starts_with('{') {
        return json_calls(opener, after, end, tools, is_whole);
    }
    match python_call::read(after, tools) {
        Some((calls, left)) => match left.trim_start().strip_prefix(end) {
            Some(left) => Some((calls, left)),
            None => left.trim().is_empty().then_some((calls, "")),
        },
        None => {
            let body = Body::of(opener, after, end);
            let may_be_call = body.may_be_call(is_whole);
            may_be_call.then(|| Some((vec![python_call::unreadable(body.text, tools)?], body.left)))?
        }
    }
}
