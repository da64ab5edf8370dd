//! JSON as models write it, and the calls in it.

use serde_json::{Map, Value};

use super::marks::{TOOL_CALL_END, first_opener, without_turn_ends};
use super::python_call;
use crate::completions::tool::{Tool, ToolCall, offered_name};

/// Arguments as servers give them: the text of an object, nothing, or that text in quotes once more; sometimes in a fence, or with
/// the mark that ends the call.
pub(crate) fn read_arguments(text: &str) -> Result<Map<String, Value>, String> {
    let bare = without_turn_ends(text);
    let bare = bare.strip_suffix(TOOL_CALL_END).unwrap_or(bare).trim();
    let fenced = bare.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    let bare = fenced.map_or(bare, |inside| inside.strip_prefix("json").unwrap_or(inside).trim());
    if bare.is_empty() {
        return Ok(Map::new());
    }
    match read_json(bare, false) {
        Some((Value::Object(arguments), rest)) if rest.trim().is_empty() => Ok(arguments),
        Some((Value::String(inner), rest)) if rest.trim().is_empty() && inner != text => read_arguments(&inner),
        Some((Value::Null, rest)) if rest.trim().is_empty() => Ok(Map::new()),
        _ => Err(text.into()),
    }
}

/// The calls in a value: one, or a list.
pub(super) fn calls_of(value: Value, tools: &[Tool]) -> Option<Vec<ToolCall>> {
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    let calls: Option<Vec<ToolCall>> = list.into_iter().map(|value| call_of(value, tools)).collect();
    calls.filter(|calls| !calls.is_empty())
}

fn call_of(mut value: Value, tools: &[Tool]) -> Option<ToolCall> {
    if value["function"].is_object() {
        value = value["function"].take();
    }
    let name = ["name", "function", "tool"].iter().find_map(|key| value[*key].as_str().filter(|name| !name.is_empty()))?;
    let given = ["arguments", "parameters", "input", "args"].iter().find_map(|key| value.get(*key))?;
    let arguments = match given {
        Value::Object(arguments) => Ok(arguments.clone()),
        Value::String(text) => read_arguments(text),
        Value::Null => Ok(Map::new()),
        other => Err(other.to_string()),
    };
    Some(ToolCall { name: offered_name(tools, name), arguments })
}

/// The value at the beginning of a text, and what comes after it. Models write line breaks into strings as they are, or Python's
/// quotes, commas and escapes (`\d`), and forget the last bracket; that is only mended in a text of which nothing `is_whole` was
/// cut off.
pub(super) fn read_json(text: &str, is_whole: bool) -> Option<(Value, &str)> {
    if !text.starts_with(['{', '[', '"', 'n']) {
        return None;
    }
    if let Some((value, length)) = first_value(text) {
        return Some((value, &text[length..]));
    }
    // Another call is no part of this one. A model that repeats itself for ever must not be read from here to the end each time.
    let whole = text;
    let text = first_opener(&whole[1..]).map_or(whole, |(at, _)| &whole[..=at]);
    let escaped = with_escapes(text);
    if let Some((value, length)) = first_value(&escaped) {
        // A break that was written out is one byte longer.
        let rest = escaped.len() - length;
        return Some((value, whole.get(text.len().checked_sub(rest)?..)?));
    }
    // JSON has no `\'`, and it cannot be told whether a shell's backslash was meant.
    if text.starts_with("{'") || text.starts_with("[{'") || !text.contains("\\'") {
        if let Some((value, rest)) = python_call::literal(text).filter(|(value, _)| value.is_object() || value.is_array()) {
            return Some((value, &whole[text.len() - rest.len()..]));
        }
    }
    let end = text.find(TOOL_CALL_END).unwrap_or(text.len());
    let body = with_escapes(text[..end].trim_end());
    let closed = ["}", "}}", "]", "}]"].iter().find_map(|closers| serde_json::from_str(&format!("{body}{closers}")).ok());
    closed.filter(|_| is_whole).map(|value| (value, &whole[end..]))
}

fn first_value(text: &str) -> Option<(Value, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

/// The control characters in strings as JSON writes them. Only up to the end of the first value.
fn with_escapes(text: &str) -> String {
    let (mut escaped, mut is_string, mut is_escaped, mut depth) = (String::with_capacity(text.len()), false, false, 0_u32);
    for (at, c) in text.char_indices() {
        match c {
            '\n' if is_string => escaped.push_str("\\n"),
            '\r' if is_string => escaped.push_str("\\r"),
            '\t' if is_string => escaped.push_str("\\t"),
            _ => escaped.push(c),
        }
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_string => is_escaped = true,
            '"' => is_string = !is_string,
            '{' | '[' if !is_string => depth += 1,
            '}' | ']' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !is_string {
            escaped.push_str(&text[at + c.len_utf8()..]);
            break;
        }
    }
    escaped
}
