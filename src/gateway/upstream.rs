//! The local server, asked for chat completions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::completions::failure::{CompletionError, refusal};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::gateway::api_error::ApiError;
use crate::gateway::client::{Client, ClientError, StreamingResponse};
use crate::gateway::marks::Marks;
use crate::gateway::question::Question;
use crate::gateway::reply::Learned;
use crate::gateway::request::MessagesRequest;
use crate::local_model::ask::{only_served_model, spread};
use crate::local_model::model::Models;
use crate::local_model::recovery::{Possible, Remedy, remedy};
use crate::local_model::request::RequestSettings;
use crate::names::GATEWAY_APPENDED;
use crate::server::Server;
use crate::server::progress::StartProgress;
use crate::state::flag::{Backend, Flag};

/// The longest error body that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 << 10;

/// How soon a pause ends if the answer is not wanted any more.
const POLL: Duration = Duration::from_millis(250);

/// The local server, and what is known of it.
pub(crate) struct Upstream {
    client: Client,
    server: Server,
    settings: RequestSettings,
    pub(super) models: Models,
    pub(super) marks: Marks,
    flag: Option<Flag>,
    /// Whether the caller's `temperature` counts.
    passes_sampling: bool,
    /// What the user wants said in a system prompt that is shortened.
    appended: String,
    pub(super) has_warned_of_size: AtomicBool,
    /// The context that the server has told when it refused.
    pub(super) told_window: AtomicU64,
}

