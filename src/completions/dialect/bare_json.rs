//! An answer that is nothing but the JSON of calls: Llama 3 writes that, and small models of every family. In a fence it is
//! shown, not called.

use super::json::{calls_of, read_json};
use crate::completions::tool::{Tool, ToolCall};

/// In bytes: how much white space may stand before the first key.
const LONGEST_BEGINNING: usize = 200;

/// Whether a text that begins so is the JSON of a call; none while that is open.
pub(super) fn begins(text: &str) -> Option<bool> {
    let rest = text.strip_prefix('[').map_or(text, str::trim_start);
    let Some(inside) = rest.strip_prefix('{') else {
        return (!rest.is_empty() || text.len() > LONGEST_BEGINNING).then_some(false);
    };
    let inside = inside.trim_start();
    let keys = ["\"name\"", "\"function\"", "\"type\"", "\"tool\"", "\"arguments\"", "\"parameters\""];
    if keys.iter().any(|key| inside.starts_with(key)) {
        return Some(true);
    }
    let may_come = text.len() < LONGEST_BEGINNING && keys.iter().any(|key| key.starts_with(inside));
    if may_come { None } else { Some(false) }
}

/// The calls of such an answer. It may be the answer itself: only tools that there are count.
pub(super) fn read(text: &str, tools: &[Tool]) -> Option<Vec<ToolCall>> {
    let mut rest = text.trim();
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
