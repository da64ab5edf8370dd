//! Kimi K2: `<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}<|tool_call_end|>
//! <|tool_calls_section_end|>`. The marks of the section may be missing, or say `tool_call_section`.

use serde_json::Value;

use super::between::Body;
use super::json::read_json;
use crate::completions::tool::{Tool, ToolCall, offered_name};

const BEGIN: &str = "<|tool_call_begin|>";
const ARGUMENTS: &str = "<|tool_call_argument_begin|>";
const END: &str = "<|tool_call_end|>";

pub(super) const OPENERS: &[&str] = &["<|tool_calls_section_begin|>", "<|tool_call_section_begin|>", BEGIN];

/// No name is longer.
const LONGEST_NAME: usize = 200;

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut calls = Vec::new();
    let mut rest = if opener == BEGIN { after } else { after.trim_start().strip_prefix(BEGIN)? };
    while let Some((call, left)) = call(rest, tools, is_whole) {
        calls.push(call);
        rest = left;
        match left.trim_start().strip_prefix(BEGIN) {
            Some(after) => rest = after,
            None => break,
        }
    }
    let ends = ["<|tool_calls_section_end|>", "<|tool_call_section_end|>"];
    let left = ends.iter().find_map(|end| rest.trim_start().strip_prefix(end)).unwrap_or(rest);
    (!calls.is_empty()).then_some((calls, left))
}

fn call<'t>(text: &'t str, tools: &[Tool], is_whole: bool) -> Option<(ToolCall, &'t str)> {
    let end = text.char_indices().take_while(|(at, _)| *at <= LONGEST_NAME).find(|(_, c)| matches!(c, '<' | '{' | '\n'))?.0;
    let (id, body) = text.split_at(end);
    let body = body.trim_start();
    let body = body.strip_prefix(ARGUMENTS).or_else(|| Some(body).filter(|body| body.starts_with('{')))?.trim_start();
    let name = named(id.trim())?;
    let (arguments, left) = match read_json(body, is_whole) {
        Some((Value::Object(arguments), left)) => (Ok(arguments), left),
        _ => {
            let body = Body::of(BEGIN, body, END);
            if !body.may_be_call(is_whole) {
                return None;
            }
            (Err(body.text.into()), body.left)
        }
    };
    let left = left.trim_start().strip_prefix(END).unwrap_or(left);
    Some((ToolCall { name: offered_name(tools, name), arguments }, left))
}

/// `functions.NAME:0`, of which only the name is always there.
fn named(id: &str) -> Option<&str> {
    let id = id.strip_prefix("functions.").unwrap_or(id);
    let name = id.rsplit_once(':').filter(|(_, number)| number.bytes().all(|b| b.is_ascii_digit())).map_or(id, |(name, _)| name);
    (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
}
