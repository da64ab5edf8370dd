//! Answering a call from the local server, as Claude Code would have printed the answer.

pub mod chat;
pub mod endpoint;
pub mod failure;
mod mentions;
mod prompt;
mod reasoning;
mod sse;
mod text;

use std::time::Duration;

use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::{Error, Result, warn};
use crate::invocation::Invocation;
use crate::server::{Progress, Server};
use crate::switch::{Backend, Switch};
use chat::{Answer, Message, Request};
use endpoint::{Endpoint, Patience, short_body};
use failure::Failure;

/// What mlx-lm takes for "the model that is loaded"; any other unknown name would make it drop that model and look for
/// the name on a hub. Servers with one model ignore the name; the others say that they do not know it.
const WHATEVER_IS_LOADED: &str = "default_model";

/// Answers a print-mode call on stdout.
///
/// # Errors
/// The real CLI's own for a call that it would refuse, ours for a local server that gives no answer.
pub fn run(applet: &str, context: &Context, invocation: &Invocation) -> Result<()> {
    let system = check(invocation)?;
    let prompt = prompt::assemble(invocation)?;
    let prompt = match invocation.has("--bare") {
        true => prompt,
        false => mentions::expand(context, prompt, &mut |warning| warn(applet, &warning)),
    };
    let mut messages = Vec::new();
    messages.extend(system.map(|content| Message { role: "system", content }));
    messages.push(Message { role: "user", content: prompt });
    let settings = Settings::new(context)?;
    let request = settings.request(messages, settings.max_tokens);
    let server = Server::new(context)?;
    let mut output = text::Output::new(context);
    let is_local = || Switch::new(context).is_ok_and(|switch| switch.read().0 == Backend::Local);
    let mut progress = Progress::new(applet, &server, false);
    let outcome = exchange(&server, &settings, request, &is_local, &mut progress, &mut |piece| output.show(piece));
    match outcome {
        Ok(answer) => {
            output.finish(&answer.text)?;
            if answer.is_cut_by_limit {
                warn(
                    applet,
                    &format!(
                        "the answer ends at its limit of {} tokens; raise LOCAL_LLM_MAX_TOKENS for more",
                        settings.max_tokens
                    ),
                );
            }
            Ok(())
        }
        Err(error) => {
            output.end_line();
            Err(output.with_what_was_not_shown(error))
        }
    }
}

/// The checks that the real CLI makes before it reads stdin, in its order, and the system prompt.
fn check(invocation: &Invocation) -> Result<Option<String>> {
    let fault = |text: &str| Err(Error::AsClaude(format!("Error: {text}")));
    invocation.check_command()?;
    if let Some(id) = invocation.last("--session-id") {
        if (invocation.has("--continue") || invocation.has("--resume")) && !invocation.has("--fork-session") {
            return fault("--session-id with --continue or --resume also needs --fork-session.");
        }
        if !is_uuid(id) {
            return fault("Invalid session ID. Must be a valid UUID.");
        }
    }
    let system = prompt::system(invocation)?;
    let output = invocation.last("--output-format").unwrap_or("text");
    let is_stream_in = invocation.last("--input-format") == Some("stream-json");
    if is_stream_in && output != "stream-json" {
        return fault("--input-format=stream-json requires output-format=stream-json.");
    }
    if invocation.has("--replay-user-messages") && !is_stream_in {
        return fault("--replay-user-messages requires both --input-format=stream-json and --output-format=stream-json.");
    }
    for option in ["--include-partial-messages", "--forward-subagent-text"] {
        if invocation.has(option) && output != "stream-json" {
            return fault(&format!("{option} requires --print and --output-format=stream-json."));
        }
    }
    if output != "text" {
        return Err(Error::FormatNotLocal(output.into()));
    }
    for option in ["--json-schema", "--resume", "--continue"] {
        if invocation.has(option) {
            return Err(Error::OptionNotLocal(option));
        }
    }
    Ok(system)
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// How local answers are made.
pub struct Settings {
    model: Option<String>,
    max_tokens: u32,
    temperature: f64,
    extra: Map<String, Value>,
    patience: Patience,
}

impl Settings {
    /// Reads the `LOCAL_LLM_*` settings.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn new(context: &Context) -> Result<Settings> {
        let extra = match context.text("LOCAL_LLM_EXTRA_BODY")? {
            None => Map::new(),
            Some(text) => serde_json::from_str(&text).map_err(|_| Error::Setting {
                key: "LOCAL_LLM_EXTRA_BODY",
                value: "…".into(),
                expected: "a JSON object",
            })?,
        };
        let max_tokens = context.number("LOCAL_LLM_MAX_TOKENS", 800, "a number of tokens")?;
        if max_tokens == 0 {
            return Err(Error::Setting { key: "LOCAL_LLM_MAX_TOKENS", value: "0".into(), expected: "at least 1" });
        }
        let idle: u32 = context.number("LOCAL_LLM_IDLE_TIMEOUT", 600, "a number of seconds")?;
        if idle == 0 {
            return Err(Error::Setting { key: "LOCAL_LLM_IDLE_TIMEOUT", value: "0".into(), expected: "at least 1" });
        }
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
            temperature,
            extra,
            patience: Patience { connect: Duration::from_secs(10), idle: Duration::from_secs(idle.into()), whole: None },
        })
    }

    fn request(&self, messages: Vec<Message>, max_tokens: u32) -> Request {
        let model = self.model.clone().unwrap_or_else(|| WHATEVER_IS_LOADED.into());
        Request::new(model, messages, max_tokens, self.temperature, self.extra.clone())
    }
}

