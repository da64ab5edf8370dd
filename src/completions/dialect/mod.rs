//! Tool calls that a model writes as text, because its server does not know how its template has them: a file for each
//! family of models, and one for the bare JSON that small models make of all of them.
//!
//! A call in a text is made only if nothing speaks against it: its tool is offered, it is neither code nor quoted nor a part of a
//! listing, and the answer ends with it. A model also shows calls: from a README, a log, a question.

mod bare_json;
mod between;
mod cohere;
mod deepseek;
mod gemma;
mod glm;
mod granite;
pub(in crate::completions) mod harmony;
mod hermes;
mod invoke;
mod json;
mod kimi;
mod lfm2;
mod llama;
pub(super) mod marks;
mod minimax;
mod mistral;
mod nemotron;
pub(super) mod prose;
mod python_call;
mod qwen_coder;
mod seed_oss;

pub(crate) use json::read_arguments;

use serde_json::Value;

use crate::completions::circles::{MOST_SAME_CALLS, repetition};
use crate::completions::tool::{Tool, ToolCall, offered_name};
use marks::{TOOL_CALL, first_opener, is_fence, without_turn_ends};
use prose::Prose;

/// Reads the calls behind an opener, and gives the text after them. None: it is no call. `is_whole`: nothing was cut off.
type Read = for<'t> fn(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)>;

/// What begins the calls of a family, wherever it stands.
const FAMILIES: &[(&[&str], Read)] = &[
    (&[TOOL_CALL], read_tool_call),
    (hermes::OTHER_OPENERS, hermes::read_other),
    (qwen_coder::OPENERS, qwen_coder::read),
    (mistral::OPENERS, mistral::read),
    (llama::OPENERS, llama::read),
    (gemma::OPENERS, gemma::read),
    (deepseek::OPENERS, deepseek::read),
    (invoke::OPENERS, invoke::read),
    (minimax::OPENERS, minimax::read),
    (kimi::OPENERS, kimi::read),
    (granite::OPENERS, granite::read),
    (cohere::OPENERS, cohere::read),
    (lfm2::OPENERS, lfm2::read),
    (nemotron::OPENERS, nemotron::read),
    (seed_oss::OPENERS, seed_oss::read),
];

/// Several families have this opener.
fn read_tool_call<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    match after.trim_start().strip_prefix(qwen_coder::FUNCTION) {
        Some(function) => qwen_coder::read(opener, function, tools, is_whole),
        None => glm::read(after, tools, is_whole).or_else(|| hermes::read(after, tools, is_whole)),
    }
}

/// Whether an answer that begins so may be nothing but calls without a mark; none while that is open.
pub(super) fn begins_bare(text: &str, tools: &[Tool]) -> Option<bool> {
    if tools.is_empty() { Some(false) } else { bare_json::begins(text) }
}

/// The calls of an answer that is nothing else, and has no marks.
pub(super) fn bare_calls(text: &str, tools: &[Tool], is_whole: bool) -> Option<Vec<ToolCall>> {
    bare_json::read(without_turn_ends(text), tools, is_whole)
}

/// An answer in which so many openers begin no call shows marks and makes no calls. Each may be read to the answer's end.
const MOST_FAILED: usize = 256;

/// The calls with which a text ends, and where they begin. `prose` is the state before the text.
pub(super) fn trailing_calls(text: &str, mut prose: Prose, tools: &[Tool], is_whole: bool) -> Option<(usize, Vec<ToolCall>)> {
    let is_offered = |call: &ToolCall| tools.iter().any(|tool| tool.name == call.name);
    let mut run: Option<(usize, Vec<ToolCall>)> = None;
    let (mut at, mut told, mut failed) = (0, 0, 0);
    while let Some((distance, opener)) = first_opener(&text[at..]).filter(|_| failed < MOST_FAILED) {
        let found = at + distance;
        run = run.filter(|_| text[at..found].trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).is_empty());
        if run.is_none() {
            prose.push(&text[told..found]);
            told = found;
            if !prose.is_plain() || prose.is_listed() || is_fence(opener) && !prose.is_at_beginning() {
                at = found + opener.len();
                continue;
            }
        }
        let after = &text[found + opener.len()..];
        match read(opener, after, tools, is_whole) {
            Some((calls, left)) => {
                at = text.len() - left.len();
                if calls.iter().all(is_offered) {
                    run.get_or_insert_with(|| (found, vec![])).1.extend(calls);
                } else {
                    run = None;
                }
            }
            None => (at, run, failed) = (found + opener.len(), None, failed + 1),
        }
    }
    run.filter(|(_, calls)| !calls.is_empty() && without_turn_ends(&text[at..]).is_empty())
}

/// Where a text ends that was cut off in calls that repeat the same again and again, without the last of them, which is not whole.
/// `is_bare`: they have no marks.
pub(super) fn end_of_whole_calls(text: &str, is_bare: bool, is_whole: bool) -> usize {
    let end = || {
        let (begin, period) = (!is_whole).then(|| repetition(text))??;
        let repeated = text.get(begin..)?;
        let first = begin + if is_bare { repeated.find('{')? } else { first_opener(repeated)?.0 };
        let times = (text.len() - first) / period;
        (times >= MOST_SAME_CALLS).then_some(first + times * period).filter(|end| text.is_char_boundary(*end))
    };
    end().unwrap_or(text.len())
}

/// The calls with which thinking ends, if nothing follows it (Qwen 3.5: ollama/ollama#10976). They begin a line: within one the
/// model thinks about them.
pub(super) fn calls_in_thinking(thinking: &str, tools: &[Tool]) -> Vec<ToolCall> {
    let trailing = trailing_calls(thinking, Prose::default(), tools, true);
    let begins_line =
        |at: usize| thinking[..at].trim_end_matches(' ').is_empty() || thinking[..at].trim_end_matches(' ').ends_with('\n');
    trailing.filter(|(at, _)| begins_line(*at)).map(|(_, calls)| calls).unwrap_or_default()
}

fn read<'t>(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let (_, read) = FAMILIES.iter().find(|(openers, _)| openers.contains(&opener))?;
    read(opener, after, tools, is_whole)
}

/// An argument that was written without quotes, as its schema wants it.
fn typed(tools: &[Tool], tool: &str, key: &str, value: &str) -> Value {
    let schema = tools.iter().find(|known| known.name == tool).map(|tool| &tool.schema["properties"][key]);
    let parsed = if schema.is_none_or(takes_text) { None } else { serde_json::from_str(value.trim()).ok() };
    parsed.unwrap_or_else(|| value.into())
}

/// Whether a value of this schema may be text. Without a type it may be anything.
fn takes_text(schema: &Value) -> bool {
    let either = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten().collect::<Vec<_>>();
    match &schema["type"] {
        Value::String(kind) => kind == "string",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
        _ => either.is_empty() || either.into_iter().any(takes_text),
    }
}

/// A call that has a name at least.
fn unreadable(text: &str, tools: &[Tool]) -> Option<ToolCall> {
    let name =
        text.split_once("\"name\"")?.1.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split('"').next()?;
    Some(ToolCall { name: offered_name(tools, name), arguments: Err(text.trim().into()) })
}

#[cfg(test)]
mod family_tests;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