impl Upstream {
    /// The server that the settings describe. `for_claude_code`: Claude Code asks, and the switch decides whether it may.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub(crate) fn new(context: &Context, for_claude_code: bool) -> Result<Upstream> {
        let server = Server::new(context)?;
        let settings = RequestSettings::new(context)?;
        let client = Client::new(server.endpoint(), settings.timeouts);
        let client = client.map_err(|error| Error::NoHttpClient { reason: error.to_string() })?;
        Ok(Upstream {
            client,
            models: Models::new(context, &server, &settings),
            marks: Marks::new(context),
            server,
            settings,
            flag: Flag::new(context).ok().filter(|_| for_claude_code),
            passes_sampling: !for_claude_code,
            appended: context.env(GATEWAY_APPENDED).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default(),
            has_warned_of_size: AtomicBool::new(false),
            told_window: AtomicU64::new(0),
        })
    }

    /// A question that is not asked yet.
    ///
    /// # Errors
    /// What the API says if it cannot be asked.
    pub(crate) async fn question(self: &Arc<Upstream>, request: &MessagesRequest) -> std::result::Result<Question, ApiError> {
        let mut question = Question::new(request, self.settings.refused.known());
        question.model = self.model().await?.id;
        question.limited = self.limit(&mut question.sized).await?;
        Ok(question)
    }

    /// Asks, with all remedies, until an answer begins.
    ///
    /// # Errors
    /// What the API says to it.
    pub(crate) async fn ask(self: &Arc<Upstream>, question: &mut Question) -> std::result::Result<StreamingResponse, ApiError> {
        loop {
            let outcome = match std::mem::replace(&mut question.limited, Ok(())) {
                Ok(()) => self.send(self.body(question)).await.inspect_err(|failure| self.learn_window(failure)),
                Err((prompt, window)) => Err(CompletionError::TooLong { prompt: Some(prompt), window: Some(window) }),
            };
            match outcome {
                Ok(answer) => {
                    self.warn_if_lean(question.size);
                    return Ok(answer);
                }
                Err(failure) => self.recover(question, failure).await?,
            }
        }
    }

    /// An answer has told something of its model, and of what the server does not take.
    pub(crate) fn was_answered(&self, question: &Question, learned: Learned) {
        self.settings.refused.remember(&question.left_out);
        if let Some(is_unopened) = learned.thinks_unopened {
            self.models.learn_thinking(is_unopened);
        }
    }

    /// Changes the question, or its circumstances, so that it can be asked again. Only if nothing of an answer has reached the caller.
    ///
    /// # Errors
    /// If nothing helps: what the API says to the failure.
    pub(crate) async fn recover(
        self: &Arc<Upstream>,
        question: &mut Question,
        failure: CompletionError,
    ) -> std::result::Result<(), ApiError> {
        let failure = self.settings.if_about_extra(failure.by_its_words());
        let smaller = match failure {
            CompletionError::TooLong { window, .. } | CompletionError::AnswerTooLong { window, .. } => {
                self.told_window.store(window.unwrap_or_default(), Relaxed);
                question.next_smaller(&self.appended)
            }
            _ => None,
        };
        let leave_out = match &failure {
            CompletionError::Untaken { about, refusal } => {
                let whole = question.whole(&self.settings, self.passes_sampling);
                question.left_out.next(about, &refusal.line, &whole, self.settings.extra())
            }
            _ => None,
        };
        let possible = Possible {
            start: self.server.is_ours(),
            retries: self.settings.retries,
            leave_out,
            max_tokens: question.sized.max_tokens,
            shrink: smaller.is_some(),
        };
        let remedy = remedy(&failure, &possible, question.tried);
        question.tried.add(remedy);
        match (remedy, smaller) {
            (Remedy::StartServer { .. }, _) => {
                self.ensure_up().await?;
                question.model = self.model().await?.id.or(question.model.take());
                question.limited = self.limit(&mut question.sized).await?;
            }
            (Remedy::Wait(pause), _) => self.wait(pause).await?,
            (Remedy::BackOff(pause), _) => self.wait(spread(pause)).await?,
            (Remedy::NameModel { refusal }, _) => question.model = Some(self.only_served_model(refusal.into()).await?),
            (Remedy::LeaveOut(untaken), _) => question.left_out.add(untaken.clone()),
            (Remedy::LowerMaxTokens(most), _) => question.sized.max_tokens = most,
            (Remedy::TellEmpty, _) => question.tell_empty(),
            (Remedy::Shrink, Some(smaller)) => {
                (question.size, question.sized) = smaller;
                question.limited = self.limit(&mut question.sized).await?;
            }
            (Remedy::Shrink | Remedy::Fail, _) => return Err(self.api_error(failure)),
        }
        Ok(())
    }

    /// # Errors
    /// As soon as the switch goes back to Claude.
    async fn wait(&self, pause: Duration) -> std::result::Result<(), ApiError> {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if !self.is_wanted() {
                return Err(ApiError::from(&Error::SwitchedBack));
            }
            sleep_until(end.min(Instant::now() + POLL)).await;
        }
        Ok(())
    }

    fn learn_window(&self, failure: &CompletionError) {
        if let CompletionError::TooLong { window: Some(window), .. } = failure {
            self.models.learn_window(*window);
        }
    }

    /// A failure as the API tells it.
    pub(crate) fn api_error(&self, failure: CompletionError) -> ApiError {
        ApiError::from_failure(failure, |failure| failure.into_error(self.server.endpoint()))
    }

    /// A broken connection, in the middle of an answer.
    pub(crate) fn failure_within_answer(&self, error: ClientError) -> CompletionError {
        let partial = String::new();
        match error {
            ClientError::Idle => CompletionError::Stalled { idle: self.settings.timeouts.idle, partial },
            ClientError::Connect(reason) | ClientError::Broken(reason) => CompletionError::Cut { reason, partial },
        }
    }

    fn body(&self, question: &Question) -> Vec<u8> {
        let whole = question.whole(&self.settings, self.passes_sampling);
        Value::from(question.left_out.finish(whole, self.settings.extra())).to_string().into_bytes()
    }

    async fn send(&self, body: Vec<u8>) -> std::result::Result<StreamingResponse, CompletionError> {
        let mut response = self.client.post(body).await.map_err(|error| match error {
            ClientError::Connect(reason) => CompletionError::Refused(reason),
            ClientError::Idle => CompletionError::Stalled { idle: self.settings.timeouts.idle, partial: String::new() },
            ClientError::Broken(reason) => CompletionError::Broken(reason),
        })?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ERROR_BODY {
                break;
            }
        }
        let endpoint = self.server.endpoint();
        Err(refusal(status, response.headers(), &endpoint.without_key(String::from_utf8_lossy(&body).into_owned())))
    }

    async fn ensure_up(self: &Arc<Upstream>) -> std::result::Result<(), ApiError> {
        let this = self.clone();
        let up = tokio::task::spawn_blocking(move || {
            let mut progress = StartProgress::new(super::NAME, &this.server, false);
            this.models.forget();
            this.server.ensure_up(&|| this.is_wanted(), &mut |elapsed| progress.show(elapsed))
        });
        match up.await {
            Ok(outcome) => outcome.map_err(|error| ApiError::from(&error.without_log())),
            Err(_) => Err(ApiError::unavailable("the local server could not be looked after")),
        }
    }

    fn is_wanted(&self) -> bool {
        self.flag.as_ref().is_none_or(|flag| flag.read().0 != Backend::Claude)
    }

    async fn only_served_model(self: &Arc<Upstream>, refusal: String) -> std::result::Result<String, ApiError> {
        let this = self.clone();
        let found = tokio::task::spawn_blocking(move || only_served_model(this.server.endpoint(), &this.settings, &refusal));
        match found.await {
            Ok(outcome) => outcome.map_err(|error| ApiError::from(&error)),
            Err(_) => Err(ApiError::unavailable("the local server's models could not be listed")),
        }
    }
}
