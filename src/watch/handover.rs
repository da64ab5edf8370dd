//! A session that somebody else goes on with.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::claude_code::protocol::line::Line;
use crate::os::exit::Exit;
use crate::os::guardian;
use crate::os::signals::Target;
use crate::stdin::Pump;
use crate::watch::process::Process;
use crate::watch::render::Renderer;
use crate::watch::{LAST_WORK, Watch};

impl Watch<'_> {
    /// Somebody else goes on with the session: ends it so that all of its transcript is written. Gives what another try needs,
    /// where the answer goes, and what is left to tell if nobody can go on.
    pub(crate) fn hand_over(mut self) -> (Process, Renderer, Left) {
        let begun = Instant::now();
        // It writes its transcript last, and ends by itself if it has said its last.
        while matches!(self.child.try_wait(), Ok(None))
            && begun.elapsed() < LAST_WORK
            && self.turn.evidence.result.is_some()
            && !self.listens
        {
            sleep(Duration::from_millis(5));
        }
        self.signals.keep_stopped(None);
        self.signals.give_to(Target::Us);
        let pid = self.pid();
        let child = std::cell::RefCell::new(&mut self.child);
        guardian::terminate(pid, || matches!(child.borrow_mut().try_wait(), Ok(None)));
        let status = self.child.wait().ok();
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
        let exit = match status.map(Exit::of_child) {
            // It was ended here.
            Some(Exit::Code(code)) => Exit::Code(code.max(1)),
            _ => Exit::Code(1),
        };
        let members = (self.answers + self.members).max(self.turn.heard) - self.answers;
        let left = Left { lines: std::mem::take(&mut self.turn.held), exit, members };
        let Watch { program, stdin, signals, ended, session_id, out, .. } = self;
        let answered = stdin.pump().map(Pump::setting_ids).unwrap_or_default();
        let process = Process { program, stdin, signals: Some((signals, ended)), answered, has_begun: true, session_id };
        (process, out, left)
    }
}

/// What is left to tell of a try that somebody else was to go on with.
pub(crate) struct Left {
    lines: Vec<u8>,
    exit: Exit,
    /// How many of the user's lines the turn is about.
    pub members: usize,
}

impl Left {
    /// Tells it, and gives how this process is to end.
    pub(crate) fn tell(self, mut out: Renderer) -> Exit {
        out.mark(None);
        tell(&mut out, &self.lines);
        out.finish();
        self.exit
    }
}

/// Tells lines that were withheld. Gives whether a turn ends with them.
pub(super) fn tell(out: &mut Renderer, lines: &[u8]) -> bool {
    let mut ends = false;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        match Line::parse(line).ending() {
            Some(ending) => {
                out.result(line, &ending);
                ends = true;
            }
            None => out.line(line),
        }
    }
    ends
}
