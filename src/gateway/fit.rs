//! What fits into the local model's context, as far as that is known.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::{self, warn};
use crate::gateway::api_error::ApiError;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink::{self, Size};
use crate::gateway::upstream::Upstream;
use crate::local_model::model::{Model, Models, NAMELESS};

/// The least that must be left for an answer, in tokens.
const SHORTEST_ANSWER: usize = 256;

impl Upstream {
    /// The model that answers, as far as it is known.
    pub(super) async fn model(self: &Arc<Upstream>) -> Result<Model, ApiError> {
        match self.models.at_hand() {
            Some(model) => Ok(model),
            None => self.find(Models::find).await,
        }
    }

    /// The same for a request that does not fit what is known.
    async fn model_again(self: &Arc<Upstream>) -> Result<Model, ApiError> {
        let model = self.find(Models::find_again).await?;
        if let Some(line) = self.models.assumption() {
            warn(super::NAME, &line);
        }
        Ok(model)
    }

    async fn find(self: &Arc<Upstream>, find: fn(&Models) -> error::Result<Model>) -> Result<Model, ApiError> {
        let this = self.clone();
        let found = tokio::task::spawn_blocking(move || find(&this.models)).await;
        let unasked = || ApiError::unavailable("the local server's models could not be listed");
        found.map_err(|_| unasked())?.map_err(|error| ApiError::from(&error))
    }

    /// The name of the model that answers.
    pub(crate) async fn model_name(self: &Arc<Upstream>) -> String {
        self.model().await.map_or_else(|_| NAMELESS.into(), |model| model.name)
    }

    /// No more than fits after the prompt, where the server does not see to that itself. What does not fit at all is the error
    /// within: the estimated length, and the context.
    pub(super) async fn limit(self: &Arc<Upstream>, request: &mut MessagesRequest) -> Result<Result<(), (u64, u64)>, ApiError> {
        let prompt = shrink::estimate(request);
        let left_in = |model: &Model| match model {
            Model { window: Some(window), is_checked: false, .. } => Some((*window as usize).saturating_sub(prompt)),
            _ => None,
        };
        let mut model = self.model().await?;
        if left_in(&model).is_some_and(|left| left < SHORTEST_ANSWER) {
            model = self.model_again().await?;
        }
        let (Some(left), Some(window)) = (left_in(&model), model.window) else { return Ok(Ok(())) };
        if left < SHORTEST_ANSWER {
            return Ok(Err((prompt as u64, window.into())));
        }
        request.max_tokens = request.max_tokens.min(u32::try_from(left).unwrap_or(u32::MAX));
        Ok(Ok(()))
    }

    pub(super) fn warn_if_lean(&self, size: Size) {
        if size != Size::Full && !self.has_warned_of_size.swap(true, Relaxed) {
            let window = self.told_window.load(Relaxed);
            let known = || self.models.at_hand().and_then(|model| model.window.map(u64::from));
            let window = if window > 0 { Some(window) } else { known() };
            let context = window.map(|window| format!(" of {window} tokens")).unwrap_or_default();
            warn(
                super::NAME,
                &format!("the whole request does not fit the local model's context{context}: short instructions and fewer tools"),
            );
        }
    }
}
