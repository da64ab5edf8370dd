//! Fitting a turn's conversation into the local model's context, and finding out whether all of it was read.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use crate::answer::turn::LocalTurn;
use crate::completions::chunk::Usage;
use crate::error::{Error, Result, warn};
use crate::local_model::chain::Link;
use crate::local_model::context;
use crate::local_model::model::Model;
use crate::local_model::truncation::Sent;
use crate::shown::{Shown, shown};

/// How many tokens a conversation may have in this context, so that an answer has room behind it.
fn budget(max_tokens: u32, window: u32) -> usize {
    (window - max_tokens.min(window / 2)) as usize
}

impl LocalTurn<'_> {
    /// At most what fits after the conversation, since not every server limits that itself.
    pub(super) fn max_tokens(&self) -> u32 {
        let wanted = self.link().settings.max_tokens;
        match &self.model {
            Some(Model { window: Some(window), is_checked: false, is_assumed: false, .. }) => {
                let left = (*window as usize).saturating_sub(context::estimate(&self.messages)).max(1);
                wanted.min(u32::try_from(left).unwrap_or(u32::MAX))
            }
            _ => wanted,
        }
    }

    /// Warns if the server has read far less than it was sent. The answer stands.
    pub(super) fn check_read(&self, usage: Usage) {
        let texts = self.messages.iter().map(|message| message.content.as_str());
        let sent = Sent::new(context::estimate(&self.messages), texts, std::iter::empty());
        let read = usage.input.saturating_add(usage.cached);
        let mut detector = self.shared.detector.lock().unwrap_or_else(PoisonError::into_inner);
        let found = detector.check_model(sent, read, self.model.as_ref());
        drop(detector);
        if let Some(truncation) = found {
            if !std::mem::replace(&mut self.shared.marks().is_truncated, true) {
                let line = truncation.line(self.link().models.server_kind());
                warn(&self.shared.applet, &Shown::line(self.link().server.endpoint().with_own_names(line)));
            }
            self.link().models.forget();
        }
    }

    /// Leaves out the oldest messages that do not fit the model's context, unless a later link has room for them. If a server
    /// checks the length itself, its word counts and not our estimate.
    pub(super) fn fit(&mut self) -> Result<()> {
        let Some(mut window) = self.model.as_ref().and_then(|model| model.window) else { return Ok(()) };
        if context::estimate(&self.messages) > self.budget_in(window) {
            let model = match self.link().models.find_again() {
                Ok(model) => model,
                Err(error) => return self.go_on(error.into()),
            };
            window = model.window.unwrap_or(window);
            self.model = Some(model);
            let needed = context::estimate(&self.messages);
            if needed > self.budget_in(window) && self.finds_room_for(needed) {
                return self.begin_link();
            }
            if let Some(line) = self.link().models.assumption() {
                warn(&self.shared.applet, &line);
            }
        }
        let budget = *self.budget.get_or_insert(self.budget_in(window));
        self.trim(budget, window as usize);
        let is_lenient = self.model.as_ref().is_none_or(|model| model.is_checked || model.is_assumed);
        if context::estimate(&self.messages) > window as usize && !is_lenient {
            return self.go_on(Error::PromptTooLong { prompt: None, window: Some(window.into()) }.into());
        }
        Ok(())
    }

    /// Goes to a later link that has room for so many tokens.
    fn finds_room_for(&mut self, needed: usize) -> bool {
        let fits = |link: &Link, window| needed <= budget(link.settings.max_tokens, window);
        let larger = self.shared.chain.with_room(&self.way.larger(), fits);
        if let Some(larger) = larger {
            self.way.leave_for(larger);
        }
        larger.is_some()
    }

    /// How many tokens a conversation may have in this context.
    fn budget_in(&self, window: u32) -> usize {
        budget(self.link().settings.max_tokens, window)
    }

    /// Leaves out more messages, after the server has refused the prompt as too long, unless a later link has room for it.
    pub(super) fn shorten(&mut self, prompt: Option<u64>, window: Option<u64>) -> Result<()> {
        self.link().models.learn_window(window.unwrap_or_default());
        let whole = context::estimate(&self.whole);
        let length = context::estimate(&self.messages);
        // The server's count is better than our estimate.
        let counted = prompt.and_then(|prompt| usize::try_from(prompt).ok()).filter(|_| length == whole);
        if self.finds_room_for(counted.map_or(whole, |prompt| prompt.min(whole))) {
            return self.begin_link();
        }
        let budget = match (prompt, window) {
            (Some(prompt), Some(window)) if prompt > 0 => {
                let reserved = u64::from(self.link().settings.max_tokens).min(window / 2);
                ((length as u64).saturating_mul(window - reserved) / prompt) as usize
            }
            _ => length / 2,
        };
        self.budget = Some(budget);
        match self.trim(budget.min(length.saturating_sub(1)), window.unwrap_or_default() as usize) {
            0 => self.go_on(Error::PromptTooLong { prompt, window }.into()),
            _ => Ok(()),
        }
    }

    fn trim(&mut self, budget: usize, window: usize) -> usize {
        let dropped = context::trim(&mut self.messages, budget, self.pinned);
        if dropped > 0 && !self.shared.has_warned.swap(true, Relaxed) {
            let size = if window > 0 { format!(" of {window} tokens") } else { String::new() };
            let what = shown!("the conversation does not fit the local model's context{size}; its oldest part is left out");
            warn(&self.shared.applet, &what);
        }
        dropped
    }
}
