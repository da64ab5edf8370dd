//! The local server's answer, made into the pieces that the Messages API knows.

use serde_json::Value;

use crate::completions::chunk::Usage;
use crate::completions::circles::{CUT, Circling, without_circle};
use crate::completions::content::Part;
use crate::completions::failure::CompletionError;
use crate::completions::reader::Reader;
use crate::completions::tool::ToolCall;
use crate::gateway::flood;
use crate::gateway::message::{End, Piece, Sink};
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::stop_sequence::StopSequences;
use crate::gateway::summary;

/// Reads an answer as it comes.
pub(crate) struct Reply<'a> {
    request: &'a MessagesRequest,
    reader: Reader<'a>,
    stop: StopSequences<'a>,
    has_content: bool,
    /// The text of an answer that has to be a call, or of a summary. With a call it is dropped: the API gives none then.
    held: String,
}

/// How an answer ended.
#[derive(Debug)]
pub(crate) enum ReplyEnd {
    /// Whole.
    Ended(End, Learned),
    /// With calls that cannot be made, or without the one that it has to make; the model is told so.
    Faulty {
        calls: Vec<UnmadeCall>,
        /// The calls as they stood in the text, if they did, or what came in place of a call.
        text: Option<String>,
        usage: Usage,
    },
    /// Empty, cut off or refused.
    Failed(CompletionError),
}

/// What an answer tells of its model.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// A control token that no dialect knows.
    pub unknown_markup: Option<String>,
    /// Whether it began with thinking without its opening mark. None if it does not tell.
    pub thinks_unopened: Option<bool>,
}

/// A call that was not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnmadeCall {
    pub name: String,
    /// None if they cannot be read.
    pub arguments: Option<String>,
    /// For the model.
    pub reason: String,
}

impl<'a> Reply<'a> {
    /// `thinks_unopened`: see [`Reader::new`].
    pub(crate) fn new(request: &'a MessagesRequest, thinks_unopened: Option<bool>) -> Reply<'a> {
        let reader = Reader::new(request.callable(), thinks_unopened);
        Reply { request, reader, stop: StopSequences::new(&request.stop), has_content: false, held: String::new() }
    }

    pub(crate) fn wants_more(&self) -> bool {
        self.reader.wants_more() && self.stop.found.is_none()
    }

    pub(crate) fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let mut parts = Vec::new();
        self.reader.push(bytes, &mut parts);
        self.pass_on(parts, sink);
    }

    /// Takes an answer that came in one piece, although a stream was asked for.
    pub(crate) fn push_whole(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let mut parts = Vec::new();
        self.reader.push_whole(bytes, &mut parts);
        self.pass_on(parts, sink);
    }

    /// The server's answer has ended, with `broken` if not well.
    pub(crate) fn end(&mut self, broken: Option<CompletionError>, sink: &mut dyn Sink) -> ReplyEnd {
        let mut parts = Vec::new();
        let outcome = self.reader.end(broken, &mut parts);
        self.pass_on(parts, sink);
        let rest = self.stop.finish();
        self.text(rest, sink);
        let circling = outcome.as_ref().ok().and_then(|ended| ended.circling);
        if circling == Some(Circling::InText) && self.stop.found.is_none() {
            self.held.truncate(without_circle(&self.held).len());
            if !self.request.is_summary {
                let note = if self.has_content || !self.held.is_empty() { CUT } else { CUT.trim_start() };
                self.text(note.into(), sink);
            }
        }
        // What follows a stop sequence does not count, and nothing is missing.
        let (outcome, is_stopped) = match (outcome, self.stop.found.is_some()) {
            (Ok(ended), is_stopped) => (Some(ended), is_stopped),
            (Err(_), true) => (None, true),
            (Err(failure), false) => return ReplyEnd::Failed(failure),
        };
        let is_cut = outcome.as_ref().is_some_and(|ended| ended.is_cut_by_limit());
        let pieces = outcome.as_ref().map_or(0, |ended| ended.pieces);
        let counted = || Usage { input: shrink::estimate(self.request) as u64, cached: 0, output: pieces };
        let usage = outcome.as_ref().and_then(|ended| ended.usage).unwrap_or_else(counted);
        let (mut calls, mut text, mut finish, mut learned) = (vec![], None, None, Learned::default());
        if let Some(ended) = outcome {
            learned = Learned { unknown_markup: ended.unknown_markup, thinks_unopened: ended.thinks_unopened };
            if !is_stopped {
                (calls, text, finish) = (ended.calls, ended.calls_text, ended.finish);
            }
        }
        if self.request.is_summary {
            return self.end_summary(is_cut, usage, learned, sink);
        }
        if !self.request.in_parallel {
            // Few servers keep to it: mlx-lm 0.32.2 does not read `parallel_tool_calls`.
            calls.truncate(1);
        }
        flood::stem(&mut calls, is_cut || circling.is_some());
        if calls.iter().any(|call| call.arguments.is_err()) {
            return ReplyEnd::Faulty {
                calls: calls.into_iter().map(|call| self.unmade(call, is_cut, circling)).collect(),
                text,
                usage,
            };
        }
        let has_calls = !calls.is_empty();
        let is_text_alone = !has_calls && !is_stopped && !is_cut && !self.held.trim().is_empty();
        if is_text_alone && finish.as_deref() != Some("content_filter") {
            return ReplyEnd::Faulty { calls: vec![], text: Some(std::mem::take(&mut self.held)), usage };
        }
        if !has_calls && !self.held.trim().is_empty() {
            self.has_content = true;
            sink.piece(Piece::Text(std::mem::take(&mut self.held)));
        }
        for call in calls {
            self.tell(call, sink);
        }
        if !self.has_content && !is_stopped {
            return ReplyEnd::Failed(CompletionError::Empty { is_cut_by_limit: is_cut });
        }
        let reason = match finish.as_deref() {
            _ if is_stopped => "stop_sequence",
            _ if has_calls => "tool_use",
            Some("length") => "max_tokens",
            Some("content_filter") => "refusal",
            _ => "end_turn",
        };
        ReplyEnd::Ended(End { reason, sequence: self.stop.found.map(str::to_string), usage }, learned)
    }

