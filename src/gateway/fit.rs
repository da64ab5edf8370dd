//! What fits into the local model's context, as far as that is known.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use crate::completions::chunk::Usage;
use crate::completions::failure::CompletionError;
use crate::error::warn;
use crate::gateway::agent_prompt::AgentPrompt;
use crate::gateway::count::Count;
use crate::gateway::links::{UNLISTED, Unanswered};
use crate::gateway::question::Question;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink::{self, Size};
use crate::gateway::summary;
use crate::gateway::upstream::Upstream;
use crate::local_model::chain::way::Way;
use crate::local_model::model::{Model, NAMELESS};
use crate::local_model::truncation::fewest_tokens;
use crate::shown::shown;

/// The least that must be left for an answer, in tokens.
pub(super) const SHORTEST_ANSWER: usize = 256;

impl Upstream {
    /// The model that answers, as far as it is known.
    pub(super) async fn model(self: &Arc<Upstream>, question: &Question) -> Result<Model, Unanswered> {
        self.model_at(&question.way).await
    }

    async fn model_at(self: &Arc<Upstream>, way: &Way) -> Result<Model, Unanswered> {
        match self.chain.at(way).models.at_hand() {
            Some(model) => Ok(model),
            None => self.blocking_at(way.current(), UNLISTED, |_, link| link.models.find()).await,
        }
    }

    /// The same for a request that does not fit what is known.
    async fn model_again(self: &Arc<Upstream>, question: &Question) -> Result<Model, Unanswered> {
        let model = self.blocking(question, UNLISTED, |_, link| link.models.find_again()).await?;
        if let Some(line) = self.link(question).models.assumption() {
            warn(super::NAME, &line);
        }
        Ok(model)
    }

    /// The name of the model that answers.
    pub(crate) async fn model_name(self: &Arc<Upstream>, way: &Way) -> String {
        self.model_at(way).await.map_or_else(|_| NAMELESS.into(), |model| model.name)
    }

    /// How much of a request is sent at first. What once was lean at a link stays so, or the server would read all of it anew.
    pub(super) fn first_size(&self, question: &Question, window: Option<u32>) -> Size {
        let request = question.whole_request();
        let is_lean = match self.prompt {
            AgentPrompt::Auto if self.lean_links[question.way.current()].load(Relaxed) => true,
            AgentPrompt::Auto if window.is_some_and(|window| shrink::is_too_much(request, window)) => true,
            prompt => prompt.is_lean_in(window),
        };
        if is_lean && shrink::is_claude_codes(request) { Size::Lean } else { Size::Full }
    }

    /// Whether the question's link has room for the request without anything left out, as far as that is known.
    pub(super) fn holds_all(&self, question: &Question) -> bool {
        let whole = shrink::estimate(question.whole_request()) + SHORTEST_ANSWER;
        question.size == Size::Full && !question.is_cut() || question.window.is_none_or(|window| whole <= window as usize)
    }

    /// A smaller request in the place of one that does not fit. A conversation of Claude Code that goes on is not changed for that:
    /// the server would read all of it anew, and Claude Code can compact.
    pub(super) fn next_smaller(&self, question: &mut Question) -> Option<(Size, MessagesRequest)> {
        let window = self.link(question).models.at_hand().and_then(|model| model.window).or(question.window);
        if self.cuts.is_some() {
            let leaner = question.next_smaller(window, &self.appended);
            // Lean, then with fewer turns, and then leaner still.
            let goes_lean = question.size == Size::Full && leaner.is_some();
            let is_shorter = question.note_too_long();
            return if goes_lean || !is_shorter { leaner } else { Some((question.size, question.uncut().clone())) };
        }
        let request = question.whole_request();
        if self.first_size(question, window) > question.size {
            return question.next_smaller(window, &self.appended);
        }
        let goes_on =
            self.count(question, request).is_measured && request.messages.iter().any(|message| message["role"] == "assistant");
        if goes_on && shrink::is_claude_codes(request) {
            return None;
        }
        question.next_smaller(window, &self.appended)
    }

    /// What the server of the question's link will count of a request.
    fn count(&self, question: &Question, request: &MessagesRequest) -> Count {
        let measured = question.measured(request);
        self.counters[question.way.current()].lock().unwrap_or_else(PoisonError::into_inner).foretell(&measured)
    }

    /// How long the prompt is that is sent, in tokens.
    pub(crate) fn likely_length(&self, question: &Question) -> u64 {
        self.count(question, question.sent()).likely
    }

    /// How long the prompt of a request would be, in tokens, without what would be left out of it.
    pub(crate) async fn count_tokens(self: &Arc<Upstream>, request: &MessagesRequest) -> u64 {
        let mut question = Question::new(request, self.way(request));
        if let Ok(model) = self.model(&question).await {
            let size = self.first_size(&question, model.window);
            question.set_size(size, model.window, &self.appended);
            self.cut_as_before(&mut question, &model);
            self.cut(&mut question, &model);
        }
        self.likely_length(&question)
    }

