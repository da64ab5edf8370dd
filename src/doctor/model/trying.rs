//! What is tried at this moment, on a terminal: a slow model takes a while for each trial.

use std::io::{self, IsTerminal};

use crate::shown::shown;
use crate::stderr;

pub(super) fn show(what: &'static str) {
    if io::stderr().is_terminal() && !stderr::is_silent() {
        stderr::rewrite(&shown!("trying the local model: {what} …"));
    }
}

/// Before a line is printed.
pub(super) fn clear() {
    if io::stderr().is_terminal() && !stderr::is_silent() {
        stderr::clear_line();
    }
}
