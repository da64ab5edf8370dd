//! GLM: `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…</tool_call>`.

use super::marks::{TOOL_CALL_END, up_to};
use super::typed;
use crate::completions::tool::{Tool, ToolCall, offered_name};

const KEY: &str = "<arg_key>";

pub(super) fn is_form_of(after: &str) -> bool {
    up_to(after, TOOL_CALL_END).0.contains(KEY)
}

pub(super) fn read<'t>(after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let (body, left) = up_to(after, TOOL_CALL_END);
    let name = offered_name(tools, body.split(KEY).next().unwrap_or_default().trim());
    let pairs = body.split(KEY).skip(1).filter_map(|pair| {
        let (key, rest) = pair.split_once("</arg_key>")?;
        let value = rest.split_once("<arg_value>")?.1;
        let value = value.split_once("</arg_value>").map_or(value, |(value, _)| value);
        Some((key.trim().to_string(), typed(tools, &name, key.trim(), value)))
    });
    let is_closed = after.len() - left.len() > body.len();
    // Without its end it is whole only if it is the last.
    let arguments = if is_closed || is_whole && left.is_empty() { Ok(pairs.collect()) } else { Err(body.into()) };
    (!name.is_empty()).then(|| (vec![ToolCall { name, arguments }], left))
}
