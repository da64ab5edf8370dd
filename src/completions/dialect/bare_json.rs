//! An answer that is nothing but the JSON of calls, in a fence or not: Llama 3 writes that, and small models of every family.

use super::json::{calls_of, read_json};
use crate::completions::tool::{Tool, ToolCall};

/// Whether a text that begins so is the JSON of a call; none while that is open.
pub(super) fn begins(text: &str) -> Option<bool> {
    let mut rest = text.trim_start();
    for fence in ["```json", "```"] {
        if rest.starts_with(fence) {
            rest = rest[fence.len()..].trim_start();
            break;
        }
        if fence.starts_with(rest) {
            return None;
        }
    }
    rest = rest.strip_prefix('[').map_or(rest, str::trim_start);
    let Some(inside) = rest.strip_prefix('{') else { return (!rest.is_empty()).then_some(false) };
    let inside = inside.trim_start();
    let keys = ["\"name\"", "\"function\"", "\"type\"", "\"tool\"", "\"arguments\"", "\"parameters\""];
    if keys.iter().any(|key| inside.starts_with(key)) {
        return Some(true);
    }
    if keys.iter().any(|key| key.starts_with(inside)) { None } else { Some(false) }
}

/// The calls of such an answer. It may be the answer itself: only tools that there are count.
pub(super) fn read(text: &str, tools: &[Tool]) -> Option<Vec<ToolCall>> {
    let text = text.trim();
    let text = text.strip_prefix("```json").or(text.strip_prefix("```")).unwrap_or(text);
    let mut rest = text.trim().trim_end_matches("```").trim();
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let (value, left) = read_json(rest, true)?;
        calls.extend(calls_of(value, tools)?);
        if !calls.iter().all(|call| tools.iter().any(|tool| tool.name == call.name)) {
            return None;
        }
        rest = left.trim_start_matches(|c: char| matches!(c, ';' | ',') || c.is_whitespace());
    }
    (!calls.is_empty()).then_some(calls)
}
