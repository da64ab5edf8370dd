//! Harmony of which a server has taken away the marks: `analysisWe think.assistantfinalHello`.

use super::Part;
use super::call::arguments;
use super::header::offered;
use crate::completions::dialect::json::read_json;
use crate::completions::tool::{Tool, ToolCall};

const FINAL: &str = "assistantfinal";
const COMMENTARY: &str = "assistantcommentary";
const ANALYSIS: &str = "assistantanalysis";

/// Gives text only from where the channel `final` begins: nothing before that tells thinking from the name of something.
#[derive(Default)]
pub(super) struct Unmarked {
    withheld: String,
    searched: usize,
    stage: Stage,
}

#[derive(Default, PartialEq)]
enum Stage {
    #[default]
    Thinking,
    /// A message that may be a call: all is read at the end.
    Commentary,
    Final,
}

impl Unmarked {
    pub(super) fn push(&mut self, text: &str) -> Vec<Part> {
        if self.stage == Stage::Final {
            return text_part(text);
        }
        self.withheld.push_str(text);
        if self.stage == Stage::Commentary {
            return Vec::new();
        }
        if self.searched == 0 && !self.withheld.starts_with("analysis") && !self.withheld.starts_with(ANALYSIS) {
            self.stage = Stage::Commentary;
            return Vec::new();
        }
        let from = self.searched;
        self.searched = before_mark(&self.withheld);
        match first_mark(&self.withheld[from..], &[FINAL, COMMENTARY]) {
            Some((at, FINAL)) => {
                self.stage = Stage::Final;
                let withheld = std::mem::take(&mut self.withheld);
                let (thinking, rest) = withheld.split_at(from + at);
                let thinking = thinking.strip_prefix("assistant").unwrap_or(thinking);
                let mut parts = vec![Part::Thinking(thinking.strip_prefix("analysis").unwrap_or(thinking).into())];
                parts.extend(text_part(&rest[FINAL.len()..]));
                parts
            }
            Some((at, COMMENTARY)) => {
                self.searched = from + at;
                self.stage = Stage::Commentary;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn finish(&mut self, tools: &[Tool], is_whole: bool) -> Vec<Part> {
        let withheld = std::mem::take(&mut self.withheld);
        match self.stage {
            Stage::Final => Vec::new(),
            // No other channel came: it was a text that begins so.
            Stage::Thinking => text_part(&withheld),
            Stage::Commentary => sections(&withheld, tools, is_whole),
        }
    }
}

fn sections(text: &str, tools: &[Tool], is_whole: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text.strip_prefix("assistant").unwrap_or(text);
    while !rest.is_empty() {
        let end = first_mark(rest, &[FINAL, COMMENTARY, ANALYSIS]).map_or(rest.len(), |(at, _)| at);
        if let Some(text) = rest.strip_prefix("final") {
            parts.extend(text_part(text));
            break;
        } else if let Some(thinking) = rest[..end].strip_prefix("analysis") {
            parts.push(Part::Thinking(thinking.into()));
            rest = &rest[end..];
        } else {
            let message = rest.strip_prefix("commentary").unwrap_or(rest);
            let end = end - (rest.len() - message.len()).min(end);
            let (part, left) = commentary(message, end, tools, is_whole);
            parts.extend(Some(part).filter(|part| *part != Part::Text(String::new())));
            rest = left;
        }
        rest = rest.strip_prefix("assistant").unwrap_or(rest);
    }
    parts
}

/// A message up to `end`, or up to where its arguments end.
fn commentary<'t>(message: &'t str, end: usize, tools: &[Tool], is_whole: bool) -> (Part, &'t str) {
    let (message, left) = message.split_at(end);
    let as_text = (Part::Text(message.trim_start().into()), left);
    let Some(brace) = message.find('{').filter(|_| message.trim_start().starts_with("to=")) else { return as_text };
    let (header, raw) = message.split_at(brace);
    let name = header.trim_start().trim_start_matches("to=").split_whitespace().next().unwrap_or_default();
    let Some(name) = offered(name, tools) else { return as_text };
    let is_whole = is_whole || !left.is_empty();
    match read_json(raw, is_whole) {
        // Text goes on behind it: the call was quoted.
        Some((_, rest)) if !rest.trim().is_empty() => as_text,
        _ => (Part::Call { raw: raw.into(), call: ToolCall { name, arguments: arguments(raw, is_whole) } }, left),
    }
}

/// The first place where another channel begins.
fn first_mark(text: &str, marks: &[&'static str]) -> Option<(usize, &'static str)> {
    text.match_indices("assistant").find_map(|(at, _)| Some((at, *marks.iter().find(|mark| text[at..].starts_with(**mark))?)))
}

/// Where a mark may have begun that is not there as a whole.
fn before_mark(text: &str) -> usize {
    (text.len().saturating_sub(COMMENTARY.len())..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

fn text_part(text: &str) -> Vec<Part> {
    if text.is_empty() { Vec::new() } else { vec![Part::Text(text.into())] }
}
