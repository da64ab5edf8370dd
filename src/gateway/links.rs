//! A question's way along the chain of local models.

use std::sync::Arc;

use crate::claude_code::answer_model::answer_model;
use crate::completions::failure::CompletionError;
use crate::error::{self, Error};
use crate::gateway::api_error::ApiError;
use crate::gateway::fit::SHORTEST_ANSWER;
use crate::gateway::question::Question;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::upstream::Upstream;
use crate::local_model::chain::Link;
use crate::local_model::chain::failures::other_failure;
use crate::local_model::chain::way::{Obstacle, Way};
use crate::shown::Shown;

/// The thread that should ask has died.
pub(super) const UNLISTED: &str = "the local server's models could not be listed";

/// Why a link has not answered, and whether the next one may be asked.
pub(super) struct Unanswered {
    pub(super) error: ApiError,
    pub(super) obstacle: Option<Obstacle>,
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Unanswered {
        Unanswered { obstacle: Obstacle::of_error(&error), error: ApiError::from(&error.without_log()) }
    }
}

impl Upstream {
    pub(super) fn link(&self, question: &Question) -> &Link {
        self.chain.at(&question.way)
    }

    /// The way of a request by the model that it names: Claude Code asks the one that it was told is the small one, and other
    /// programs know Claude's.
    pub(super) fn way(&self, request: &MessagesRequest) -> Way {
        let is_small = |small: String| request.model == small || !self.for_claude_code && request.model.contains("haiku");
        self.chain.way(self.chain.small_model().is_some_and(is_small))
    }

    /// The model that an answer to this request says it is of.
    pub(super) async fn reported_model(self: &Arc<Upstream>, request: &MessagesRequest, way: &Way) -> String {
        match self.for_claude_code {
            true => answer_model(&self.model_name(way).await),
            false => request.model.clone(),
        }
    }

    /// Prepares the whole question for the link that it has come to, or for the next one that can be asked.
    ///
    /// # Errors
    /// If none can be asked: what the API says to it.
    pub(super) async fn begin_link(self: &Arc<Upstream>, question: &mut Question) -> Result<(), ApiError> {
        loop {
            question.begin_link(self.link(question).settings.refused.known());
            match self.prepare(question).await {
                // A later link that holds all of it goes before leaving something out.
                Ok(()) if !self.holds_all(question) && self.finds_room_for(question, None).await => {}
                Ok(()) => return Ok(()),
                Err(unanswered) => self.give_up(question, unanswered)?,
            }
        }
    }

    async fn prepare(self: &Arc<Upstream>, question: &mut Question) -> Result<(), Unanswered> {
        let model = self.model(question).await?;
        let size = self.first_size(question, model.window);
        question.set_size(size, model.window, &self.appended);
        question.model = model.id;
        question.limited = self.limit(question).await?;
        Ok(())
    }

    /// # Errors
    /// If none can be asked: what the API says to it.
    pub(super) async fn limit_or_go_on(self: &Arc<Upstream>, question: &mut Question) -> Result<(), ApiError> {
        match self.limit(question).await {
            Ok(limited) => {
                question.limited = limited;
                Ok(())
            }
            Err(unanswered) => self.go_on(question, unanswered).await,
        }
    }

    /// # Errors
    /// If no other link can be asked: what the API says to it.
    pub(super) async fn go_on(self: &Arc<Upstream>, question: &mut Question, unanswered: Unanswered) -> Result<(), ApiError> {
        self.give_up(question, unanswered)?;
        // Boxed, since it may come back to this.
        Box::pin(self.begin_link(question)).await
    }

    fn give_up(&self, question: &mut Question, Unanswered { error, obstacle }: Unanswered) -> Result<(), ApiError> {
        let Some(obstacle) = obstacle else { return Err(error) };
        question.failures.push((self.link(question).server.endpoint().shown(), error));
        match self.chain.give_up(&mut question.way, obstacle) {
            true => Ok(()),
            false => Err(none_answers(std::mem::take(&mut question.failures))),
        }
    }

    /// Goes to a later link that has room for what this one cannot hold.
    pub(super) async fn finds_room(self: &Arc<Upstream>, question: &mut Question, failure: &CompletionError) -> bool {
        match failure {
            CompletionError::TooLong { prompt, .. } => self.finds_room_for(question, *prompt).await,
            CompletionError::AnswerTooLong { most: Some(most), prompt, .. } if *most < SHORTEST_ANSWER as u64 => {
                self.finds_room_for(question, *prompt).await
            }
            _ => false,
        }
    }

    /// `prompt`: its length as far as the server has said it, in tokens.
    pub(super) async fn finds_room_for(self: &Arc<Upstream>, question: &mut Question, prompt: Option<u64>) -> bool {
        let larger = question.way.larger();
        if larger.is_empty() {
            return false;
        }
        let estimated = shrink::estimate(question.whole_request());
        let is_whole = shrink::estimate(question.sent()) == estimated;
        let counted = prompt.and_then(|prompt| usize::try_from(prompt).ok()).filter(|_| is_whole);
        let needed = counted.map_or(estimated, |prompt| prompt.min(estimated)) + SHORTEST_ANSWER;
        let this = self.clone();
        let found = tokio::task::spawn_blocking(move || this.chain.with_room(&larger, |_, window| needed <= window as usize));
        match found.await {
            Ok(Some(found)) => question.way.leave_for(found),
            // It is the main model that would have been asked, so that it gets the question whatever is known of its context.
            _ if self.chain.is_small(&question.way) => return self.chain.give_up(&mut question.way, Obstacle::TooSmall),
            _ => return false,
        }
        true
    }

    /// Runs what waits for the server of the question's link.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Upstream>,
        question: &Question,
        if_it_dies: &str,
        work: impl FnOnce(&Upstream, &Link) -> error::Result<T> + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.blocking_at(question.way.current(), if_it_dies, work).await
    }

    pub(super) async fn blocking_at<T: Send + 'static>(
        self: &Arc<Upstream>,
        place: usize,
        if_it_dies: &str,
        work: impl FnOnce(&Upstream, &Link) -> error::Result<T> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || work(&this, &this.chain.links()[place])).await {
            Ok(outcome) => outcome.map_err(Unanswered::from),
            Err(_) => Err(Unanswered { error: ApiError::unavailable(if_it_dies), obstacle: None }),
        }
    }
}

/// That a prompt is too long comes first: Claude Code can shorten it.
fn none_answers(mut failures: Vec<(Shown, ApiError)>) -> ApiError {
    let is_too_long =
        |(_, error): &(Shown, ApiError)| *error == ApiError { message: error.message.clone(), ..ApiError::too_long(None, None) };
    let main = failures.iter().position(is_too_long).unwrap_or_default();
    let (_, main) = failures.remove(main);
    let may_pass = main.may_pass || failures.iter().any(|(_, error)| error.may_pass);
    let others = failures.iter().map(|(url, error)| format!("; {}", other_failure(url, &Shown::lines(&error.message))));
    ApiError { message: main.message.clone() + &others.collect::<String>(), may_pass, ..main }
}
