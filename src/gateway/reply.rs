//! The local server's answer, made into the pieces that the Messages API knows.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::completions::chunk::Usage;
use crate::completions::chunk::{CallPiece, Chunk};
use crate::completions::dialect::{Found, Scanner, read_arguments};
use crate::completions::sse::Parser;
use crate::completions::thinking::Filter;
use crate::completions::tool::{ToolCall, offered_name};
use crate::gateway::message::{End, Piece, Sink};
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::stop_sequence::StopSequences;

/// In bytes: more than any answer needs.
pub(crate) const MAX_ANSWER: usize = 64 << 20;

/// Reads an answer as it comes.
pub(crate) struct Reply<'a> {
    request: &'a MessagesRequest,
    parser: Parser,
    filter: Filter,
    scanner: Scanner<'a>,
    stop: StopSequences<'a>,
    calls: BTreeMap<u64, PartialCall>,
    finish: Option<String>,
    usage: Option<Usage>,
    /// Chunks that were not empty: about as many as tokens.
    chunks: u64,
    length: usize,
    is_done: bool,
    has_content: bool,
    error: Option<String>,
}

#[derive(Default)]
struct PartialCall {
    name: String,
    arguments: String,
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReplyEnd {
    /// Whole.
    Ended(End),
    /// With calls that cannot be made; the model is told why.
    Faulty(Vec<UnmadeCall>, Usage),
    /// Empty. True if thinking used up the limit.
    Empty(bool),
    /// Cut off: the reason.
    Broken(String),
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
    pub(crate) fn new(request: &'a MessagesRequest) -> Reply<'a> {
        Reply {
            request,
            parser: Parser::default(),
            filter: Filter::default(),
            scanner: Scanner::new(request.callable()),
            stop: StopSequences::new(&request.stop),
            calls: BTreeMap::new(),
            finish: None,
            usage: None,
            chunks: 0,
            length: 0,
            is_done: false,
            has_content: false,
            error: None,
        }
    }

    pub(crate) fn wants_more(&self) -> bool {
        !self.is_done && self.error.is_none() && self.stop.found.is_none()
    }

    pub(crate) fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let mut parser = std::mem::take(&mut self.parser);
        if parser.push(bytes, |data| self.event(data, false, sink)).is_err() {
            self.error = Some("a line of the stream does not end".into());
        }
        self.parser = parser;
    }

    /// Takes an answer that came in one piece, although a stream was asked for.
    pub(crate) fn whole(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        if Chunk::read(bytes, |chunk| self.chunk(chunk, sink)).is_err() {
            self.error = Some("the answer is not the JSON of a chat completion".into());
        }
        self.is_done = true;
    }

    pub(crate) fn end(&mut self, sink: &mut dyn Sink) -> ReplyEnd {
        let mut parser = std::mem::take(&mut self.parser);
        parser.finish(|data| self.event(data, true, sink));
        if let Some(error) = self.error.take() {
            return ReplyEnd::Broken(error);
        }
        if self.stop.found.is_none() && !(self.is_done && self.finish.is_some()) {
            return ReplyEnd::Broken("the stream ended before its end".into());
        }
        let is_cut = self.finish.as_deref() == Some("length");
        let mut calls = if self.stop.found.is_some() { vec![] } else { self.finish_calls(is_cut, sink) };
        // It may stand in text that looked like a call. What follows it does not count.
        let is_stopped = self.stop.found.is_some();
        if is_stopped {
            calls.clear();
        }
        let counted = || Usage { input: shrink::estimate(self.request) as u64, cached: 0, output: self.chunks };
        let usage = self.usage.unwrap_or_else(counted);
        if calls.iter().any(|call| call.arguments.is_err()) {
            return ReplyEnd::Faulty(calls.into_iter().map(|call| self.unmade(call, is_cut)).collect(), usage);
        }
        let has_calls = !calls.is_empty();
        for call in calls {
            self.tell(call, sink);
        }
        if !self.has_content && !is_stopped {
            return ReplyEnd::Empty(is_cut);
        }
        let reason = match self.finish.as_deref() {
            _ if is_stopped => "stop_sequence",
            _ if has_calls => "tool_use",
            Some("length") => "max_tokens",
            Some("content_filter") => "refusal",
            _ => "end_turn",
        };
        ReplyEnd::Ended(End { reason, sequence: self.stop.found.map(str::to_string), usage })
    }

    fn event(&mut self, data: &[u8], may_be_cut: bool, sink: &mut dyn Sink) -> bool {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_done = true;
        } else if !data.is_empty() && Chunk::read(data, |chunk| self.chunk(chunk, sink)).is_err() && !may_be_cut {
            self.error = Some("an event is not the JSON of a chat completion".into());
        }
        self.wants_more()
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) {
        self.error = chunk.error().or(self.error.take());
        self.usage = chunk.usage().or(self.usage);
        let Some(choice) = chunk.choice() else { return };
        if let Some(thinking) = choice.thinking() {
            self.thinking(thinking, sink);
        }
        if let Some(text) = choice.text() {
            self.grow(text.len());
            let visible = self.filter.push(&text);
            let thought = self.filter.take_thinking();
            self.thinking(thought, sink);
            let plain = self.scanner.push(&visible);
            let certain = self.stop.push(&plain);
            self.text(certain, sink);
        }
        for piece in choice.calls() {
            self.call(piece);
        }
        self.finish = choice.finish_reason.or(self.finish.take());
    }

