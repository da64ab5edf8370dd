//! Stdout in the format that was asked for.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::os::blocking::Blocking;
use crate::shown::answer_on_terminal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    /// The result message alone.
    Json,
    /// All messages in one array.
    JsonArray,
    /// A message a line, as they come; with `partials`, the pieces of the answer too.
    StreamJson {
        partials: bool,
    },
}

/// Stdout. It gets whole lines only.
pub(crate) struct Output {
    format: Format,
    is_terminal: bool,
    buffer: Vec<u8>,
    /// The last character of the text that the terminal shows.
    last_shown: Option<char>,
    stdout: Option<Blocking>,
    fault: Option<io::Error>,
    /// Nothing is written while Claude may still answer instead.
    is_withheld: bool,
    on_release: Option<Box<dyn FnOnce() + Send>>,
}

impl Output {
    /// On a terminal, text appears as it comes.
    pub(crate) fn new(format: Format, is_terminal: bool) -> Output {
        let stdout = Blocking::new(io::stdout());
        let (stdout, fault) = stdout.map_or_else(|error| (None, Some(error)), |stdout| (Some(stdout), None));
        Output { format, is_terminal, buffer: Vec::new(), last_shown: None, stdout, fault, is_withheld: false, on_release: None }
    }

    /// Writes nothing until [`Output::release`], which calls `on_release` first.
    pub(crate) fn withhold(&mut self, on_release: Option<Box<dyn FnOnce() + Send>>) {
        self.is_withheld = true;
        self.on_release = on_release;
    }

    pub(crate) fn is_withheld(&self) -> bool {
        self.is_withheld
    }

    /// Lets the next flush write, since the local model answers.
    pub(crate) fn release(&mut self) {
        self.is_withheld = false;
        if let Some(on_release) = self.on_release.take() {
            on_release();
        }
    }

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

    /// Whether the answer's pieces are printed as they come, in any form.
    pub(crate) fn shows_pieces(&self) -> bool {
        self.shows_partials() || self.is_terminal && self.format == Format::Text
    }

    /// Buffers a message until the next [`Output::flush`].
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

    /// Writes a message at once, before the buffered ones: the answer to a control request must not wait for a turn.
    pub(crate) fn message_now(&mut self, message: &impl Serialize) {
        let buffered = std::mem::take(&mut self.buffer);
        self.message(message);
        let is_withheld = std::mem::replace(&mut self.is_withheld, false);
        self.flush();
        self.is_withheld = is_withheld;
        self.buffer = buffered;
    }

    /// Shows a piece of the answer's text on a terminal.
    pub(crate) fn text(&mut self, piece: &str) {
        if self.is_terminal && self.format == Format::Text {
            self.release();
            let piece = answer_on_terminal(piece);
            self.buffer.extend_from_slice(piece.as_bytes());
            self.last_shown = piece.chars().next_back().or(self.last_shown);
        }
    }

    /// Writes the message that ends a turn, or in text format `text`, unless the terminal shows it already (`is_shown`).
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
                    self.buffer.extend_from_slice(answer_on_terminal(text).as_bytes());
                }
            }
        }
        self.flush();
    }

    fn end_line(&mut self) {
        if self.last_shown.is_some_and(|last| last != '\n') {
            self.text("\n");
        }
    }

    /// Whether the terminal shows a part of the answer.
    pub(crate) fn has_shown(&self) -> bool {
        self.last_shown.is_some()
    }

    /// Writes the buffer, an array only when it is whole.
    pub(crate) fn flush(&mut self) {
        if self.is_withheld || self.buffer.is_empty() || self.format == Format::JsonArray && !self.buffer.ends_with(b"]\n") {
            return;
        }
        if let (Some(stdout), None) = (&mut self.stdout, &self.fault) {
            self.fault = stdout.write_all(&self.buffer).err();
        }
        self.buffer.clear();
    }

    /// # Errors
    /// If stdout could not be written. A closed pipe is no error: the answer goes on to its end, silently, as the real CLI's does.
    pub(crate) fn check_stdout(&mut self) -> Result<()> {
        match self.fault.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::system("write", "stdout")(error)),
            _ => Ok(()),
        }
    }

    fn append(&mut self, message: &impl Serialize) {
        let from = self.buffer.len();
        // This cannot fail: all our keys are strings, and a vector takes all bytes.
        let _ = serde_json::to_writer(&mut self.buffer, message);
        self.escape_separators(from);
    }

    /// Some readers of lines end a line at U+2028 or U+2029.
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
