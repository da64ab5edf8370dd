//! How a call passes from Claude to the local model, or stays with Claude since the local model cannot answer.

use std::collections::HashSet;
use std::process::ExitStatus;

use crate::claude_code::protocol::line::Line;
use crate::os::exit::Exit;
use crate::stdin::Pump;
use crate::watch::Watch;
use crate::watch::next_try::NextTry;
use crate::watch::render::Renderer;

impl Watch<'_> {
    /// Passes on the refusal that was withheld, since no other backend could answer, and lets Claude go on. The caller gets no second
    /// answer to these requests.
    pub(crate) fn pass_on_refusal(&mut self, answered_requests: HashSet<String>) {
        self.turn.is_passed_on = true;
        self.answered_requests = answered_requests;
        if let Some(pump) = self.stdin.pump() {
            pump.give_back();
        }
        self.child.go_on();
        let withheld = std::mem::take(&mut self.turn.withheld);
        if print_withheld(&mut self.out, &withheld) {
            self.close_turn();
        }
    }

    /// What is to be called when the local model begins to answer, possibly in another thread.
    pub(crate) fn on_takeover(&self) -> impl FnOnce() + Send + 'static {
        let pump = self.stdin.pump().cloned();
        let end_child = self.child.end_later(pump.clone());
        move || {
            end_child();
            if let Some(pump) = pump {
                pump.keep_no_more();
            }
        }
    }

    /// Ends Claude, since the local model has answered, or another try is to be made.
    pub(crate) fn end(mut self) -> NextTry {
        let session_id = self.transcript.session_id.take().filter(|_| self.transcript.has_answered_lines());
        self.end_child(true, session_id).0
    }

    /// Ends Claude so that all of its transcript is written. Returns what the next try needs, where the answer goes, and the
    /// refused turn, to print if the local model cannot go on.
    pub(crate) fn hand_over(mut self) -> (NextTry, Renderer, RefusedTurn) {
        // It ends by itself if it has said its last.
        let has_said_its_last = self.turn.evidence.result.is_some() && !self.listens;
        let turn_lines = self.transcript.turn_lines(self.turn.lines_seen);
        let withheld = std::mem::take(&mut self.turn.withheld);
        let session_id = self.transcript.session_id.take();
        let (next, out, status) = self.end_child(has_said_its_last, session_id);
        let exit = match status.map(Exit::of_child) {
            // It was ended here.
            Some(Exit::Code(code)) => Exit::Code(code.max(1)),
            _ => Exit::Code(1),
        };
        (next, out, RefusedTurn { withheld, exit, turn_lines })
    }

    fn end_child(self, waits: bool, session_id: Option<String>) -> (NextTry, Renderer, Option<ExitStatus>) {
        let Watch { claude, stdin, child, out, .. } = self;
        let (caught, status) = child.end(waits);
        let answered_requests = stdin.pump().map(Pump::setting_ids).unwrap_or_default();
        let next = NextTry {
            claude,
            stdin,
            caught: Some(caught),
            answered_requests,
            is_repeated: true,
            session_id,
            new_session_id: None,
        };
        (next, out, status)
    }
}

/// A turn that Claude has refused and the local model was to go on with.
pub(crate) struct RefusedTurn {
    withheld: Vec<u8>,
    exit: Exit,
    /// How many of the user's lines the turn is about.
    pub turn_lines: usize,
}

impl RefusedTurn {
    /// Prints what was withheld, and returns how this process is to end.
    pub(crate) fn print(self, mut out: Renderer) -> Exit {
        out.set_mark(None);
        out.set_local_model(None);
        print_withheld(&mut out, &self.withheld);
        out.finish();
        self.exit
    }
}

/// Returns whether the lines end a turn.
fn print_withheld(out: &mut Renderer, lines: &[u8]) -> bool {
    let mut has_result = false;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        match Line::parse(line).ending() {
            Some(ending) => {
                out.print_result(line, &ending);
                has_result = true;
            }
            None => out.print_line(line),
        }
    }
    has_result
}
