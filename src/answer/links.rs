//! A turn's way along the chain of local models.

use crate::answer::turn::LocalTurn;
use crate::error::Result;
use crate::local_model::chain::Link;
use crate::local_model::chain::way::Unanswered;

impl<'a> LocalTurn<'a> {
    /// The link that is asked now.
    pub(super) fn link(&self) -> &'a Link {
        self.shared.chain.at(&self.way)
    }

    /// Goes on to the next link, and prepares the turn for it.
    ///
    /// # Errors
    /// If no other link can be asked.
    pub(super) fn go_on(&mut self, unanswered: Unanswered) -> Result<()> {
        self.give_up(unanswered)?;
        self.begin_link()
    }

    /// # Errors
    /// If no other link can be asked.
    pub(super) fn give_up(&mut self, Unanswered { error, obstacle }: Unanswered) -> Result<()> {
        let Some(obstacle) = obstacle else { return Err(error) };
        self.failures.add(self.link(), error);
        match self.shared.chain.give_up(&mut self.way, obstacle) {
            true => Ok(()),
            false => Err(std::mem::take(&mut self.failures).into_error()),
        }
    }

    /// Begins anew with the whole conversation: the contexts of two links differ.
    pub(super) fn begin_link(&mut self) -> Result<()> {
        self.messages.clone_from(&self.whole);
        (self.model, self.budget) = (None, None);
        self.settle()?;
        self.report_init();
        self.fit()
    }
}
