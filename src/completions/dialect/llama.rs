//! Llama 3: `<|python_tag|>` before the JSON of calls, with a semicolon between them.

use super::json::{calls_of, read_json};
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OPENERS: &[&str] = &["<|python_tag|>"];

pub(super) fn read<'t>(_: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut calls = Vec::new();
    let mut left = after.trim_start();
    while let Some((value, next)) = read_json(left, is_whole) {
        calls.extend(calls_of(value, tools)?);
        left = next.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
    }
    (!calls.is_empty()).then_some((calls, left))
}
