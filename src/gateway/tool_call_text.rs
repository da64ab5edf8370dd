//! Tool calls that a model writes as text, because its server does not know how its template has them.
//!
//! Known are the forms of Hermes and Qwen (`<tool_call>{…}</tool_call>`), Qwen 3 Coder (`<function=NAME>` with a
//! `<parameter=KEY>` for each argument), GLM (`<arg_key>`), Mistral (`[TOOL_CALLS]`), Llama 3 (`<|python_tag|>`, or nothing but
//! the JSON) and JSON in a fence, which small models make of all of them.

use serde_json::{Map, Value};

use crate::gateway::request::Tool;

/// A call that a model has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The tool's name, as the caller has it where that can be told.
    pub name: String,
    /// Its arguments, or the text that should have been that.
    pub arguments: Result<Map<String, Value>, String>,
}

/// What was found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Text that is no call.
    Text(String),
    /// A call.
    Call(Call),
}

/// Holds text back from where a call may begin.
pub(crate) struct Scanner<'a> {
    tools: &'a [Tool],
    held: String,
    state: State,
}

#[derive(PartialEq)]
enum State {
    /// Nothing but white space has come.
    Start,
    /// Text passes.
    Text,
    /// A call has begun.
    Held,
}

/// What begins a call, wherever it stands.
const OPENERS: [&str; 4] = ["<tool_call>", "<function=", "[TOOL_CALLS]", "<|python_tag|>"];