    /// One that is cut off is better than none. Claude Code makes no call in its place.
    fn end_summary(&mut self, is_cut: bool, usage: Usage, learned: Learned, sink: &mut dyn Sink) -> ReplyEnd {
        let summary = summary::marked(&self.held);
        if summary.is_empty() {
            return ReplyEnd::Failed(CompletionError::Empty { is_cut_by_limit: is_cut });
        }
        sink.piece(Piece::Text(summary));
        ReplyEnd::Ended(End { reason: "end_turn", sequence: None, usage }, learned)
    }

    fn pass_on(&mut self, parts: Vec<Part>, sink: &mut dyn Sink) {
        for part in parts {
            match part {
                Part::Text(text) => {
                    let certain = self.stop.push(&text);
                    self.text(certain, sink);
                }
                Part::Thinking(thinking) if self.request.shows_thinking => sink.piece(Piece::Thinking(thinking)),
                Part::Thinking(_) => {}
            }
        }
    }

    fn text(&mut self, text: String, sink: &mut dyn Sink) {
        if self.request.must_call() || self.request.is_summary {
            self.held.push_str(&text);
            return;
        }
        // White space alone is no answer, and the API takes no such block back.
        if !text.is_empty() && (self.has_content || !text.trim().is_empty()) {
            self.has_content = true;
            sink.piece(Piece::Text(text));
        }
    }

    /// A call that was cut off is never made: half a command is another command.
    fn unmade(&self, call: ToolCall, is_cut: bool, circling: Option<Circling>) -> UnmadeCall {
        let ToolCall { name, arguments } = call;
        match arguments {
            Ok(arguments) => UnmadeCall {
                name,
                arguments: Some(Value::from(arguments).to_string()),
                reason: "Error: not made, since another call of the same answer could not be read. Make it again".into(),
            },
            Err(text) => {
                const MOST_QUOTED: usize = 500;
                let written: String = text.chars().take(MOST_QUOTED).collect();
                let what = match is_cut {
                    _ if circling.is_some() => "the call was cut off, since its arguments repeat the same again and again".into(),
                    true => format!(
                        "the call was cut off, since an answer has at most {} tokens. Make smaller calls",
                        self.request.max_tokens
                    ),
                    false => "the arguments are not a JSON object. Make the call again with valid JSON".into(),
                };
                UnmadeCall {
                    name,
                    arguments: None,
                    reason: format!("Error: not made: {what}. These were the arguments: {written}"),
                }
            }
        }
    }

    fn tell(&mut self, call: ToolCall, sink: &mut dyn Sink) {
        if let Ok(arguments) = call.arguments {
            self.has_content = true;
            sink.piece(Piece::Call { name: call.name, arguments: Value::from(arguments).to_string() });
        }
    }
}

#[cfg(test)]
mod tests;
