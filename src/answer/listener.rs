//! Passes the pieces of an answer to the reporter.

use std::ops::ControlFlow;

use crate::answer::turn::Shared;
use crate::completions::chat::Listener;

pub(super) struct TurnListener<'a> {
    shared: &'a Shared,
    turn: u64,
}

impl<'a> TurnListener<'a> {
    pub(super) fn new(shared: &'a Shared, turn: u64) -> TurnListener<'a> {
        TurnListener { shared, turn }
    }
}

impl Listener for TurnListener<'_> {
    fn on_text(&mut self, piece: &str) -> ControlFlow<()> {
        self.shared.reporter().on_text(self.turn, piece)
    }

    fn on_pause(&mut self) -> ControlFlow<()> {
        self.shared.reporter().on_pause(self.turn)
    }

    fn has_passed_on(&self) -> bool {
        self.shared.reporter().shows_pieces()
    }

    fn begin_again(&mut self) {
        self.shared.reporter().forget_text(self.turn);
    }
}
