//! What fits into the local model's context, as far as that is known.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::warn;
use crate::gateway::links::{UNLISTED, Unanswered};
use crate::gateway::question::Question;
use crate::gateway::shrink::{self, Size};
use crate::gateway::upstream::Upstream;
use crate::local_model::chain::way::Way;
use crate::local_model::model::{Model, NAMELESS};

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

    /// No more than fits after the prompt, where the server does not see to that itself. What does not fit at all is the error
    /// within: the estimated length, and the context.
    pub(super) async fn limit(self: &Arc<Upstream>, question: &mut Question) -> Result<Result<(), (u64, u64)>, Unanswered> {
        let prompt = shrink::estimate(&question.sized);
        let left_in = |model: &Model| match model {
            Model { window: Some(window), is_checked: false, .. } => Some((*window as usize).saturating_sub(prompt)),
            _ => None,
        };
        let mut model = self.model(question).await?;
        if left_in(&model).is_some_and(|left| left < SHORTEST_ANSWER) {
            model = self.model_again(question).await?;
        }
        let (Some(left), Some(window)) = (left_in(&model), model.window) else { return Ok(Ok(())) };
        if left < SHORTEST_ANSWER {
            return Ok(Err((prompt as u64, window.into())));
        }
        let request = &mut question.sized;
        request.max_tokens = request.max_tokens.min(u32::try_from(left).unwrap_or(u32::MAX));
        Ok(Ok(()))
    }

    pub(super) fn warn_if_lean(&self, question: &Question) {
        if question.size != Size::Full && !self.has_warned_of_size.swap(true, Relaxed) {
            let window = self.told_window.load(Relaxed);
            let known = || self.link(question).models.at_hand().and_then(|model| model.window.map(u64::from));
            let window = if window > 0 { Some(window) } else { known() };
            let context = window.map(|window| format!(" of {window} tokens")).unwrap_or_default();
            warn(
                super::NAME,
                &format!("the whole request does not fit the local model's context{context}: short instructions and fewer tools"),
            );
        }
    }
}
