//! How local answers are made: the `LOCAL_LLM_*` settings.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::completions::chat::{Message, Request};
use crate::completions::endpoint::Timeouts;
use crate::context::Context;
use crate::error::{Error, Result};

/// What mlx-lm takes for "the model that is loaded"; any other unknown name would make it drop that model and look for
/// the name on a hub. Servers with one model ignore the name; the others say that they do not know it.
const WHATEVER_IS_LOADED: &str = "default_model";

/// How local answers are made.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The model's name, if the user gave one.
    pub model: Option<String>,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    /// The context that the model has, in tokens, if the user gave it.
    pub window: Option<u32>,
    /// How long to wait for the server.
    pub patience: Timeouts,
    temperature: f64,
    extra: Map<String, Value>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(crate) fn new(context: &Context) -> Result<Settings> {
        let extra = match context.text("LOCAL_LLM_EXTRA_BODY")? {
            None => Map::new(),
            Some(text) => serde_json::from_str(&text).map_err(|_| Error::Setting {
                key: "LOCAL_LLM_EXTRA_BODY",
                value: "…".into(),
                expected: "a JSON object",
            })?,
        };
        let window = at_least_one(context, "LOCAL_LLM_CONTEXT", 0, "a number of tokens")?;
        let max_tokens = at_least_one(context, "LOCAL_LLM_MAX_TOKENS", 800, "a number of tokens")?;
        let idle = at_least_one(context, "LOCAL_LLM_IDLE_TIMEOUT", 600, "a number of seconds")?;
        let expected = "a number that is not negative";
        let temperature: f64 = context.number("LOCAL_LLM_TEMPERATURE", 0.2, expected)?;
        if !temperature.is_finite() || temperature < 0.0 {
            // JSON has no word for the first kind, and would say null.
            let value = context.text("LOCAL_LLM_TEMPERATURE")?.unwrap_or_default();
            return Err(Error::Setting { key: "LOCAL_LLM_TEMPERATURE", value, expected });
        }
        let model = context.text("LOCAL_LLM_MODEL")?.map(|model| model.trim().to_string());
        Ok(Settings {
            model: model.filter(|model| !model.is_empty()),
            max_tokens,
            window: (window > 0).then_some(window),
            patience: Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(idle.into()), whole: None },
            temperature,
            extra,
        })
    }

    /// A request for an answer to `messages`.
    pub(crate) fn request(&self, messages: Vec<Message>, max_tokens: u32) -> Request {
        Request::new(self.sent_model().into(), messages, max_tokens, self.temperature, self.extra.clone())
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
}

/// A number that is `default` if it is not set, and may not be set to 0.
fn at_least_one(context: &Context, key: &'static str, default: u32, expected: &'static str) -> Result<u32> {
    match context.number(key, default, expected)? {
        0 if default > 0 || context.setting(key).is_some() => {
            Err(Error::Setting { key, value: "0".into(), expected: "at least 1" })
        }
        number => Ok(number),
    }
}
