//! Nemotron: `<TOOLCALL>[{…}]</TOOLCALL>`.

use super::between::json_calls;
use crate::completions::tool::{Tool, ToolCall};

pub(super) const OPENERS: &[&str] = &["<TOOLCALL>"];

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    json_calls(opener, after, "</TOOLCALL>", tools, is_whole)
}
