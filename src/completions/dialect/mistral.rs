//! Mistral: `[TOOL_CALLS]` before a list in JSON, or before `NAME[ARGS]{…}`.

use serde_json::Value;

use super::json::{calls_of, read_json};
use super::marks::first_opener;
use super::unreadable;
use crate::completions::tool::{Tool, ToolCall, offered_name};

pub(super) const OPENERS: &[&str] = &["[TOOL_CALLS]"];

pub(super) fn read<'t>(_: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    if let Some((value, left)) = read_json(after.trim_start(), is_whole) {
        return Some((calls_of(value, tools)?, left));
    }
    let own = first_opener(after).map_or(after, |(at, _)| &after[..at]);
    let brace = own.find('{')?;
    let name = after[..brace].split('[').next().unwrap_or_default().trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Some((vec![unreadable(own, tools)?], &after[own.len()..]));
    }
    let (arguments, left) = match read_json(&after[brace..], is_whole) {
        Some((Value::Object(arguments), left)) => (Ok(arguments), left),
        _ => (Err(own[brace..].into()), &after[own.len()..]),
    };
    Some((vec![ToolCall { name: offered_name(tools, name), arguments }], left))
}