    fn grow(&mut self, length: usize) {
        self.chunks += u64::from(length > 0);
        self.length += length;
        if self.length > MAX_ANSWER {
            self.error = Some("it does not end".into());
        }
    }

    fn thinking(&mut self, thinking: String, sink: &mut dyn Sink) {
        self.grow(thinking.len());
        if self.request.shows_thinking && !thinking.is_empty() {
            sink.piece(Piece::Thinking(thinking));
        }
    }

    fn text(&mut self, text: String, sink: &mut dyn Sink) {
        // White space alone is no answer, and the API takes no such block back.
        if !text.is_empty() && (self.has_content || !text.trim().is_empty()) {
            self.has_content = true;
            sink.piece(Piece::Text(text));
        }
    }

    /// Some servers number the calls, some send each in one piece without a number.
    fn call(&mut self, piece: CallPiece) {
        let last = self.calls.last_key_value().map(|(index, _)| *index);
        let begins = piece.id.as_ref().is_some_and(|id| !id.is_empty());
        let index = piece.index.unwrap_or(match last {
            Some(last) if !begins => last,
            last => last.map_or(0, |last| last.saturating_add(1)),
        });
        let Some(function) = piece.function else { return };
        let arguments = match function.arguments {
            Some(Value::String(text)) => text,
            Some(value) if !value.is_null() => value.to_string(),
            _ => String::new(),
        };
        self.grow(arguments.len());
        let partial = self.calls.entry(index).or_default();
        // vLLM has been seen to repeat it.
        if let Some(name) = function.name.filter(|_| partial.name.is_empty()) {
            partial.name = name;
        }
        partial.arguments.push_str(&arguments);
    }

    /// The calls that the server has parsed, and those in the text.
    fn finish_calls(&mut self, is_cut: bool, sink: &mut dyn Sink) -> Vec<ToolCall> {
        let mut rest = self.filter.finish();
        let thought = self.filter.take_thinking();
        self.thinking(thought, sink);
        rest = self.scanner.push(&rest);
        let mut text = self.stop.push(&rest);
        let mut found = Vec::new();
        for part in self.scanner.finish(!is_cut) {
            match part {
                Found::Text(plain) => text += &self.stop.push(&plain),
                Found::Call(call) => found.push(call),
            }
        }
        text += &self.stop.finish();
        self.text(text, sink);
        let tools = &self.request.tools;
        let read = std::mem::take(&mut self.calls).into_values().filter(|call| !call.name.is_empty());
        found.extend(read.map(|PartialCall { name, arguments }| ToolCall {
            name: offered_name(tools, &name),
            arguments: read_arguments(&arguments),
        }));
        found
    }

    /// A call that was cut off is never made: half a command is another command.
    fn unmade(&self, call: ToolCall, is_cut: bool) -> UnmadeCall {
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