impl<'a> Scanner<'a> {
    /// For answers that may call `tools`. Without tools all is text.
    pub(crate) fn new(tools: &'a [Tool]) -> Scanner<'a> {
        Scanner { tools, held: String::new(), state: State::Start }
    }

    /// Takes a piece of text, and gives what is certain to be no call.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.tools.is_empty() {
            return text.into();
        }
        self.held.push_str(text);
        if self.state == State::Start {
            match begins_json_call(&self.held) {
                Some(true) => self.state = State::Held,
                Some(false) => self.state = State::Text,
                None => {}
            }
        }
        if self.state == State::Text {
            let opener = first_opener(&self.held);
            let certain = opener.map_or_else(|| self.held.len() - begun_opener(&self.held), |(at, _)| at);
            if opener.is_some() {
                self.state = State::Held;
            }
            return self.held.drain(..certain).collect();
        }
        String::new()
    }

    /// The text has ended: gives what was held back. `is_whole`: nothing was cut off.
    pub(crate) fn finish(&mut self, is_whole: bool) -> Vec<Found> {
        let held = std::mem::take(&mut self.held);
        let mut found = Vec::new();
        let calls = (self.state != State::Text).then(|| json_calls(&held, self.tools)).flatten();
        match calls {
            Some(calls) => found.extend(calls.into_iter().map(Found::Call)),
            None => self.find(&held, is_whole, &mut found),
        }
        found
    }

    fn find(&self, text: &str, is_whole: bool, found: &mut Vec<Found>) {
        let mut rest = text;
        let mut plain = String::new();
        while let Some((at, opener)) = first_opener(rest) {
            plain.push_str(&rest[..at]);
            let after = &rest[at + opener.len()..];
            match self.marked(opener, after, is_whole) {
                Some((calls, left)) => {
                    push_text(found, &mut plain);
                    found.extend(calls.into_iter().map(Found::Call));
                    rest = left;
                }
                None => {
                    plain.push_str(opener);
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        push_text(found, &mut plain);
    }

    /// The calls behind an opener, and what comes after them.
    fn marked<'t>(&self, opener: &str, after: &'t str, is_whole: bool) -> Option<(Vec<Call>, &'t str)> {
        match opener {
            "<tool_call>" => {
                let inner = after.trim_start();
                if let Some(function) = inner.strip_prefix("<function=") {
                    let (call, left) = self.in_tags(function)?;
                    return Some((vec![call], without(left, "</tool_call>")));
                }
                let (body, left) = up_to(after, "</tool_call>");
                if body.contains("<arg_key>") {
                    return Some((vec![self.glm(body)?], left));
                }
                match read_json(inner, is_whole) {
                    Some((value, left)) => Some((self.calls_of(value)?, without(left, "</tool_call>"))),
                    None => Some((vec![self.unreadable(body)?], left)),
                }
            }
            "<function=" => {
                let (call, left) = self.in_tags(after)?;
                Some((vec![call], without(left, "</tool_call>")))
            }
            "[TOOL_CALLS]" => {
                if let Some((value, left)) = read_json(after.trim_start(), is_whole) {
                    return Some((self.calls_of(value)?, left));
                }
                let brace = after.find('{')?;
                let name = after[..brace].split('[').next().unwrap_or_default().trim();
                if name.is_empty() || name.contains(char::is_whitespace) {
                    return Some((vec![self.unreadable(after)?], ""));
                }
                let name = self.known(name);
                Some(match read_json(&after[brace..], is_whole) {
                    Some((Value::Object(arguments), left)) => (vec![Call { name, arguments: Ok(arguments) }], left),
                    _ => (vec![Call { name, arguments: Err(after[brace..].into()) }], ""),
                })
            }
            _ => {
                let mut calls = Vec::new();
                let mut left = after.trim_start();
                while let Some((value, next)) = read_json(left, is_whole) {
                    calls.extend(self.calls_of(value)?);
                    left = next.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
                }
                (!calls.is_empty()).then_some((calls, left))
            }
        }
    }

    /// `NAME>…</function>`, whose inside is JSON or a tag for each argument.
    fn in_tags<'t>(&self, text: &'t str) -> Option<(Call, &'t str)> {
        let (name, inner) = text.split_once('>')?;
        let name = Some(self.known(name.trim())).filter(|name| !name.is_empty())?;
        if let Some((Value::Object(arguments), left)) = read_json(inner.trim_start(), true) {
            return Some((Call { name, arguments: Ok(arguments) }, without(left, "</function>")));
        }
        let (body, left) = cut(inner, "</function>");
        if !body.trim().is_empty() && !body.contains("<parameter=") {
            return Some((Call { name, arguments: Err(body.into()) }, left));
        }
        let mut arguments = Map::new();
        for parameter in body.split("<parameter=").skip(1) {
            let (key, value) = parameter.split_once('>')?;
            let value = value.rsplit_once("</parameter>").map_or(value, |(value, _)| value);
            let value = value.strip_prefix('\n').unwrap_or(value);
            let value = value.strip_suffix('\n').unwrap_or(value);
            arguments.insert(key.trim().into(), self.typed(&name, key.trim(), value));
        }
        Some((Call { name, arguments: Ok(arguments) }, left))
    }

    fn glm(&self, body: &str) -> Option<Call> {
        let name = self.known(body.split("<arg_key>").next().unwrap_or_default().trim());
        let pairs = body.split("<arg_key>").skip(1).filter_map(|pair| {
            let (key, rest) = pair.split_once("</arg_key>")?;
            let value = rest.split_once("<arg_value>")?.1;
            let value = value.split_once("</arg_value>").map_or(value, |(value, _)| value);
            Some((key.trim().to_string(), self.typed(&name, key.trim(), value)))
        });
        let arguments = Ok(pairs.collect());
        (!name.is_empty()).then_some(Call { name, arguments })
    }

    /// An argument that was written without quotes, as its schema wants it.
    fn typed(&self, tool: &str, key: &str, value: &str) -> Value {
        let schema = self.tools.iter().find(|known| known.name == tool).map(|tool| &tool.schema["properties"][key]["type"]);
        let is_text = schema.is_none_or(|kind| kind == "string" || kind.is_null());
        let parsed = if is_text { None } else { serde_json::from_str(value.trim()).ok() };
        parsed.unwrap_or_else(|| value.into())
    }

    fn calls_of(&self, value: Value) -> Option<Vec<Call>> {
        let list = match value {
            Value::Array(list) => list,
            one => vec![one],
        };
        list.into_iter().map(|value| call_of(value).map(|call| Call { name: self.known(&call.name), ..call })).collect()
    }

    /// A call that has a name at least.
    fn unreadable(&self, text: &str) -> Option<Call> {
        let name =
            text.split_once("\"name\"")?.1.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split('"').next()?;
        Some(Call { name: self.known(name), arguments: Err(text.trim().into()) })
    }

    fn known(&self, name: &str) -> String {
        known(self.tools, name)
    }
}

/// The tool's name as the caller has it: small models do not mind case.
pub(crate) fn known(tools: &[Tool], name: &str) -> String {
    let is_exact = tools.iter().any(|tool| tool.name == name);
    let near = tools.iter().find(|tool| tool.name.eq_ignore_ascii_case(name)).filter(|_| !is_exact);
    near.map_or(name, |tool| &tool.name).into()
}

/// Arguments as servers give them: the text of an object, nothing, or that text in quotes once more.
pub(crate) fn arguments(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match read_json(text.trim(), false) {
        Some((Value::Object(arguments), rest)) if rest.trim().is_empty() => Ok(arguments),
        Some((Value::String(inner), rest)) if rest.trim().is_empty() && inner != text => arguments(&inner),
        Some((Value::Null, rest)) if rest.trim().is_empty() => Ok(Map::new()),
        _ => Err(text.into()),
    }
}

