//! The terminal of this process.

use std::io::{self, Write};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// What a program that draws on the whole screen may leave on when it is killed: the alternate screen, reports of the mouse, of the focus
/// and of the colour scheme, pasting in brackets, keys in another encoding, a hidden cursor (xterm's control sequences).
const OFF: &str = "\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2031l\x1b[?2004l\x1b[<u\x1b[?25h";

/// The terminal's modes at a moment.
pub(crate) struct Modes(Option<Termios>);

impl Modes {
    pub(crate) fn now() -> Modes {
        Modes(tcgetattr(io::stdin()).ok())
    }

    /// Sets them again after a program that was killed.
    pub(crate) fn restore(&self) {
        // From the background the system would stop this process for it.
        let is_ours = tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        if let Some(modes) = self.0.as_ref().filter(|_| is_ours) {
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, modes);
            let _ = io::stdout().write_all(OFF.as_bytes()).and_then(|()| io::stdout().flush());
        }
    }
}
