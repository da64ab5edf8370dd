//! One question to the local server, with what can be done about a server that is not ready for it.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;

use crate::completions::chat;
use crate::completions::chat::{Answer, Listener, Message, Request};
use crate::completions::endpoint::{Endpoint, Timeouts};
use crate::completions::failure::CompletionError;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::request::RequestSettings;
use crate::server::Server;
use crate::server::progress::Progress;

/// The longest list of models that is read, in bytes.
const MAX_LIST: u64 = 16 << 20;

/// How often a server is started, or waited for, for one question.
const MAX_STARTS: u32 = 3;

/// Makes sure that the server answers: one token of an answer is the only proof that holds for all of them.
///
/// # Errors
/// [`Error::DidNotComeUp`] or [`Error::NotInstalled`].
pub(crate) fn prove(context: &Context, server: &Server, progress: &mut Progress) -> Result<()> {
    let mut settings = RequestSettings::new(context)?;
    settings.patience.idle = server.patience();
    let question = vec![Message { role: "user", content: "Hi".into() }];
    match exchange(server, &settings, settings.request(question, 1), &|| true, progress, &mut ()) {
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
///
/// # Errors
/// Those of the server, worded.
pub(crate) fn exchange(
    server: &Server,
    settings: &RequestSettings,
    mut request: Request,
    is_wanted: &dyn Fn() -> bool,
    progress: &mut Progress,
    listener: &mut dyn Listener,
) -> Result<Answer> {
    let endpoint = server.endpoint();
    let (mut starts, mut model_is_known) = (0, false);
    loop {
        let failure = match chat::ask(endpoint, &request, settings.patience, listener) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match failure {
            CompletionError::Refused(_) | CompletionError::Broken(_) | CompletionError::Dead(_) if !server.is_ours() => {
                return Err(failure.worded(endpoint));
            }
            CompletionError::Refused(_) | CompletionError::Loading if starts < MAX_STARTS => {
                starts += 1;
                server.ensure_up(is_wanted, &mut |elapsed| progress.show(elapsed))?;
            }
            // Once: this question may be what breaks it.
            CompletionError::Broken(_) | CompletionError::Dead(_) if starts == 0 => {
                starts = MAX_STARTS;
                server.ensure_up(is_wanted, &mut |elapsed| progress.show(elapsed))?;
            }
            CompletionError::UnknownModel(refusal) if !model_is_known => {
                model_is_known = true;
                request.model = the_one_model(endpoint, settings, &refusal.line)?;
            }
            CompletionError::NoSystemRole(_) if fold_system(&mut request) => continue,
            CompletionError::NoResponseFormat(_) if request.response_format.take().is_some() => continue,
            failure => return Err(failure.worded(endpoint)),
        }
        progress.clear();
    }
}

/// The model to name to a server that needs a name, when the user gave none.
///
/// # Errors
/// If there is not just one.
pub(crate) fn the_one_model(endpoint: &Endpoint, settings: &RequestSettings, refusal: &str) -> Result<String> {
    let served = served_models(endpoint);
    let names: Vec<&str> = served.iter().filter_map(|model| model["id"].as_str()).collect();
    if let (None, [only]) = (&settings.model, names.as_slice()) {
        return Ok((*only).into());
    }
    let shown = names.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let what = if shown.is_empty() { "the name of a model that it serves".into() } else { format!("one of {shown}") };
    Err(Error::Answer(format!("the local server refused: {refusal}; set LOCAL_LLM_MODEL to {what}")))
}

/// The models that the server lists, each with what it says of them; none if it lists none.
pub(crate) fn served_models(endpoint: &Endpoint) -> Vec<Value> {
    let seconds = Duration::from_secs;
    let patience = Timeouts { connect: seconds(10), idle: seconds(10), whole: Some(seconds(20)) };
    let Ok(mut response) = endpoint.models(patience) else { return vec![] };
    let mut list: Value = serde_json::from_reader(response.body_mut().as_reader().take(MAX_LIST)).unwrap_or_default();
    match list["data"].take() {
        Value::Array(models) => models,
        _ => vec![],
    }
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
