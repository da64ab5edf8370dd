//! DeepSeek R1 and V3 write `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME`, JSON in a fence and
//! `<｜tool▁call▁end｜><｜tool▁calls▁end｜>`; V3.1 `NAME<｜tool▁sep｜>{…}`. Small models, and those of a server that writes
//! special tokens its own way, put other bars and gaps there (`ggml-org/llama.cpp` common/chat.cpp of 2025 lists five).

use serde_json::Value;

use super::between::Body;
use super::json::read_json;
use crate::completions::tool::{Tool, ToolCall, offered_name};

pub(super) const OPENERS: &[&str] = &[
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁calls｜>",
    "<｜tool_calls_begin｜>",
    "<｜tool_call_begin｜>",
    "<｜tool calls begin｜>",
    "<｜tool call begin｜>",
    "<｜tool\\_calls\\_begin｜>",
    "<｜tool\\_call\\_begin｜>",
    "<|tool▁calls▁begin|>",
    "<|tool▁call▁begin|>",
    "<|tool_calls_begin|>",
    "<|tool calls begin|>",
    "<|tool call begin|>",
];

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    CallsBegin,
    CallBegin,
    Separator,
    CallEnd,
    CallsEnd,
}

/// No name is longer.
const LONGEST_NAME: usize = 200;

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut calls = Vec::new();
    let mut rest = after;
    let mut is_begun = matches!(mark(opener), Some((Mark::CallBegin, _)));
    loop {
        let trimmed = rest.trim_start();
        match mark(trimmed) {
            Some((Mark::CallBegin, length)) if !is_begun => rest = &trimmed[length..],
            Some((Mark::CallsEnd, length)) if !calls.is_empty() => return Some((calls, &trimmed[length..])),
            _ if is_begun || calls.is_empty() => {}
            _ => return Some((calls, rest)),
        }
        match call(rest, tools, is_whole) {
            Some((call, left)) => {
                calls.push(call);
                rest = left;
            }
            // What follows the calls is text.
            None => return (!calls.is_empty()).then_some((calls, rest)),
        }
        is_begun = false;
    }
}

fn call<'t>(text: &'t str, tools: &[Tool], is_whole: bool) -> Option<(ToolCall, &'t str)> {
    let (head, body) = match next_mark(text, LONGEST_NAME) {
        Some((at, Mark::Separator, length)) => (text[..at].trim(), text[at + length..].trim_start()),
        _ => return None,
    };
    // From V3.1 on the name stands before the separator, where `function` stood.
    let (name, body) = if body.starts_with('{') || head != "function" && !head.is_empty() {
        (head, body)
    } else {
        let end = body.find(['\n', '{', '`', '<']).unwrap_or(body.len());
        (body[..end].trim(), body[end..].trim_start())
    };
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_whitespace) {
        return None;
    }
    let body = body.strip_prefix("```json").or(body.strip_prefix("```")).unwrap_or(body).trim_start();
    let (arguments, left) = match read_json(body, is_whole) {
        Some((Value::Object(arguments), left)) => (Ok(arguments), left),
        _ => {
            let end = next_mark(body, body.len()).map(|(at, ..)| at);
            let (text, left) = body.split_at(end.unwrap_or(body.len()));
            let body = Body { text, left, is_closed: end.is_some() };
            if !body.may_be_call(is_whole) {
                return None;
            }
            (Err(text.into()), left)
        }
    };
    let mut left = left.trim_start();
    left = left.strip_prefix("```").map_or(left, str::trim_start);
    if let Some((Mark::CallEnd, length)) = mark(left) {
        left = &left[length..];
    }
    Some((ToolCall { name: offered_name(tools, name), arguments }, left))
}

/// The mark at the beginning of a text, and its length.
fn mark(text: &str) -> Option<(Mark, usize)> {
    const LONGEST: usize = 64;
    let inside = text.strip_prefix("<｜").or_else(|| text.strip_prefix("<|"))?;
    let end = inside.char_indices().take_while(|(at, _)| *at < LONGEST).find(|(_, c)| matches!(c, '｜' | '|' | '<' | '\n'))?.0;
    let close = ["｜>", "|>"].into_iter().find(|close| inside[end..].starts_with(close))?;
    let words: Vec<&str> = inside[..end].split(['▁', '_', ' ', '\\']).filter(|word| !word.is_empty()).collect();
    let mark = match words.as_slice() {
        ["tool", "calls", "begin"] | ["tool", "calls"] => Mark::CallsBegin,
        ["tool", "call", "begin"] => Mark::CallBegin,
        ["tool", "sep"] => Mark::Separator,
        ["tool", "call", "end"] => Mark::CallEnd,
        ["tool", "calls", "end"] => Mark::CallsEnd,
        _ => return None,
    };
    Some((mark, text.len() - inside.len() + end + close.len()))
}

/// The first mark that begins within so many bytes: where, and its length.
fn next_mark(text: &str, within: usize) -> Option<(usize, Mark, usize)> {
    let starts = memchr::memchr_iter(b'<', text.as_bytes()).take_while(|at| *at <= within);
    starts.into_iter().find_map(|at| mark(&text[at..]).map(|(mark, length)| (at, mark, length)))
}
