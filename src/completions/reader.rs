//! An answer of the local server, read as it comes: for the plain answer and for the gateway.

use crate::completions::chunk::{Chunk, Usage};
use crate::completions::circles::{Circling, Watch, without_circle};
use crate::completions::content::{Content, Part};
use crate::completions::dialect::{calls_in_thinking, read_arguments};
use crate::completions::ended::Ended;
use crate::completions::failure::{CompletionError, in_stream};
use crate::completions::markup::UnknownMarkup;
use crate::completions::sse::{Parser, Said};
use crate::completions::streamed_calls::StreamedCalls;
use crate::completions::thinking::{is_past_closing_mark, split_unopened};
use crate::completions::tool::{Tool, ToolCall, offered_name};

/// In bytes: more than any answer needs. A server may pass over `max_tokens`.
pub(crate) const MAX_ANSWER: usize = 64 << 20;

/// Reads the bytes of an answer, split anywhere.
pub(crate) struct Reader<'t> {
    tools: &'t [Tool],
    parser: Parser,
    content: Content<'t>,
    calls: StreamedCalls<'t>,
    markup: UnknownMarkup,
    circles: Watch,
    /// The text so far, while it may be thinking whose opening mark the template has written.
    held: Option<String>,
    thinks_unopened: Option<bool>,
    /// What was given of the text, if nothing was held back.
    shown: Option<String>,
    thought: String,
    finish: Option<String>,
    usage: Option<Usage>,
    pieces: u64,
    length: usize,
    is_done: bool,
    /// Whether the text is not blank.
    has_text: bool,
    /// Whether the stream begins as HTML or JSON does. None before its first byte.
    is_foreign: Option<bool>,
    has_choices: bool,
    error: Option<Fault>,
}

const NO_COMPLETION: &str = "what the server sent is no chat completion: check LOCAL_LLM_URL";

enum Fault {
    /// The server's error, in place of an answer or of its rest.
    Server(serde_json::Value),
    /// The bytes are not a stream of chat completions.
    Stream(&'static str),
}

impl<'t> Reader<'t> {
    /// For an answer that may call `tools`. `thinks_unopened`: whether the model's answers begin with thinking that has no
    /// opening mark. Only if they do not, text is given before the answer's end.
    pub(crate) fn new(tools: &'t [Tool], thinks_unopened: Option<bool>) -> Reader<'t> {
        Reader {
            tools,
            parser: Parser::default(),
            content: Content::new(tools),
            calls: StreamedCalls::new(tools),
            markup: UnknownMarkup::default(),
            circles: Watch::default(),
            held: (thinks_unopened != Some(false)).then(String::new),
            thinks_unopened,
            shown: (thinks_unopened == Some(false)).then(String::new),
            thought: String::new(),
            finish: None,
            usage: None,
            pieces: 0,
            length: 0,
            is_done: false,
            has_text: false,
            is_foreign: None,
            has_choices: false,
            error: None,
        }
    }

    /// False once the answer has ended, has failed or runs in circles.
    pub(crate) fn wants_more(&self) -> bool {
        !self.is_done && self.error.is_none() && self.circles.found.is_none()
    }

    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<Part>) {
        let first = bytes.trim_ascii_start().first();
        self.is_foreign = self.is_foreign.or(first.map(|byte| matches!(byte, b'<' | b'{' | b'[')));
        let mut parser = std::mem::take(&mut self.parser);
        let pushed = parser.push(bytes, |said| self.take(said, false, out));
        self.is_done |= pushed.is_err();
        if pushed.is_err() && self.finish.is_none() {
            self.error = Some(Fault::Stream("a line of the stream does not end"));
        }
        self.parser = parser;
    }

    /// Takes an answer that came in one piece, although a stream was asked for.
    pub(crate) fn push_whole(&mut self, bytes: &[u8], out: &mut Vec<Part>) {
        if Chunk::read(bytes, |chunk| self.chunk(chunk, out)).is_err() {
            self.error = Some(Fault::Stream("the answer is not the JSON of a chat completion"));
        } else if self.error.is_none() && !self.has_choices {
            self.error = Some(Fault::Stream(NO_COMPLETION));
        }
        self.is_done = true;
    }

