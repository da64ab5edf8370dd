//! The line on stderr while the local server starts.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::error::say;
use crate::server::Server;
use crate::shown::{Shown, shown};
use crate::stderr;

/// Prints one line; on a terminal it counts the seconds too, those that are left if an earlier start has shown how many it takes.
pub(crate) struct StartProgress {
    line: Option<Shown>,
    expected: Option<Duration>,
    last: Option<u64>,
    is_terminal: bool,
}

impl StartProgress {
    pub(crate) fn new(applet: &str, server: &Server, is_quiet: bool) -> StartProgress {
        let line = shown!("{applet}: waiting for the local server to start (port {}) …", server.endpoint().port());
        StartProgress {
            line: (!is_quiet && !stderr::is_silent()).then_some(line),
            expected: server.last_load(),
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
                stderr::rewrite(&shown!("{line} {}", time(elapsed, self.expected)));
            }
            _ => {}
        }
        self.last = Some(seconds);
    }

    pub(crate) fn clear(&mut self) {
        if self.last.take().is_some() && self.is_terminal {
            stderr::clear_line();
        }
    }
}

impl Drop for StartProgress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The seconds that have gone and, unless it takes longer this time, those that are left.
fn time(elapsed: Duration, expected: Option<Duration>) -> String {
    let left = expected.map(|expected| expected.as_secs().saturating_sub(elapsed.as_secs())).filter(|left| *left > 0);
    let gone = elapsed.as_secs();
    left.map_or_else(|| format!("{gone} s"), |left| format!("{gone} s, about {left} s left"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_shown_as_long_as_it_is_known() {
        for (elapsed, expected, said) in [
            (3, None, "3 s"),
            (3, Some(12), "3 s, about 9 s left"),
            (11, Some(12), "11 s, about 1 s left"),
            (12, Some(12), "12 s"),
            (40, Some(12), "40 s"),
        ] {
            assert_eq!(time(Duration::from_secs(elapsed), expected.map(Duration::from_secs)), said);
        }
    }
}