fn push_text(found: &mut Vec<Found>, text: &mut String) {
    let text = std::mem::take(text);
    let is_between = found.iter().any(|found| matches!(found, Found::Call(_)));
    if !(text.is_empty() || is_between && text.trim().is_empty()) {
        found.push(Found::Text(text));
    }
}

fn first_opener(text: &str) -> Option<(usize, &'static str)> {
    let opener = |at: usize| Some((at, OPENERS.into_iter().find(|opener| text[at..].starts_with(opener))?));
    memchr::memchr2_iter(b'<', b'[', text.as_bytes()).find_map(opener)
}

/// How many of the last bytes may be the beginning of an opener.
fn begun_opener(text: &str) -> usize {
    let begins = |length: &usize| text.is_char_boundary(text.len() - length);
    let is_begun = |length: &usize| OPENERS.iter().any(|opener| opener.starts_with(&text[text.len() - length..]));
    let longest = OPENERS.iter().map(|opener| opener.len() - 1).max().unwrap_or_default().min(text.len());
    (1..=longest).rev().filter(begins).find(is_begun).unwrap_or_default()
}

/// Whether an answer is the JSON of a call and nothing else; none while that is open.
fn begins_json_call(text: &str) -> Option<bool> {
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

/// The calls of an answer that is nothing but their JSON. Such JSON may be the answer itself: only tools that there are count.
fn json_calls(text: &str, tools: &[Tool]) -> Option<Vec<Call>> {
    let text = text.trim();
    let text = text.strip_prefix("```json").or(text.strip_prefix("```")).unwrap_or(text);
    let mut rest = text.trim().trim_end_matches("```").trim();
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let (value, left) = read_json(rest, true)?;
        let list = match value {
            Value::Array(list) => list,
            one => vec![one],
        };
        for value in list {
            let call = call_of(value)?;
            let name = known(tools, &call.name);
            if !tools.iter().any(|tool| tool.name == name) {
                return None;
            }
            calls.push(Call { name, ..call });
        }
        rest = left.trim_start_matches(|c: char| matches!(c, ';' | ',') || c.is_whitespace());
    }
    (!calls.is_empty()).then_some(calls)
}

fn call_of(mut value: Value) -> Option<Call> {
    if value["function"].is_object() {
        value = value["function"].take();
    }
    let name =
        ["name", "function", "tool"].iter().find_map(|key| value[*key].as_str().filter(|name| !name.is_empty()))?.to_string();
    let given = ["arguments", "parameters", "input", "args"].iter().find_map(|key| value.get(*key))?;
    let arguments = match given {
        Value::Object(arguments) => Ok(arguments.clone()),
        Value::String(text) => arguments(text),
        Value::Null => Ok(Map::new()),
        other => Err(other.to_string()),
    };
    Some(Call { name, arguments })
}

/// The value at the beginning of a text, and what comes after it. Models write line breaks into strings as they are, and
/// forget the last bracket; that is only mended in a text of which nothing `is_whole` was cut off.
fn read_json(text: &str, is_whole: bool) -> Option<(Value, &str)> {
    if !text.starts_with(['{', '[', '"', 'n']) {
        return None;
    }
    if let Some((value, length)) = first_value(text) {
        return Some((value, &text[length..]));
    }
    // Another call is no part of this one. Whoever repeats himself for ever must not be read from here to the end each time.
    let whole = text;
    let text = first_opener(&whole[1..]).map_or(whole, |(at, _)| &whole[..=at]);
    let escaped = with_escapes(text);
    if let Some((value, length)) = first_value(&escaped) {
        // A break that was written out is one byte longer.
        let rest = escaped.len() - length;
        return Some((value, whole.get(text.len().checked_sub(rest)?..)?));
    }
    let end = text.find("</tool_call>").unwrap_or(text.len());
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

/// What stands before `end`, and what behind it; all of it if there is none.
fn cut<'t>(text: &'t str, end: &str) -> (&'t str, &'t str) {
    text.split_once(end).unwrap_or((text, ""))
}

/// The same, but another call ends it too.
fn up_to<'t>(text: &'t str, end: &str) -> (&'t str, &'t str) {
    let limit = first_opener(text).map_or(text.len(), |(at, _)| at);
    match text[..limit].split_once(end) {
        Some((before, _)) => (before, &text[before.len() + end.len()..]),
        None => text.split_at(limit),
    }
}

fn without<'t>(text: &'t str, end: &str) -> &'t str {
    text.trim_start().strip_prefix(end).unwrap_or(text)
}

#[cfg(test)]
mod tests;
