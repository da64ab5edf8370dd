//! Mistral: `[TOOL_CALLS]` before a list in JSON, or before `NAME[ARGS]{…}`.

use serde_json::Value;

use super::between::Body;
use super::json::{calls_of, read_json};
use super::marks::first_opener;
use super::unreadable;
use crate::completions::tool::{Tool, ToolCall, offered_name};

pub(super) const OPENERS: &[&str] = &["[TOOL_CALLS]"];

pub(super) fn read<'t>(_: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    if let Some((value, left)) = read_json(after.trim_start(), is_whole) {
        return Some((calls_of(value, tools)?, left));
    }
    let (own, left) = after.split_at(first_opener(after).map_or(after.len(), |(at, _)| at));
    let body = Body { text: own, left, is_closed: false };
    let brace = own.find('{')?;
    let name = own[..brace].split('[').next().unwrap_or_default().trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return body.may_be_call(is_whole).then(|| Some((vec![unreadable(own, tools)?], left)))?;
    }
    let (arguments, left) = match read_json(&after[brace..], is_whole) {
        Some((Value::Object(arguments), left)) => (Ok(arguments), left),
        _ if body.may_be_call(is_whole) => (Err(own[brace..].into()), left),
        _ => return None,
    };
    Some((vec![ToolCall { name: offered_name(tools, name), arguments }], left))
}
