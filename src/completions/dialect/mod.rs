//! Tool calls that a model writes as text, because its server does not know how its template has them: a file for each
//! family of models, and one for the bare JSON that small models make of all of them.

mod bare_json;
mod between;
mod cohere;
mod deepseek;
#[allow(dead_code, reason = "the scanner takes it up")]
mod families;
mod gemma;
mod glm;
mod granite;
#[allow(dead_code, reason = "the reader of completions takes it up")]
pub(in crate::completions) mod harmony;
mod hermes;
mod invoke;
mod json;
mod kimi;
mod lfm2;
mod llama;
mod marks;
mod minimax;
mod mistral;
mod nemotron;
mod phi;
mod python_call;
mod qwen_coder;
mod seed_oss;

pub(crate) use json::read_arguments;

use serde_json::Value;

use crate::completions::tool::{Tool, ToolCall, offered_name};
use marks::{FUNCTION, PYTHON_TAG, TOOL_CALL, TOOL_CALLS, begun_opener, first_opener};

/// What was found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Text that is no call.
    Text(String),
    Call(ToolCall),
}

/// Holds text back from where a call may begin.
pub(crate) struct Scanner<'a> {
    tools: &'a [Tool],
    withheld: String,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    /// Nothing but white space has come.
    Start,
    /// Text passes.
    Text,
    /// A call has begun.
    Call,
}

impl<'a> Scanner<'a> {
    /// For answers that may call `tools`. Without tools all is text.
    pub(crate) fn new(tools: &'a [Tool]) -> Scanner<'a> {
        Scanner { tools, withheld: String::new(), stage: Stage::Start }
    }

    /// Takes a piece of text, and gives what is certain to be no call.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.tools.is_empty() {
            return text.into();
        }
        self.withheld.push_str(text);
        if self.stage == Stage::Start {
            match bare_json::begins(&self.withheld) {
                Some(true) => self.stage = Stage::Call,
                Some(false) => self.stage = Stage::Text,
                None => {}
            }
        }
        if self.stage == Stage::Text {
            let opener = first_opener(&self.withheld);
            let certain = opener.map_or_else(|| self.withheld.len() - begun_opener(&self.withheld), |(at, _)| at);
            if opener.is_some() {
                self.stage = Stage::Call;
            }
            return self.withheld.drain(..certain).collect();
        }
        String::new()
    }

    /// The text has ended: gives what was held back. `is_whole`: nothing was cut off.
    pub(crate) fn finish(&mut self, is_whole: bool) -> Vec<Found> {
        let withheld = std::mem::take(&mut self.withheld);
        let mut found = Vec::new();
        let calls = (self.stage != Stage::Text).then(|| bare_json::read(&withheld, self.tools)).flatten();
        match calls {
            Some(calls) => found.extend(calls.into_iter().map(Found::Call)),
            None => self.find(&withheld, is_whole, &mut found),
        }
        found
    }

    fn find(&self, text: &str, is_whole: bool, found: &mut Vec<Found>) {
        let mut rest = text;
        let mut plain = String::new();
        while let Some((at, opener)) = first_opener(rest) {
            plain.push_str(&rest[..at]);
            let after = &rest[at + opener.len()..];
            match read_marked(opener, after, self.tools, is_whole) {
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
}

/// The calls behind an opener, and the text after them. Several families share an opener. `is_whole`: nothing was cut off.
fn read_marked<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    match opener {
        TOOL_CALL => match after.trim_start().strip_prefix(FUNCTION) {
            Some(function) => qwen_coder::read(function, tools, is_whole),
            None if glm::is_form_of(after) => glm::read(after, tools, is_whole),
            None => hermes::read(after, tools, is_whole),
        },
        FUNCTION => qwen_coder::read(after, tools, is_whole),
        TOOL_CALLS => mistral::read(after, tools, is_whole),
        PYTHON_TAG => llama::read(after, tools, is_whole),
        _ => None,
    }
}

/// An argument that was written without quotes, as its schema wants it.
fn typed(tools: &[Tool], tool: &str, key: &str, value: &str) -> Value {
    let schema = tools.iter().find(|known| known.name == tool).map(|tool| &tool.schema["properties"][key]["type"]);
    let is_text = schema.is_none_or(|kind| kind == "string" || kind.is_null());
    let parsed = if is_text { None } else { serde_json::from_str(value.trim()).ok() };
    parsed.unwrap_or_else(|| value.into())
}

/// A call that has a name at least.
fn unreadable(text: &str, tools: &[Tool]) -> Option<ToolCall> {
    let name =
        text.split_once("\"name\"")?.1.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split('"').next()?;
    Some(ToolCall { name: offered_name(tools, name), arguments: Err(text.trim().into()) })
}

fn push_text(found: &mut Vec<Found>, text: &mut String) {
    let text = std::mem::take(text);
    let is_between = found.iter().any(|found| matches!(found, Found::Call(_)));
    if !(text.is_empty() || is_between && text.trim().is_empty()) {
        found.push(Found::Text(text));
    }
}

#[cfg(test)]
mod family_tests;
#[cfg(test)]
mod tests;