/// Makes sure that the server answers: one token of an answer is the only proof that holds for all of them.
///
/// # Errors
/// [`Error::DidNotComeUp`] or [`Error::NotInstalled`].
pub fn prove(context: &Context, server: &Server, progress: &mut Progress) -> Result<()> {
    let mut settings = Settings::new(context)?;
    settings.patience.idle = server.patience();
    let question = vec![Message { role: "user", content: "Hi".into() }];
    match exchange(server, &settings, settings.request(question, 1), &|| true, progress, &mut |_| {}) {
        Ok(_) | Err(Error::EmptyAnswer { .. }) => Ok(()),
        Err(error @ (Error::NotInstalled(_) | Error::DidNotComeUp { .. })) => Err(error),
        Err(error) => {
            Err(server.did_not_come_up(&error.to_string(), "see `llm-failover logs`; check LOCAL_LLM_MODEL and LOCAL_LLM_URL"))
        }
    }
}

/// One question, with what can be done about a server that is down, loading, dead inside, or asks for another model's
/// name or another shape of the question. Nothing is asked twice once a word of the answer has come, and no server is
/// started that `is_wanted` no more.
fn exchange(
    server: &Server,
    settings: &Settings,
    mut request: Request,
    is_wanted: &dyn Fn() -> bool,
    progress: &mut Progress,
    on_text: &mut dyn FnMut(&str),
) -> Result<Answer> {
    let endpoint = server.endpoint();
    let (mut starts, mut model_is_known) = (0, false);
    loop {
        let failure = match chat::ask(endpoint, &request, settings.patience, on_text) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match failure {
            Failure::Refused(_) | Failure::Broken(_) | Failure::Dead(_) if !server.is_ours() => {
                return Err(failure.worded(endpoint));
            }
            Failure::Refused(_) | Failure::Loading if starts < MAX_STARTS => {
                starts += 1;
                server.ensure_up(is_wanted, &mut |elapsed| progress.show(elapsed))?;
            }
            // Once: this question may be what breaks it.
            Failure::Broken(_) | Failure::Dead(_) if starts == 0 => {
                starts = MAX_STARTS;
                server.ensure_up(is_wanted, &mut |elapsed| progress.show(elapsed))?;
            }
            Failure::UnknownModel(line) if !model_is_known => {
                model_is_known = true;
                request.model = the_one_model(endpoint, settings, &line)?;
            }
            Failure::NoSystemRole(line) => match fold_system(&mut request) {
                true => continue,
                false => return Err(Error::Answer(format!("the local server refused: {line}"))),
            },
            failure => return Err(failure.worded(endpoint)),
        }
        progress.clear();
    }
}

/// How often a server is started, or waited for, for one question.
const MAX_STARTS: u32 = 3;

/// The model to name to a server that needs a name, when the user gave none.
fn the_one_model(endpoint: &Endpoint, settings: &Settings, refusal: &str) -> Result<String> {
    let mut served = served_models(endpoint);
    let choose = |names: &[String]| {
        let names = names.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let what = if names.is_empty() { "the name of a model that it serves".into() } else { format!("one of {names}") };
        Err(Error::Answer(format!("the local server refused: {refusal}; set LOCAL_LLM_MODEL to {what}")))
    };
    match (settings.model.is_none(), served.len()) {
        (true, 1) => Ok(served.remove(0)),
        _ => choose(&served),
    }
}

fn served_models(endpoint: &Endpoint) -> Vec<String> {
    let seconds = Duration::from_secs;
    let patience = Patience { connect: seconds(10), idle: seconds(10), whole: Some(seconds(20)) };
    let Ok(mut response) = endpoint.models(patience) else { return vec![] };
    let list: Value = serde_json::from_str(&short_body(&mut response)).unwrap_or_default();
    let ids = list["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str());
    ids.map(str::to_string).collect()
}

/// Puts the system message into the user's, for templates that take none (Gemma 2).
fn fold_system(request: &mut Request) -> bool {
    if request.messages.len() < 2 || request.messages[0].role != "system" {
        return false;
    }
    let system = request.messages.remove(0);
    request.messages[0].content = format!("{}\n\n{}", system.content, request.messages[0].content);
    true
}