    /// The server has counted the prompt that was sent.
    pub(super) fn learn_count(&self, question: &Question, usage: Usage) {
        let counted = usage.input.saturating_add(usage.cached);
        let counter = &self.counters[question.way.current()];
        let measured = question.measured(question.sent());
        counter.lock().unwrap_or_else(PoisonError::into_inner).learn(&measured, counted);
    }

    /// No more than fits after the prompt. What does not fit at all is the error within: the length, and the context.
    pub(super) async fn limit(self: &Arc<Upstream>, question: &mut Question) -> Result<Result<(), (u64, u64)>, Unanswered> {
        let mut model = self.model(question).await?;
        self.cut_as_before(question, &model);
        let Some(mut window) = model.window else {
            self.cut(question, &model);
            return Ok(Ok(()));
        };
        if self.left(question, question.sent(), &model, window) < self.least_left(question, &model, window) {
            let again = self.model_again(question).await?;
            match again.window {
                Some(now) => (model, window) = (again, now),
                // The server tells nothing but by its refusals.
                None => self.link(question).models.learn_window(window.into()),
            }
        }
        let least = self.least_left(question, &model, window);
        if question.sent().is_summary {
            let mut short = question.sent().clone();
            summary::fit(&mut short, |request| self.left(question, request, &model, window) >= least);
            question.sized = short;
        } else {
            self.cut(question, &model);
        }
        let left = self.left(question, question.sent(), &model, window);
        if left < least {
            return Ok(Err((self.count(question, question.sent()).most, window.into())));
        }
        let request = &mut question.sized;
        request.max_tokens = request.max_tokens.min(u32::try_from(left).unwrap_or(u32::MAX));
        Ok(Ok(()))
    }

    /// Whether only the server knows how long a prompt is: it checks for itself, and has counted none yet.
    fn is_for_the_server(&self, question: &Question, model: &Model) -> bool {
        model.is_checked && !self.count(question, question.sent()).is_measured
    }

    /// What must be left for an answer: half of one would be worth nothing, and Claude Code can compact.
    fn least_left(&self, question: &Question, model: &Model, window: u32) -> usize {
        if self.is_for_the_server(question, model) {
            return 1;
        }
        let least = SHORTEST_ANSWER.max(window as usize / 10);
        least.min((question.whole_request().max_tokens as usize).max(SHORTEST_ANSWER))
    }

    /// How much of the context a prompt leaves, in tokens, at most.
    fn left(&self, question: &Question, request: &MessagesRequest, model: &Model, window: u32) -> usize {
        let count = self.count(question, request);
        let length = match self.is_for_the_server(question, model) {
            true => request.messages.iter().flat_map(shrink::texts).map(fewest_tokens).sum(),
            false => usize::try_from(count.most).unwrap_or(usize::MAX),
        };
        (window as usize).saturating_sub(length)
    }

    /// Whether a prompt leaves enough.
    pub(super) fn has_room(&self, question: &Question, request: &MessagesRequest, model: &Model, window: u32) -> bool {
        self.left(question, request, model, window) >= self.least_left(question, model, window)
    }

    /// A refusal may tell the context, and how long the prompt was.
    pub(super) fn learn_from_refusal(&self, question: &Question, failure: &CompletionError) {
        if let CompletionError::TooLong { window: Some(window), .. } = failure {
            self.link(question).models.learn_window(*window);
        }
        let told = match failure {
            CompletionError::TooLong { prompt, .. } | CompletionError::AnswerTooLong { prompt, .. } => *prompt,
            _ => None,
        };
        if let Some(input) = told.filter(|_| self.cuts.is_some()) {
            self.learn_count(question, Usage { input, ..Usage::default() });
        }
    }

    pub(super) fn note_size(&self, question: &Question) {
        self.note_cut(question);
        if question.size == Size::Full {
            return;
        }
        self.lean_links[question.way.current()].store(true, Relaxed);
        let told = self.told_window.load(Relaxed);
        // Where the whole would fit, a lean request is a choice that the user knows of.
        if told == 0 && self.holds_all(question) {
            return;
        }
        let known = || self.link(question).models.at_hand().and_then(|model| model.window.map(u64::from));
        let window = if told > 0 { Some(told) } else { known() };
        if !self.has_warned_of_size.swap(true, Relaxed) {
            let context = window.map(|window| format!(" of {window} tokens")).unwrap_or_default();
            warn(
                super::NAME,
                &shown!("the whole request does not fit the local model's context{context}: short instructions and fewer tools"),
            );
        }
    }
}
