//! Stdout in the format that was asked for.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::os::blocking::Blocking;

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The answer's text.
    Text,
    /// The result message.
    Json,
    /// All messages in one array.
    JsonArray,
    /// A message a line, as they come; with or without the answer's pieces.
    StreamJson {
        /// Whether the pieces are wanted too.
        partials: bool,
    },
}

/// Stdout. Lines reach it whole or not at all.
pub(crate) struct Output {
    format: Format,
    is_terminal: bool,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// The last character of the text on the terminal, if any is there.
    last_shown: Option<char>,
    stdout: Option<Blocking>,
    fault: Option<io::Error>,
    /// Whether nothing is written yet, since somebody else may answer.
    is_held: bool,
    on_release: Option<Box<dyn FnOnce() + Send>>,
}

impl Output {
    /// Stdout in `format`; on a terminal, text appears as it comes.
    pub(crate) fn new(format: Format, is_terminal: bool) -> Output {
        let stdout = Blocking::new(io::stdout());
        let (stdout, fault) = stdout.map_or_else(|error| (None, Some(error)), |stdout| (Some(stdout), None));
        Output { format, is_terminal, buffer: Vec::new(), last_shown: None, stdout, fault, is_held: false, on_release: None }
    }

    /// Writes nothing before [`Output::release`], which calls `on_release` first.
    pub(crate) fn hold(&mut self, on_release: Option<Box<dyn FnOnce() + Send>>) {
        self.is_held = true;
        self.on_release = on_release;
    }

    /// Whether nothing was written, and somebody else may still answer.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// From now on it is us who answer.
    pub(crate) fn release(&mut self) {
        self.is_held = false;
        if let Some(on_release) = self.on_release.take() {
            on_release();
        }
    }

    /// The format.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether messages other than the result are printed.
    pub(crate) fn shows_messages(&self) -> bool {
        matches!(self.format, Format::JsonArray | Format::StreamJson { .. })
    }

    /// Whether the answer's pieces are printed as messages.
    pub(crate) fn shows_partials(&self) -> bool {
        self.format == Format::StreamJson { partials: true }
    }

    /// Takes a message. It is written at the next [`Output::flush`].
    pub(crate) fn message(&mut self, message: &impl Serialize) {
        match self.format {
            Format::StreamJson { .. } => {
                self.append(message);
                self.buffer.push(b'\n');
            }
            Format::JsonArray => {
                self.buffer.push(if self.buffer.is_empty() { b'[' } else { b',' });
                self.append(message);
            }
            Format::Json | Format::Text => {}
        }
    }

    /// Writes a message at once, before all that waits: an answer to a request that must not wait for a turn.
    pub(crate) fn message_now(&mut self, message: &impl Serialize) {
        let waiting = std::mem::take(&mut self.buffer);
        self.message(message);
        let is_held = std::mem::replace(&mut self.is_held, false);
        self.flush();
        self.is_held = is_held;
        self.buffer = waiting;
    }

    /// Takes a piece of the answer's text, which a terminal shows at once.
    pub(crate) fn text(&mut self, piece: &str) {
        if self.is_terminal && self.format == Format::Text {
            self.release();
            let piece = strip_controls(piece);
            self.buffer.extend_from_slice(piece.as_bytes());
            self.last_shown = piece.chars().next_back().or(self.last_shown);
        }
    }

    /// Takes the message that ends a turn, and the text that stands for it in text format; unless that `is_shown` already.
    pub(crate) fn result(&mut self, message: &Value, text: &str, is_shown: bool) {
        match self.format {
            Format::StreamJson { .. } => self.message(message),
            Format::JsonArray => {
                self.message(message);
                self.buffer.extend_from_slice(b"]\n");
            }
            Format::Json => {
                self.append(message);
                self.buffer.push(b'\n');
            }
            Format::Text => {
                self.end_line();
                if !self.is_terminal {
                    self.buffer.extend_from_slice(text.as_bytes());
                } else if !is_shown {
                    self.buffer.extend_from_slice(strip_controls(text).as_bytes());
                }
            }
        }
        self.flush();
    }

    /// Ends the last line on a terminal, so that what follows stands on its own.
    fn end_line(&mut self) {
        if self.last_shown.is_some_and(|last| last != '\n') {
            self.text("\n");
        }
    }

    /// Whether a part of the answer is on the terminal already.
    pub(crate) fn has_shown(&self) -> bool {
        self.last_shown.is_some()
    }

    /// Writes what is not yet written. An array is written when it is whole.
    pub(crate) fn flush(&mut self) {
        if self.is_held || self.buffer.is_empty() || self.format == Format::JsonArray && !self.buffer.ends_with(b"]\n") {
            return;
        }
        if let (Some(stdout), None) = (&mut self.stdout, &self.fault) {
            self.fault = stdout.write_all(&self.buffer).err();
        }
        self.buffer.clear();
    }

    /// What went wrong with stdout, if anything. A closed pipe is nothing: the answer goes on to its end, silently, as the real
    /// CLI's does.
    ///
    /// # Errors
    /// If stdout took it not.
    pub(crate) fn outcome(&mut self) -> Result<()> {
        match self.fault.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::file("write", "stdout")(error)),
            _ => Ok(()),
        }
    }

    fn append(&mut self, message: &impl Serialize) {
        let from = self.buffer.len();
        // Our messages have no keys that are not strings, and a vector takes all.
        let _ = serde_json::to_writer(&mut self.buffer, message);
        self.escape_separators(from);
    }

    /// U+2028 and U+2029 end lines for some readers of lines.
    fn escape_separators(&mut self, from: usize) {
        let mut at = from;
        while let Some(found) = memchr::memmem::find(&self.buffer[at..], b"\xe2\x80") {
            at += found;
            let escape: &[u8] = match self.buffer.get(at + 2) {
                Some(0xa8) => b"\\u2028",
                Some(0xa9) => b"\\u2029",
                _ => {
                    at += 2;
                    continue;
                }
            };
            self.buffer.splice(at..at + 3, escape.iter().copied());
            at += escape.len();
        }
    }
}

/// Without control characters: a model must not drive the terminal. The real CLI takes them out there, too.
pub(crate) fn strip_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
