//! One question to the local server, with what can be done about a server that is not ready for it.

use crate::completions::chat;
use crate::completions::chat::{Answer, Listener, Message, Request};
use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::model::Models;
use crate::local_model::recovery::{Possible, Remedy, Tried, remedy};
use crate::local_model::request::RequestSettings;
use crate::local_model::served::Choice;
use crate::local_model::window;
use crate::server::Server;
use crate::server::progress::StartProgress;

/// Makes sure that the server answers: one token of an answer is the only proof that every server gives.
///
/// # Errors
/// [`Error::DidNotComeUp`] or [`Error::NotInstalled`].
pub(crate) fn prove(context: &Context, server: &Server, progress: &mut StartProgress) -> Result<()> {
    let mut settings = RequestSettings::new(context)?;
    settings.timeouts.idle = server.start_timeout();
    let question = vec![Message { role: "user", content: "Hi".into() }];
    // It may have been started for this.
    settings.memory.forget_models();
    let models = Models::new(context, server, &settings);
    let mut request = settings.request(question, 1);
    request.model = models.find()?.id.unwrap_or(request.model);
    match ask_with_recovery(server, &settings, request, &|| true, progress, &mut ()) {
        Ok(_) | Err(Error::EmptyAnswer { .. }) => Ok(()),
        Err(error @ (Error::NotInstalled { .. } | Error::DidNotComeUp { .. })) => Err(error),
        Err(error) => {
            Err(server.did_not_come_up(&error.to_string(), "see `llm-failover logs`; check LOCAL_LLM_MODEL and LOCAL_LLM_URL"))
        }
    }
}

/// Asks one question, with the remedies of [`recovery`](crate::local_model::recovery). Never asks again once a word of the
/// answer has come, and starts no server once `is_wanted` returns false.
pub(crate) fn ask_with_recovery(
    server: &Server,
    settings: &RequestSettings,
    mut request: Request,
    is_wanted: &dyn Fn() -> bool,
    progress: &mut StartProgress,
    listener: &mut dyn Listener,
) -> Result<Answer> {
    let endpoint = server.endpoint();
    let mut tried = Tried::default();
    let served = || window::served(endpoint).unwrap_or_default();
    loop {
        let failure = match chat::ask(endpoint, &request, settings.timeouts, listener) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let possible = Possible {
            start: server.is_ours(),
            fold_system: request.messages.len() > 1 && request.messages[0].role == "system",
            drop_response_format: request.response_format.is_some(),
            ..Possible::default()
        };
        let remedy = remedy(&failure, possible, tried);
        match remedy {
            Remedy::StartServer { .. } => {
                settings.memory.forget_models();
                server.ensure_up(is_wanted, &mut |elapsed| progress.show(elapsed))?;
                if let (None, Choice::Model(id)) = (&settings.model, served().choose(server.is_ours())) {
                    request.model = id;
                }
            }
            Remedy::NameModel { refusal } => request.model = only_served_model(endpoint, settings, refusal)?,
            Remedy::FoldSystem => fold_system(&mut request.messages),
            Remedy::DropResponseFormat => request.response_format = None,
            Remedy::DropImages | Remedy::Shrink | Remedy::Fail => return Err(failure.into_error(endpoint)),
        }
        tried.add(remedy);
        progress.clear();
    }
}

/// The name of the model, for a server that needs one when the user gave none.
///
/// # Errors
/// If the server serves none, or several.
pub(crate) fn only_served_model(endpoint: &Endpoint, settings: &RequestSettings, refusal: &str) -> Result<String> {
    let served = window::served(endpoint).unwrap_or_default();
    let names = served.names();
    if let (None, [only]) = (&settings.model, names.as_slice()) {
        return Ok((*only).into());
    }
    let shown = names.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let expected = if shown.is_empty() { "the name of a model that it serves".into() } else { format!("one of {shown}") };
    Err(Error::ModelNotNamed { refusal: refusal.into(), expected })
}

/// Puts the system message into the user's, for templates that take none (Gemma 2).
fn fold_system(messages: &mut Vec<Message>) {
    let system = messages.remove(0);
    messages[0].content = format!("{}\n\n{}", system.content, messages[0].content);
}
