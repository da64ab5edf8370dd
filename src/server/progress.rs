//! The line on stderr while the local server starts.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::error::say;
use crate::server::Server;
use crate::stderr;

/// Prints one line; on a terminal it counts the seconds too.
pub(crate) struct StartProgress {
    line: Option<String>,
    last: Option<u64>,
    is_terminal: bool,
}

impl StartProgress {
    pub(crate) fn new(applet: &str, server: &Server, is_quiet: bool) -> StartProgress {
        let line = format!("{applet}: waiting for the local server to start (port {}) …", server.endpoint().port());
        StartProgress {
            line: (!is_quiet && !stderr::is_silent()).then_some(line),
            last: None,
            is_terminal: io::stderr().is_terminal(),
        }
    }

    pub(crate) fn show(&mut self, elapsed: Duration) {
        let Some(line) = &self.line else { return };
        let seconds = elapsed.as_secs();
        match (self.is_terminal, self.last) {
            (false, None) => say(line),
            (true, last) if last != Some(seconds) => {
                let _ = write!(io::stderr(), "\r{line} {seconds} s");
            }
            _ => {}
        }
        self.last = Some(seconds);
    }

    pub(crate) fn clear(&mut self) {
        if self.last.take().is_some() && self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for StartProgress {
    fn drop(&mut self) {
        self.clear();
    }
}