    /// The connection has ended, with `broken` if it did not end well.
    ///
    /// # Errors
    /// The server's error, or `broken`, or that the answer is not whole. Servers differ in how they say that it is: with a
    /// `finish_reason` (TGI: huggingface/text-generation-inference#1896) or with `[DONE]`. What comes after that is not missed.
    pub(crate) fn end(&mut self, broken: Option<CompletionError>, out: &mut Vec<Part>) -> Result<Ended, CompletionError> {
        let mut parser = std::mem::take(&mut self.parser);
        parser.finish(|said| self.take(said, true, out));
        let mut circling = self.circles.found;
        let is_whole = self.is_done || self.finish.is_some() || circling.is_some();
        let failure = match self.error.take() {
            Some(Fault::Server(error)) => Some(in_stream(&error, self.length == 0)),
            Some(Fault::Stream(reason)) => Some(cut(reason)),
            None if is_whole => None,
            None if self.is_foreign == Some(true) && broken.is_none() => Some(cut(NO_COMPLETION)),
            None => Some(broken.unwrap_or_else(|| cut("the stream ended before its end"))),
        };
        if circling == Some(Circling::InCall) {
            self.finish = Some("length".into());
        }
        let is_cut = self.finish.as_deref() == Some("length") || circling.is_some();
        if let Some(held) = self.held.as_mut().filter(|_| circling.is_some()) {
            held.truncate(without_circle(held).len());
        }
        let reported = self.calls.take();
        let begun = out.len();
        self.release(true, is_cut, out);
        let may_call = reported.is_empty() && failure.is_none();
        let (calls, calls_text) = self.content.finish(!is_cut, may_call, out).unzip();
        self.note(begun, out);
        if self.shown.take().is_some_and(|shown| split_unopened(&shown, Some(false)).is_some()) {
            self.thinks_unopened = Some(true);
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let mut calls: Vec<ToolCall> = calls.unwrap_or_default();
        calls.extend(reported.into_iter().map(|call| {
            // The arguments of a call that was cut off may not have begun.
            let is_missing = is_cut && call.arguments.trim().is_empty();
            let arguments = if is_missing { Err(String::new()) } else { read_arguments(&call.arguments) };
            ToolCall { name: offered_name(self.tools, &call.name), arguments }
        }));
        if calls.is_empty() && !self.has_text && !is_cut {
            calls = calls_in_thinking(&self.thought, self.tools);
        }
        if calls.is_empty() && circling.is_none() && is_cut && self.circles.is_circling_at_limit() {
            (circling, self.finish) = (Some(Circling::InText), None);
        }
        Ok(Ended {
            calls,
            calls_text,
            finish: self.finish.take(),
            usage: self.usage,
            pieces: self.pieces,
            unknown_markup: self.markup.take(),
            thinks_unopened: self.thinks_unopened,
            circling,
        })
    }

    fn take(&mut self, said: Said, may_be_cut: bool, out: &mut Vec<Part>) -> bool {
        let Said::Event(data) = said else {
            // Only its counts may follow a whole answer, and a server may say for ever that it is there.
            self.is_done |= self.finish.is_some();
            return self.wants_more();
        };
        let is_read = self.read_event(data, out)
            // No blank line stands between the events of some servers.
            || memchr::memchr(b'\n', data).is_some() && data.split(|byte| *byte == b'\n').all(|line| self.read_event(line, out));
        // An event that the stream's end has cut in two is no error of its own: the missing end is. Nor is one behind a whole answer.
        if !is_read && !may_be_cut && self.finish.is_none() {
            self.error = Some(Fault::Stream("an event is not the JSON of a chat completion"));
        }
        self.wants_more()
    }

    fn read_event(&mut self, data: &[u8], out: &mut Vec<Part>) -> bool {
        let data = data.trim_ascii();
        self.is_done |= data == b"[DONE]";
        data.is_empty() || data == b"[DONE]" || Chunk::read(data, |chunk| self.chunk(chunk, out)).is_ok()
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut Vec<Part>) {
        if let Some(error) = chunk.error() {
            self.error = Some(Fault::Server(error));
        }
        self.usage = chunk.usage().or(self.usage);
        self.has_choices |= chunk.has_choices();
        let Some(choice) = chunk.choice() else { return };
        let begun = out.len();
        if let Some(thinking) = choice.thinking().filter(|thinking| !thinking.is_empty()) {
            // This server tells thinking from text.
            self.grow(thinking.len());
            self.release(false, false, out);
            out.push(Part::Thinking(thinking));
        }
        if let Some(text) = choice.text() {
            self.grow(text.len());
            self.text(&text, out);
        }
        self.note(begun, out);
        let pieces = choice.calls();
        self.grow(pieces.iter().map(|piece| piece.arguments.len()).sum());
        pieces.iter().for_each(|piece| self.circles.push_call(&piece.arguments));
        self.calls.push(pieces);
        if self.calls.has_too_many_of_last() {
            self.circles.note_same_calls();
        }
        if let Some(reason) = choice.finish_reason() {
            self.finish = Some(reason.into());
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<Part>) {
        if !self.tools.is_empty() {
            // A call may stand in it.
            self.circles.push_call(text);
        }
        let Some(held) = &mut self.held else { return self.content.push(text, out) };
        let begun = held.len();
        held.push_str(text);
        self.circles.push_held(text, || {
            let mut content = Content::new(self.tools);
            content.push(held, &mut Vec::new());
            2 * content.withheld() < held.len()
        });
        const LONGEST_OPENING: usize = 1000;
        if held.len() < LONGEST_OPENING && Content::opens_thinking(held) == Some(true) {
            self.release(false, false, out);
        } else if self.thinks_unopened == Some(true)
            && is_past_closing_mark(held, begun)
            && split_unopened(held, Some(true)).is_some()
        {
            // What follows the thinking of a model that is known to think so is the answer.
            self.release(true, false, out);
        }
    }

    /// Gives what was held back. `is_end`: all of the text has come.
    fn release(&mut self, is_end: bool, is_cut: bool, out: &mut Vec<Part>) {
        let Some(held) = self.held.take() else { return };
        let split = if is_end { split_unopened(&held, self.thinks_unopened) } else { None };
        if is_end && !is_cut && !held.trim().is_empty() {
            self.thinks_unopened = Some(split.is_some());
        }
        let answer = match split {
            Some((thinking, answer)) => {
                out.extend((!thinking.is_empty()).then(|| Part::Thinking(thinking.into())));
                answer
            }
            // A model that thinks so has not come to its answer.
            None if is_end && is_cut && self.thinks_unopened == Some(true) => return out.push(Part::Thinking(held)),
            None => &held,
        };
        self.content.push(answer, out);
    }

    /// Looks at what is given from `begun` on.
    fn note(&mut self, begun: usize, out: &[Part]) {
        for part in &out[begun..] {
            let (Part::Text(text) | Part::Thinking(text)) = part;
            self.circles.push_given(text);
            match part {
                Part::Text(text) => {
                    self.has_text |= !text.trim().is_empty();
                    self.markup.push(text);
                    if let Some(shown) = &mut self.shown {
                        shown.push_str(text);
                    }
                }
                Part::Thinking(thinking) if !self.tools.is_empty() => self.thought.push_str(thinking),
                Part::Thinking(_) => {}
            }
        }
    }

    fn grow(&mut self, length: usize) {
        self.pieces += u64::from(length > 0);
        self.length += length;
        if self.length > MAX_ANSWER {
            self.error = Some(Fault::Stream("it does not end"));
        }
    }
}

fn cut(reason: impl Into<String>) -> CompletionError {
    CompletionError::Cut { reason: reason.into(), partial: String::new() }
}

#[cfg(test)]
mod tests;
