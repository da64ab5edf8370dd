//! `<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>`: MiniMax M2 writes it, DeepSeek from V3.2 on with
//! `｜DSML｜` in each tag, and models that have read much of Claude between `<function_calls>`.

use serde_json::{Map, Value};

use super::json::read_json;
use super::typed;
use crate::completions::tool::{Tool, ToolCall, offered_name};

const INVOKE: &str = "<invoke name=";

pub(super) const OPENERS: &[&str] = &[
    "<minimax:tool_call>",
    "<function_calls>",
    "<｜DSML｜function_calls>",
    "<｜DSML｜tool_calls>",
    "<|DSML|function_calls>",
    "<|DSML|tool_calls>",
    "<｜｜DSML｜｜tool_calls>",
    "<｜DSML｜invoke",
    INVOKE,
];

/// The calls behind an opener, and the end of their section.
pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut calls = Vec::new();
    let mut rest = after;
    if opener.contains("invoke") {
        let (attributes, inside) = after.split_at(tag_end(after)?);
        let attributes = if opener == INVOKE { format!("name={attributes}") } else { attributes.into() };
        let (call, left) = call(&attribute(&attributes, "name")?, &inside[1..], tools, is_whole)?;
        calls.push(call);
        rest = left;
    }
    while let Some(tag) = Tag::at(rest.trim_start()) {
        let inside = &rest.trim_start()[tag.length..];
        match tag.name {
            "invoke" if !tag.is_end => {
                let name = attribute(tag.attributes, "name");
                let Some((call, left)) = name.and_then(|name| call(&name, inside, tools, is_whole)) else { break };
                calls.push(call);
                rest = left;
            }
            "invoke" => rest = inside,
            "function_calls" | "tool_calls" | "minimax:tool_call" if !calls.is_empty() => return Some((calls, inside)),
            _ => break,
        }
    }
    (!calls.is_empty()).then_some((calls, rest))
}

/// From behind `<invoke name="NAME">`.
fn call<'t>(name: &str, inside: &'t str, tools: &[Tool], is_whole: bool) -> Option<(ToolCall, &'t str)> {
    let name = offered_name(tools, name.trim());
    if name.is_empty() {
        return None;
    }
    if let Some((Value::Object(arguments), left)) = read_json(inside.trim_start(), false) {
        return Some((ToolCall { name, arguments: Ok(arguments) }, without_end(left)));
    }
    let mut arguments = Map::new();
    let mut rest = inside;
    loop {
        let trimmed = rest.trim_start();
        match Tag::at(trimmed) {
            Some(tag) if tag.name == "parameter" && !tag.is_end => {
                let Some((value, left)) = value(&trimmed[tag.length..], is_whole) else { break };
                let Some(key) = attribute(tag.attributes, "name") else { break };
                let value = match attribute(tag.attributes, "string").as_deref() {
                    Some("true") => value.into(),
                    Some(_) => serde_json::from_str(value.trim()).unwrap_or_else(|_| value.into()),
                    None => typed(tools, &name, &key, without_breaks(value)),
                };
                arguments.insert(key, value);
                rest = left;
            }
            Some(tag) if tag.name == "invoke" && tag.is_end => {
                return Some((ToolCall { name, arguments: Ok(arguments) }, &trimmed[tag.length..]));
            }
            // The end of the call is missing, and nothing else.
            Some(tag) if tag.name != "parameter" => {
                return Some((ToolCall { name, arguments: Ok(arguments) }, trimmed));
            }
            None if is_whole && trimmed.is_empty() => return Some((ToolCall { name, arguments: Ok(arguments) }, "")),
            _ => break,
        }
    }
    // Not beyond the next call: a model that repeats itself must not be read to the end each time.
    let mut tags = memchr::memchr_iter(b'<', rest.as_bytes()).filter_map(|at| Some((at, Tag::at(&rest[at..])?)));
    let next = tags.find(|(_, tag)| tag.name != "parameter").filter(|(_, tag)| tag.is_end && tag.name == "invoke");
    let end = next.map(|(at, tag)| (&inside[..inside.len() - rest.len() + at], &rest[at + tag.length..]));
    match end {
        Some((raw, left)) => Some((ToolCall { name, arguments: Err(raw.trim().into()) }, left)),
        None if !is_whole => Some((ToolCall { name, arguments: Err(inside.trim().into()) }, "")),
        None => None,
    }
}

