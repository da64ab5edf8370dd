//! The messages of an answer in Harmony with its marks.

use super::Part;
use super::call::CallBody;
use super::header::{self, Channel, Header};
use super::lexer::{CHANNEL, CONSTRAIN, Lexeme, Lexer, MESSAGE, START};
use crate::completions::dialect::prose::Prose;
use crate::completions::tool::Tool;

pub(super) struct Messages<'a> {
    tools: &'a [Tool],
    lexer: Lexer,
    state: State,
    /// The channel of the last message that is no call.
    channel: Channel,
    /// A call that has ended. It counts only if a message or nothing follows: text that goes on has quoted it.
    call: Option<Part>,
    parts: Vec<Part>,
    is_paragraph_due: bool,
    has_text: bool,
}

enum State {
    Header(String),
    Thinking,
    /// `ends`: marks that ended the text if nothing follows, and are part of its code if something does.
    Text {
        prose: Prose,
        ends: String,
    },
    Call(CallBody),
    /// Behind a message, with what stands there.
    Between(String),
    /// What the model thinks that others say next.
    Imagined,
}

impl<'a> Messages<'a> {
    pub(super) fn new(tools: &'a [Tool]) -> Messages<'a> {
        Messages {
            tools,
            lexer: Lexer::default(),
            state: State::Header(String::new()),
            channel: Channel::Final,
            call: None,
            parts: Vec::new(),
            is_paragraph_due: false,
            has_text: false,
        }
    }

    pub(super) fn push(&mut self, text: &str) -> Vec<Part> {
        for lexeme in self.lexer.push(text) {
            self.take(lexeme);
        }
        std::mem::take(&mut self.parts)
    }

    pub(super) fn finish(&mut self, is_whole: bool) -> Vec<Part> {
        if let Some(lexeme) = self.lexer.finish() {
            self.take(lexeme);
        }
        match std::mem::replace(&mut self.state, State::Imagined) {
            State::Header(header) if is_whole => self.end_in_header(&header),
            State::Call(body) => self.call = Some(body.finish(is_whole)),
            State::Between(stray) => self.end_between(&stray),
            _ => {}
        }
        self.parts.extend(self.call.take());
        std::mem::take(&mut self.parts)
    }

    fn take(&mut self, lexeme: Lexeme) {
        let state = std::mem::replace(&mut self.state, State::Imagined);
        self.state = match (state, lexeme) {
            (State::Imagined, _) => State::Imagined,
            (State::Header(header), Lexeme::Text(text)) => State::Header(header + &text),
            (State::Header(header), Lexeme::Mark(mark)) => match mark {
                MESSAGE => self.open(&header),
                CHANNEL | CONSTRAIN => State::Header(header + mark),
                _ => {
                    self.end_in_header(&header);
                    if mark == START { State::Header(String::new()) } else { State::Between(String::new()) }
                }
            },
            (State::Thinking, Lexeme::Text(text)) => {
                self.push_part(Part::Thinking(text));
                State::Thinking
            }
            (State::Thinking, Lexeme::Mark(mark)) => self.behind(mark).unwrap_or(State::Thinking),
            (State::Text { mut prose, ends }, Lexeme::Text(text)) => {
                let text = ends + &text;
                prose.push(&text);
                self.push_text(text);
                State::Text { prose, ends: String::new() }
            }
            (State::Text { prose, mut ends }, Lexeme::Mark(mark)) if prose.is_shown() => {
                match mark {
                    "<|end|>" | "<|call|>" | "<|return|>" => ends.push_str(mark),
                    _ => self.push_text(std::mem::take(&mut ends) + mark),
                }
                State::Text { prose, ends }
            }
            (State::Text { prose, ends }, Lexeme::Mark(mark)) => self.behind(mark).unwrap_or(State::Text { prose, ends }),
            (State::Call(mut body), Lexeme::Text(text)) => {
                body.push(&text);
                State::Call(body)
            }
            (State::Call(mut body), Lexeme::Mark(mark)) if body.takes_mark() => {
                body.push(mark);
                State::Call(body)
            }
            (State::Call(body), Lexeme::Mark(mark)) => match self.behind(mark) {
                Some(next) => {
                    self.call = Some(body.finish(true));
                    next
                }
                None => State::Call(body),
            },
            (State::Between(stray), Lexeme::Text(text)) => State::Between(stray + &text),
            (State::Between(stray), Lexeme::Mark(mark)) => match mark {
                START => {
                    self.end_between(&stray);
                    State::Header(String::new())
                }
                CHANNEL | CONSTRAIN | MESSAGE => {
                    let header = if is_header(&stray) { stray } else { self.keep(stray) };
                    self.parts.extend(self.call.take());
                    if mark == MESSAGE { self.open(&header) } else { State::Header(header + mark) }
                }
                _ => State::Between(stray),
            },
        };
    }

    /// What comes behind a mark in a body. None: the body goes on, as the mark has nothing to say there.
    fn behind(&mut self, mark: &str) -> Option<State> {
        match mark {
            START => Some(State::Header(String::new())),
            CHANNEL => Some(State::Header(CHANNEL.into())),
            MESSAGE | CONSTRAIN => None,
            _ => Some(State::Between(String::new())),
        }
    }

    fn open(&mut self, header: &str) -> State {
        let header = header::read(header, self.tools);
        self.parts.extend(self.call.take());
        if header.tool.is_none() {
            self.channel = header.channel;
        }
        match (header.tool, header.channel) {
            _ if header.is_imagined => State::Imagined,
            (Some(tool), _) => State::Call(CallBody::new(tool)),
            (None, Channel::Thinking) => State::Thinking,
            (None, Channel::Final | Channel::Other) => {
                self.is_paragraph_due = self.has_text;
                State::Text { prose: Prose::default(), ends: String::new() }
            }
        }
    }

    /// A message without the mark before its body, or one that never came: models write junk into a header and begin anew.
    fn end_in_header(&mut self, header: &str) {
        let Header { channel, rest, .. } = header::read(header, self.tools);
        if rest.is_empty() {
            return;
        }
        match self.open(header) {
            State::Call(mut body) if rest.starts_with('{') => {
                body.push(rest);
                self.call = Some(body.finish(true));
            }
            State::Text { .. } if channel == Channel::Final => self.push_text(rest.into()),
            State::Imagined => {}
            _ => self.push_part(Part::Thinking(rest.into())),
        }
    }

    /// Behind a message came no other, or one with its own beginning.
    fn end_between(&mut self, stray: &str) {
        if !is_header(stray) {
            self.keep(stray.into());
        }
        self.parts.extend(self.call.take());
    }

    /// Text between messages belongs to the channel before it, and has quoted a call that it follows.
    fn keep(&mut self, stray: String) -> String {
        let quoted = match self.call.take() {
            Some(Part::Call { raw, .. }) => raw,
            _ => String::new(),
        };
        let text = quoted + &stray;
        match self.channel {
            Channel::Thinking => self.push_part(Part::Thinking(text)),
            Channel::Final | Channel::Other => self.push_text(text),
        }
        String::new()
    }

    fn push_text(&mut self, mut text: String) {
        if self.is_paragraph_due {
            let begun = text.trim_start();
            if begun.is_empty() {
                return;
            }
            text = format!("\n\n{begun}");
            self.is_paragraph_due = false;
        }
        self.has_text |= !text.is_empty();
        self.push_part(Part::Text(text));
    }

    fn push_part(&mut self, part: Part) {
        match (self.parts.last_mut(), part) {
            (_, Part::Text(text) | Part::Thinking(text)) if text.is_empty() => {}
            (Some(Part::Text(before)), Part::Text(text)) | (Some(Part::Thinking(before)), Part::Thinking(text)) => {
                before.push_str(&text);
            }
            (_, part) => self.parts.push(part),
        }
    }
}

/// Whether what stands between messages is white space, or the beginning of a header without `<|start|>`.
fn is_header(stray: &str) -> bool {
    let first = stray.split_whitespace().next().unwrap_or("assistant");
    first == "assistant" || first.starts_with("to=") || header::CHANNELS.contains(&first)
}
