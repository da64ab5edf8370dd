//! The local server, asked for chat completions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use hyper::StatusCode;
use hyper::header::LOCATION;
use serde_json::{Map, Value, json};

use crate::completions::failure::{CompletionError, refusal};
use crate::completions::markup::markup_warning;
use crate::context::Context;
use crate::error::{Error, Result, warn};
use crate::gateway::api_error::ApiError;
use crate::gateway::client::{Client, ClientError, StreamingResponse};
use crate::gateway::conversation::{drop_images, has_images};
use crate::gateway::marks::Marks;
use crate::gateway::reply::Learned;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink::{self, Size};
use crate::local_model::ask::only_served_model;
use crate::local_model::model::Models;
use crate::local_model::recovery::{Possible, Remedy, Tried, remedy};
use crate::local_model::request::RequestSettings;
use crate::names::GATEWAY_APPENDED;
use crate::server::Server;
use crate::server::progress::StartProgress;
use crate::state::flag::{Backend, Flag};

/// The longest error body that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 << 10;

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
    takes_no_images: AtomicBool,
    takes_no_system: AtomicBool,
    pub(super) has_warned: AtomicBool,
    has_warned_of_markup: AtomicBool,
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
            takes_no_images: AtomicBool::new(false),
            takes_no_system: AtomicBool::new(false),
            has_warned: AtomicBool::new(false),
            has_warned_of_markup: AtomicBool::new(false),
            told_window: AtomicU64::new(0),
        })
    }

    /// Asks, and gives the request as it was sent in the end, with the answer that begins.
    ///
    /// # Errors
    /// What the API says to it.
    pub(crate) async fn ask(
        self: &Arc<Upstream>,
        request: &MessagesRequest,
    ) -> std::result::Result<(MessagesRequest, StreamingResponse), ApiError> {
        let (mut size, mut sized) = (Size::Full, request.clone());
        let mut model = self.model().await?.id;
        let mut limited = self.limit(&mut sized).await?;
        let mut tried = Tried::default();
        loop {
            if self.takes_no_images.load(Relaxed) {
                drop_images(&mut sized.messages);
            }
            let folds_system = self.takes_no_system.load(Relaxed);
            let outcome = match &limited {
                Ok(()) => self.send(self.body(&sized, model.as_deref(), folds_system)).await,
                Err((prompt, window)) => Err(CompletionError::TooLong { prompt: Some(*prompt), window: Some(*window) }),
            };
            let failure = match outcome {
                Ok(answer) => {
                    self.warn_if_lean(size);
                    return Ok((sized, answer));
                }
                Err(failure) => failure,
            };
            let smaller = match failure {
                CompletionError::TooLong { window, .. } => {
                    self.told_window.store(window.unwrap_or_default(), Relaxed);
                    if limited.is_ok() {
                        self.models.learn_window(window.unwrap_or_default());
                    }
                    shrink::next_smaller(request, size, &self.appended)
                }
                _ => None,
            };
            let possible = Possible {
                start: self.server.is_ours(),
                fold_system: !sized.system.is_empty() && !folds_system,
                drop_response_format: sized.format.is_some(),
                drop_images: has_images(&sized.messages),
                shrink: smaller.is_some(),
            };
            let remedy = remedy(&failure, possible, tried);
            tried.add(remedy);
            limited = Ok(());
            match (remedy, smaller) {
                (Remedy::StartServer { .. }, _) => {
                    self.ensure_up().await?;
                    model = self.model().await?.id.or(model);
                    limited = self.limit(&mut sized).await?;
                }
                (Remedy::NameModel { refusal }, _) => model = Some(self.only_served_model(refusal.into()).await?),
                (Remedy::FoldSystem, _) => self.takes_no_system.store(true, Relaxed),
                (Remedy::DropResponseFormat, _) => sized.format = None,
                (Remedy::DropImages, _) => self.takes_no_images.store(true, Relaxed),
                (Remedy::Shrink, Some((smaller_size, smaller))) => {
                    (size, sized) = (smaller_size, MessagesRequest { format: sized.format, ..smaller });
                    limited = self.limit(&mut sized).await?;
                }
                (Remedy::Shrink | Remedy::Fail, _) => return Err(self.api_error(failure)),
            }
        }
    }

    /// An answer has told something of its model.
    pub(crate) fn learn(&self, learned: Learned) {
        if let Some(is_unopened) = learned.thinks_unopened {
            self.models.learn_thinking(is_unopened);
        }
        if let Some(token) = learned.unknown_markup {
            if !self.has_warned_of_markup.swap(true, Relaxed) {
                warn(super::NAME, &markup_warning(&token));
            }
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

    fn body(&self, request: &MessagesRequest, model: Option<&str>, folds_system: bool) -> Vec<u8> {
        let mut messages = request.messages.clone();
        let system = request.system.join("\n\n");
        match (system.is_empty(), folds_system) {
            (true, _) => {}
            (false, true) => fold_system(&mut messages, &system),
            (false, false) => messages.insert(0, json!({"role": "system", "content": system})),
        }
        let mut body = Map::new();
        body.insert("model".into(), model.unwrap_or(self.settings.sent_model()).into());
        body.insert("messages".into(), messages.into());
        if !request.callable().is_empty() {
            body.insert("tools".into(), request.callable().iter().map(|tool| tool.in_chat()).collect());
            if let Some(choice) = &request.choice {
                body.insert("tool_choice".into(), choice.clone());
            }
            if !request.in_parallel {
                body.insert("parallel_tool_calls".into(), false.into());
            }
        }
        body.insert("max_tokens".into(), request.max_tokens.into());
        body.insert("temperature".into(), self.settings.temperature().into());
        if self.passes_sampling {
            body.extend(request.sampling.clone());
        }
        if let Some(format) = &request.format {
            body.insert("response_format".into(), format.clone());
        }
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({"include_usage": true}));
        body.extend(self.settings.extra().clone());
        Value::from(body).to_string().into_bytes()
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
        let location = response.header(LOCATION).map(|place| String::from_utf8_lossy(place.as_bytes()).into_owned());
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ERROR_BODY {
                break;
            }
        }
        let endpoint = self.server.endpoint();
        Err(refusal(status, location, &endpoint.without_key(String::from_utf8_lossy(&body).into_owned())))
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

/// For templates that take no system message (Gemma 2).
fn fold_system(messages: &mut [Value], system: &str) {
    let Some(first) = messages.iter_mut().find(|message| message["role"] == "user") else { return };
    match &mut first["content"] {
        Value::String(text) => *text = format!("{system}\n\n{text}"),
        Value::Array(parts) => parts.insert(0, json!({"type": "text", "text": system})),
        _ => {}
    }
}
