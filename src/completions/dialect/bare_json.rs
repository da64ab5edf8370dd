//! An answer that is nothing but calls without a mark. Llama 3 and small models of every family write their JSON, Phi 4 mini
//! `functools` before it, Llama 4 and LFM2 a list in Python. In a fence it is shown, not called.

use super::json::{calls_of, read_json};
use super::python_call;
use crate::completions::tool::{Tool, ToolCall};

const FUNCTOOLS: &str = "functools";

/// In bytes: how much white space may stand before the first key.
const LONGEST_BEGINNING: usize = 200;

/// Whether a text that begins so is the JSON of a call; none while that is open.
pub(super) fn begins(text: &str) -> Option<bool> {
    if FUNCTOOLS.starts_with(text) && !text.is_empty() {
        return None;
    }
    let text = text.strip_prefix(FUNCTOOLS).unwrap_or(text);
    let rest = text.strip_prefix('[').map_or(text, str::trim_start);
    if rest.len() < text.len() && rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return begins_python(rest);
    }
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

/// Whether that is the name of a function and its bracket.
fn begins_python(text: &str) -> Option<bool> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
    match end.map(|end| text[end..].starts_with('(')) {
        None if text.len() < LONGEST_BEGINNING => None,
        is_call => Some(is_call == Some(true)),
    }
}

/// The calls of such an answer. It may be the answer itself: only tools that there are count. `is_whole`: nothing was cut off.
pub(super) fn read(text: &str, tools: &[Tool], is_whole: bool) -> Option<Vec<ToolCall>> {
    let text = text.trim();
    if let Some((calls, "")) = python_call::read(text, tools).filter(|_| text.starts_with('[')) {
        return Some(calls);
    }
    let mut rest = text.strip_prefix(FUNCTOOLS).unwrap_or(text);
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let (value, left) = read_json(rest, is_whole)?;
        calls.extend(calls_of(value, tools)?);
        if !calls.iter().all(|call| tools.iter().any(|tool| tool.name == call.name)) {
            return None;
        }
        rest = left.trim_start_matches(|c: char| matches!(c, ';' | ',') || c.is_whitespace());
    }
    (!calls.is_empty()).then_some(calls)
}
