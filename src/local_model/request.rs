//! What the settings say of each request to the local server.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::completions::chat::{Message, Request};
use crate::completions::endpoint::Timeouts;
use crate::completions::failure::{CompletionError, names};
use crate::context::Context;
use crate::error::Result;
use crate::local_model::refused::Refused;
use crate::local_model::server_memory::ServerMemory;
use crate::settings::{FIRST, LinkNumber};

/// What mlx-lm takes for "the model that is loaded"; any other unknown name would make it drop that model and look for
/// the name on a hub. Servers with one model ignore the name; the others say that they do not know it.
const WHATEVER_IS_LOADED: &str = "default_model";

/// What the settings say of each request.
#[derive(Clone)]
pub(crate) struct RequestSettings {
    /// The model's name, if the user gave one.
    pub model: Option<String>,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    /// The context that the model has, in tokens, if the user gave it.
    pub window: Option<u32>,
    /// How long to wait for the server.
    pub timeouts: Timeouts,
    /// What is known of the server.
    pub memory: ServerMemory,
    /// There is no other link.
    pub is_only: bool,
    /// How often to ask again after a refusal that may pass.
    pub retries: u32,
    /// What the server does not take.
    pub refused: Refused,
    temperature: f64,
    extra: Map<String, Value>,
}

impl RequestSettings {
    /// Those of the first link.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(crate) fn new(context: &Context) -> Result<RequestSettings> {
        RequestSettings::of_link(context, FIRST)
    }

    /// Those of a link: its own, and those of all links.
    ///
    /// # Errors
    /// As for [`RequestSettings::new`].
    pub(crate) fn of_link(context: &Context, link: LinkNumber) -> Result<RequestSettings> {
        let settings = &context.settings;
        let model = settings.model(link)?;
        let memory = ServerMemory::new(context, link);
        Ok(RequestSettings {
            is_only: settings.links().nth(1).is_none(),
            retries: settings.local_retries()?,
            refused: Refused::new(memory.clone(), model.as_deref().unwrap_or(WHATEVER_IS_LOADED)),
            extra: settings.extra_body()?,
            window: settings.window(link)?,
            max_tokens: settings.max_tokens()?,
            timeouts: Timeouts { connect: Duration::from_secs(10), idle: settings.idle_timeout()?, whole: None },
            temperature: settings.temperature()?,
            model,
            memory,
        })
    }

    /// The same for another model of the same server. The context that the user has given is that of the main one.
    pub(crate) fn for_model(self, model: String) -> RequestSettings {
        let refused = Refused::new(self.memory.clone(), &model);
        RequestSettings { model: Some(model), refused, window: None, ..self }
    }

    /// A request for an answer to `messages`.
    pub(crate) fn request(&self, messages: Vec<Message>, max_tokens: u32) -> Request {
        let mut request = Request::new(self.sent_model().into(), messages, max_tokens, self.temperature, self.extra.clone());
        request.left_out = self.refused.known();
        request
    }

    /// The model's name as the server is given it.
    pub(crate) fn sent_model(&self) -> &str {
        self.model.as_deref().unwrap_or(WHATEVER_IS_LOADED)
    }

    /// How freely the model chooses its words.
    pub(crate) fn temperature(&self) -> f64 {
        self.temperature
    }

    /// What the user wants added to each request's body.
    pub(crate) fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// A failure that is about the user's own addition: to leave that out in silence is not ours.
    pub(crate) fn if_about_extra(&self, failure: CompletionError) -> CompletionError {
        let refusal = match &failure {
            CompletionError::Untaken { refusal, .. } | CompletionError::Refusal(refusal) => refusal,
            _ => return failure,
        };
        let is_of_request = matches!(refusal.status, 400 | 422 | 500);
        let words = refusal.line.to_lowercase();
        let key = self.extra.keys().find(|key| is_of_request && names(&words, &key.to_lowercase())).cloned();
        match (key, failure) {
            (Some(key), CompletionError::Untaken { refusal, .. } | CompletionError::Refusal(refusal)) => {
                CompletionError::ExtraUntaken { key, refusal }
            }
            (_, failure) => failure,
        }
    }
}