/// The value of a parameter, and what comes after its end. A value may have that tag in itself: another tag of the call has
/// to follow the one that counts.
fn value(text: &str, is_whole: bool) -> Option<(&str, &str)> {
    let mut ends = memchr::memchr_iter(b'<', text.as_bytes()).filter_map(|at| Some((at, Tag::at(&text[at..])?)));
    let mut first = None;
    let found = ends.find_map(|(at, tag)| {
        let behind = &text[at + tag.length..];
        // `</invoke>` without the parameter's own end.
        let is_call_end = tag.is_end && tag.name == "invoke" && first.is_none();
        if !(tag.is_end && tag.name == "parameter") {
            return is_call_end.then(|| (&text[..at], &text[at..]));
        }
        first.get_or_insert((&text[..at], behind));
        let next = behind.trim_start();
        (next.is_empty() || Tag::at(next).is_some()).then_some((&text[..at], behind))
    });
    found.or(first).or_else(|| is_whole.then_some((text, "")))
}

fn without_breaks(value: &str) -> &str {
    let value = value.strip_prefix('\n').unwrap_or(value);
    value.strip_suffix('\n').unwrap_or(value)
}

fn without_end(text: &str) -> &str {
    let trimmed = text.trim_start();
    let end = Tag::at(trimmed).filter(|tag| tag.is_end && tag.name == "invoke");
    end.map_or(text, |tag| &trimmed[tag.length..])
}

/// One of the format's tags.
struct Tag<'t> {
    name: &'t str,
    attributes: &'t str,
    /// `</NAME>`, or one without the attributes that it would need.
    is_end: bool,
    length: usize,
}

impl<'t> Tag<'t> {
    /// The tag at the beginning of a text.
    fn at(text: &'t str) -> Option<Tag<'t>> {
        let inside = text.strip_prefix('<')?;
        let (has_slash, inside) = inside.strip_prefix('/').map_or((false, inside), |inside| (true, inside));
        let bars = |text: &'t str| text.trim_start_matches(['｜', '|']);
        let inside = bars(inside).strip_prefix("DSML").map_or(inside, bars);
        let names = ["invoke", "parameter", "function_calls", "tool_calls", "minimax:tool_call"];
        let name = names.into_iter().find(|name| inside.starts_with(name))?;
        let rest = &inside[name.len()..];
        if !rest.starts_with(['>', ' ', '\n']) {
            return None;
        }
        let (attributes, _) = rest.split_at(tag_end(rest)?);
        let is_end = has_slash || attributes.trim().is_empty() && ["invoke", "parameter"].contains(&name);
        Some(Tag { name, attributes, is_end, length: text.len() - rest.len() + attributes.len() + 1 })
    }
}

/// Where a tag ends. None is longer than this, and a `<` in one is none.
fn tag_end(text: &str) -> Option<usize> {
    const LONGEST: usize = 300;
    let (at, c) = text.char_indices().take_while(|(at, _)| *at < LONGEST).find(|(_, c)| matches!(c, '<' | '>'))?;
    (c == '>').then_some(at)
}

fn attribute(attributes: &str, key: &str) -> Option<String> {
    let is_key = |at: &usize| {
        let is_part = attributes[..*at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
        !is_part && attributes[at + key.len()..].trim_start().starts_with('=')
    };
    let at = attributes.match_indices(key).map(|(at, _)| at).find(is_key)?;
    let value = attributes[at + key.len()..].trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let value = match quote {
        Some(quote) => value[1..].split(quote).next()?,
        None => value.split_whitespace().next()?,
    };
    Some(value.into())
}
