//! Qwen 3 Coder: `<function=NAME>` with a `<parameter=KEY>` for each argument, and JSON there in Llama 3.

use serde_json::{Map, Value};

use super::json::read_json;
use super::marks::{TOOL_CALL_END, without};
use super::typed;
use crate::completions::tool::{Tool, ToolCall, offered_name};

pub(super) const FUNCTION: &str = "<function=";

pub(super) const OPENERS: &[&str] = &[FUNCTION];

const END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const PARAMETER_END: &str = "</parameter>";

pub(super) fn read<'t>(_: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let end = after.find(['>', '<', '\n'])?;
    let name = Some(offered_name(tools, after[..end].trim())).filter(|name| !name.is_empty())?;
    let inner = after[end..].strip_prefix('>')?;
    let (arguments, left) = match read_json(inner.trim_start(), is_whole) {
        Some((Value::Object(arguments), left)) => (Ok(arguments), without(left, END)),
        _ => parameters(inner, &name, tools, is_whole)?,
    };
    Some((vec![ToolCall { name, arguments }], without(left, TOOL_CALL_END)))
}

type Arguments = Result<Map<String, Value>, String>;

/// None if that is no call: other text follows the name.
fn parameters<'t>(inner: &'t str, name: &str, tools: &[Tool], is_whole: bool) -> Option<(Arguments, &'t str)> {
    let begun = inner.trim_start();
    let is_call = [PARAMETER, END, TOOL_CALL_END, "{"].iter().any(|next| begun.starts_with(next) || next.starts_with(begun));
    if !is_call {
        return None;
    }
    let (body, left) = match inner.split_once(END) {
        Some(parts) => parts,
        None if !is_whole => return Some((Err(inner.into()), "")),
        // Without the end of the last argument it cannot be told from text that follows.
        None => inner.split_at(inner.rfind(PARAMETER_END).map_or(0, |at| at + PARAMETER_END.len())),
    };
    let body = body.trim();
    if !body.is_empty() && !body.starts_with(PARAMETER) {
        return Some((Err(body.into()), left));
    }
    let mut arguments = Map::new();
    let mut rest = body.strip_prefix(PARAMETER);
    while let Some(parameter) = rest {
        let Some((key, after)) = parameter.split_once('>') else { return Some((Err(body.into()), left)) };
        let (value, next) = value(after);
        rest = next;
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        arguments.insert(key.trim().into(), typed(tools, name, key.trim(), value));
    }
    Some((Ok(arguments), left))
}

/// The value of a parameter, and the next parameter from behind its opener. A value may have the marks in itself: its end is the
/// first that another parameter or nothing follows, or else where another parameter begins a line.
fn value(text: &str) -> (&str, Option<&str>) {
    for (at, _) in text.match_indices(PARAMETER_END) {
        let behind = text[at + PARAMETER_END.len()..].trim_start();
        if behind.is_empty() || behind.starts_with(PARAMETER) {
            return (&text[..at], behind.strip_prefix(PARAMETER));
        }
    }
    match text.split_once(&format!("\n{PARAMETER}")) {
        Some((value, next)) => (value, Some(next)),
        None => (text.rsplit_once(PARAMETER_END).map_or(text, |(value, _)| value), None),
    }
}
