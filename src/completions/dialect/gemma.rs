//! Gemma 4 writes `<|tool_call>call:NAME{key:<|"|>text<|"|>,n:5}<tool_call|>`, FunctionGemma
//! `<start_function_call>call:NAME{key:<escape>text<escape>}<end_function_call>`, and Gemma 3 Python in a fence.

use serde_json::{Map, Value};

use super::between::{Body, json_calls};
use super::python_call;
use crate::completions::tool::{Tool, ToolCall, offered_name};

const GEMMA_4: &str = "<|tool_call>";
const FUNCTION_GEMMA: &str = "<start_function_call>";
const CODE_FENCE: &str = "```tool_code";
const CALL_FENCE: &str = "```tool_call";

pub(super) const OPENERS: &[&str] = &[GEMMA_4, FUNCTION_GEMMA, CODE_FENCE, CALL_FENCE];

/// Marks that Gemma 4 writes once more behind a call (`ollama` model/parsers/gemma4.go).
const NOISE: [&str; 2] = ["<tool_call|>", "<|tool_response>"];

pub(super) fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    match opener {
        GEMMA_4 => braced(opener, after, "<tool_call|>", "<|\"|>", tools, is_whole),
        FUNCTION_GEMMA => braced(opener, after, "<end_function_call>", "<escape>", tools, is_whole),
        _ => fenced(opener, after, tools, is_whole),
    }
}

fn braced<'t>(
    opener: &str,
    after: &'t str,
    end: &str,
    quote: &'static str,
    tools: &[Tool],
    is_whole: bool,
) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut body = Body::of(opener, after, end);
    let inside = body.text.trim_start();
    let inside = inside.strip_prefix("call:").unwrap_or(inside);
    let (name, arguments) = inside.split_at(inside.find('{')?);
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let mut reader = Reader { rest: arguments, quote };
    let arguments = match reader.object(0) {
        Some(read) if !body.is_closed && is_whole => {
            body.left = &after[after.len() - body.left.len() - reader.rest.len()..];
            Ok(read)
        }
        Some(read) if reader.rest.trim().is_empty() => Ok(read),
        // A brace that was forgotten: nothing else is missing.
        None if body.is_closed && reader.rest.trim().is_empty() => closed(arguments, quote),
        _ if body.may_be_call(is_whole) => Err(arguments.into()),
        _ => return None,
    };
    while let Some(left) = NOISE.iter().find_map(|noise| body.left.trim_start().strip_prefix(noise)) {
        body.left = left;
    }
    Some((vec![ToolCall { name: offered_name(tools, name), arguments }], body.left))
}

fn closed(arguments: &str, quote: &'static str) -> Result<Map<String, Value>, String> {
    let mended = format!("{}}}", arguments.trim_end());
    Reader { rest: &mended, quote }.object(0).ok_or_else(|| arguments.into())
}

/// Reads values whose keys stand without quotes, and whose text stands between marks.
struct Reader<'t> {
    rest: &'t str,
    quote: &'static str,
}

/// No tool has arguments this deep, and the stack is finite.
const DEEPEST: usize = 64;

impl<'t> Reader<'t> {
    fn object(&mut self, depth: usize) -> Option<Map<String, Value>> {
        let mut object = Map::new();
        self.take("{").filter(|()| depth < DEEPEST)?;
        while self.take("}").is_none() {
            let key = match self.text() {
                Some(key) => key,
                None => self.bare(&[':']).filter(|key| !key.is_empty() && !key.contains(['{', '}', ',']))?.into(),
            };
            self.take(":")?;
            let value = self.value(depth + 1)?;
            object.insert(key, value);
            if self.take(",").is_none() && !self.rest.starts_with('}') {
                return None;
            }
        }
        Some(object)
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Value>> {
        let mut list = Vec::new();
        self.take("[").filter(|()| depth < DEEPEST)?;
        while self.take("]").is_none() {
            list.push(self.value(depth + 1)?);
            if self.take(",").is_none() && !self.rest.starts_with(']') {
                return None;
            }
        }
        Some(list)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.rest = self.rest.trim_start();
        if let Some(text) = self.text() {
            return Some(text.into());
        }
        match self.rest.chars().next()? {
            '{' => self.object(depth).map(Value::Object),
            '[' => self.list(depth).map(Value::Array),
            '\'' | '"' => None,
            _ => {
                let bare = self.bare(&[',', '}', ']'])?;
                // A quote here is one that opened nothing.
                let is_text = !bare.is_empty() && !bare.contains(self.quote);
                is_text.then(|| serde_json::from_str(bare).unwrap_or_else(|_| bare.into()))
            }
        }
    }

    /// A text in the family's quotes, or in those of JSON or Python.
    fn text(&mut self) -> Option<String> {
        self.rest = self.rest.trim_start();
        if let Some(inside) = self.rest.strip_prefix(self.quote) {
            let (text, rest) = inside.split_once(self.quote)?;
            self.rest = rest.trim_start();
            return Some(text.into());
        }
        let (text, rest) = python_call::string(self.rest)?;
        self.rest = rest.trim_start();
        Some(text)
    }

    fn bare(&mut self, ends: &[char]) -> Option<&'t str> {
        let (bare, rest) = self.rest.split_at(self.rest.find(ends)?);
        self.rest = rest;
        Some(bare.trim())
    }

    fn take(&mut self, mark: &str) -> Option<()> {
        self.rest = self.rest.trim_start();
        self.rest = self.rest.strip_prefix(mark)?.trim_start();
        Some(())
    }
}

/// Gemma 3: `print(NAME(key="text"))`, or JSON. The fence has to end behind the calls.
fn fenced<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    if !after.starts_with(['\n', '\r', ' ']) {
        return None;
    }
    if after.trim_start().starts_with(['{', '[']) {
        if let Some(found) = json_calls(opener, after, "```", tools, is_whole) {
            return Some(found);
        }
    }
    match python_call::read(after, tools) {
        Some((calls, left)) => match left.trim_start().strip_prefix("```") {
            Some(left) => Some((calls, left)),
            None => (is_whole && left.trim().is_empty()).then_some((calls, "")),
        },
        None => {
            let body = Body::of(opener, after, "```");
            let may_be_call = body.may_be_call(is_whole);
            may_be_call.then(|| Some((vec![python_call::unreadable(body.text, tools)?], body.left)))?
        }
    }
}
