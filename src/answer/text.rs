//! The text format: on a terminal the answer appears as it comes, elsewhere it is written when it is whole.

use std::io::{self, Write};

use crate::context::Context;
use crate::error::{Error, Result};

/// Where the answer goes.
pub struct Output {
    is_terminal: bool,
    shown: String,
}

impl Output {
    /// Stdout, as it is.
    pub fn new(context: &Context) -> Output {
        Output { is_terminal: context.stdout_is_terminal(), shown: String::new() }
    }

    /// Takes a piece of the answer.
    pub fn show(&mut self, piece: &str) {
        if self.is_terminal {
            let piece = harmless(piece);
            self.shown.push_str(&piece);
            let _ = write(&piece);
        }
    }

    /// Writes what of the whole answer is not yet there, and a newline if it does not end with one.
    ///
    /// # Errors
    /// If stdout takes it not. A closed pipe is not an error: the real CLI, too, ends well and silently then.
    pub fn finish(&mut self, answer: &str) -> Result<()> {
        if self.is_terminal {
            self.end_line();
            return Ok(());
        }
        let newline = if answer.ends_with('\n') { "" } else { "\n" };
        match write(&format!("{answer}{newline}")) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::file("write", "stdout")(error)),
            _ => Ok(()),
        }
    }

    /// Ends the last line on a terminal, so that what follows stands on its own.
    pub fn end_line(&mut self) {
        if !self.shown.is_empty() && !self.shown.ends_with('\n') {
            self.show("\n");
        }
    }

    /// The same error, with the part of an answer that it carries fit for stderr, and less what is on the terminal already.
    pub fn with_what_was_not_shown(&self, error: Error) -> Error {
        match error {
            Error::CutAnswer { reason, .. } if self.is_terminal => Error::CutAnswer { reason, partial: String::new() },
            Error::CutAnswer { reason, partial } => Error::CutAnswer { reason, partial: harmless(&partial) },
            other => other,
        }
    }
}

/// Without control characters: a model must not drive the terminal. The real CLI takes them out there, too.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
