//! Command R7B and Command A: `<|START_ACTION|>[{"tool_call_id": "0", "tool_name": NAME, "parameters": {…}}]<|END_ACTION|>`.

use serde_json::Value;

use super::between::Body;
use super::json::{calls_of, read_json};
use super::marks::without;
use super::unreadable;
use crate::completions::tool::{Tool, ToolCall};

const END: &str = "<|END_ACTION|>";

pub(super) const OPENERS: &[&str] = &["<|START_ACTION|>"];

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let Some((mut value, left)) = read_json(after.trim_start(), is_whole) else {
        let body = Body::of(opener, after, END);
        let named = body.text.replace("\"tool_name\"", "\"name\"");
        return body.may_be_call(is_whole).then(|| Some((vec![unreadable(&named, tools)?], body.left)))?;
    };
    let list = match &mut value {
        Value::Array(list) => list.iter_mut().collect(),
        one => vec![one],
    };
    for call in list {
        if let Some(name) = call.get("tool_name").cloned() {
            call["name"] = name;
        }
    }
    Some((calls_of(value, tools)?, without(left, END)))
}
