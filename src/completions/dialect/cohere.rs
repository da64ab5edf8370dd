//! Command R7B and Command A: `<|START_ACTION|>[{"tool_call_id": "0", "tool_name": NAME, "parameters": {…}}]<|END_ACTION|>`.

use serde_json::Value;

use super::json::{calls_of, read_json};
use super::marks::without;
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OPENERS: &[&str] = &["<|START_ACTION|>"];

pub(super) fn read<'t>(_: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let (mut value, left) = read_json(after.trim_start(), is_whole)?;
    let list = match &mut value {
        Value::Array(list) => list.iter_mut().collect(),
        one => vec![one],
    };
    for call in list {
        if let Some(name) = call.get("tool_name").cloned() {
            call["name"] = name;
        }
    }
    let calls = calls_of(value, tools).filter(|calls| !calls.is_empty())?;
    Some((calls, without(left, "<|END_ACTION|>")))
}
