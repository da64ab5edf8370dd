//! One question to the local server, with what can be done about a server that is not ready for it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::completions::chat;
use crate::completions::chat::{Answer, Listener, Message, Request};
use crate::completions::endpoint::Endpoint;
use crate::completions::failure::CompletionError;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::chain::way::{Obstacle, Unanswered};
use crate::local_model::model::Models;
use crate::local_model::prime;
use crate::local_model::recovery::{AFTER_EMPTY, Possible, Remedy, Tried, remedy};
use crate::local_model::request::RequestSettings;
use crate::local_model::served::Choice;
use crate::local_model::window;
use crate::server::Server;
use crate::server::progress::StartProgress;
use crate::settings::{FIRST, Setting};
use crate::shown::{Shown, shown};

/// Makes sure that the server answers: one token of an answer is the only proof that every server gives.
///
/// # Errors
/// [`Error::DidNotComeUp`] or [`Error::NotInstalled`].
pub(crate) fn prove(context: &Context, server: &Server, progress: &mut StartProgress) -> Result<()> {
    let mut settings = RequestSettings::of_link(context, server.endpoint().link())?;
    settings.timeouts.idle = server.start_timeout();
    let question = vec![Message { role: "user", content: "Hi".into() }];
    // It may have been started for this.
    settings.memory.forget_models();
    let models = Models::new(context, server, &settings);
    let mut request = settings.request(question, 1);
    request.model = models.find()?.id.unwrap_or(request.model);
    match ask_with_recovery(server, &settings, request, &|| true, progress, &mut ()).map_err(|unanswered| unanswered.error) {
        Ok(_) | Err(Error::EmptyAnswer { .. }) => Ok(()),
        Err(error @ (Error::NotInstalled { .. } | Error::DidNotComeUp { .. })) => Err(error),
        Err(error) => {
            let [model, url] = [Setting::Model, Setting::Url].map(|setting| server.endpoint().variable(setting));
            let log = if server.is_ours() { "see `llm-failover logs`; " } else { "" };
            Err(server.did_not_come_up(error, shown!("{log}check {model} and {url}")))
        }
    }
}

/// Asks one question, with the remedies of [`recovery`](crate::local_model::recovery). Never asks again once a word of the
/// answer has reached the caller, and neither starts a server nor waits for one once `is_wanted` returns false.
///
/// # Errors
/// With what another link of the chain can be asked for, if one can.
pub(crate) fn ask_with_recovery(
    server: &Server,
    settings: &RequestSettings,
    mut request: Request,
    is_wanted: &dyn Fn() -> bool,
    progress: &mut StartProgress,
    listener: &mut dyn Listener,
) -> std::result::Result<Answer, Unanswered> {
    let endpoint = server.endpoint();
    // Only the first link is primed, and without that file nobody has done it yet.
    let _way = (endpoint.link() == FIRST && server.priming_lock().exists()).then(|| prime::make_way(server));
    let mut tried = Tried::default();
    let served = || window::served(endpoint).unwrap_or_default();
    let mut listener = FirstWord { listener, space: String::new(), has_come: false };
    loop {
        let failure = match chat::ask(endpoint, &request, settings.timeouts, &mut listener) {
            Ok(answer) => {
                settings.refused.remember(&request.left_out);
                return Ok(answer);
            }
            Err(failure) if listener.has_passed_on() => {
                return Err(Unanswered { error: failure.into_error(endpoint), obstacle: None });
            }
            Err(failure) => settings.if_about_extra(failure.by_its_words()),
        };
        listener.begin_again();
        let leave_out = match &failure {
            CompletionError::Untaken { about, refusal } => request.next_to_leave_out(about, &refusal.line),
            _ => None,
        };
        let has_older = request.messages.iter().filter(|message| message.role != "system").count() > 1;
        let possible = Possible {
            start: server.is_ours(),
            is_only: settings.is_only,
            retries: settings.retries,
            leave_out,
            max_tokens: request.max_tokens,
            shrink: has_older,
        };
        let remedy = remedy(&failure, &possible, tried);
        match remedy {
            Remedy::StartServer { .. } => {
                settings.memory.forget_models();
                server.ensure_up(is_wanted, &mut |elapsed| progress.show(elapsed))?;
                if let (None, Choice::Model(id)) = (&settings.model, served().choose(server.is_ours())) {
                    request.model = id;
                }
            }
            Remedy::Wait(pause) => wait(pause, is_wanted)?,
            Remedy::BackOff(pause) => wait(spread(pause), is_wanted)?,
            Remedy::NameModel { refusal } => request.model = only_served_model(endpoint, settings, refusal)?,
            Remedy::LeaveOut(untaken) => request.left_out.add(untaken.clone()),
            Remedy::LowerMaxTokens(most) => request.max_tokens = most,
            Remedy::TellEmpty => tell_empty(&mut request.messages),
            // The caller knows the conversation, and shortens it.
            Remedy::Shrink | Remedy::Fail => {
                return Err(Unanswered { obstacle: Obstacle::of_failure(&failure), error: failure.into_error(endpoint) });
            }
        }
        tried.add(remedy);
        progress.clear();
    }
}

/// A pause that is up to a quarter shorter: calls that met the same refusal together do not come back together.
pub(crate) fn spread(pause: Duration) -> Duration {
    let share = RandomState::new().build_hasher().finish() % 256;
    pause - (pause / 4 / 256).saturating_mul(share as u32)
}

/// Two messages of the user in a row are more than strict templates take.
fn tell_empty(messages: &mut Vec<Message>) {
    match messages.last_mut().filter(|last| last.role == "user") {
        Some(last) => last.content = format!("{}\n\n{AFTER_EMPTY}", last.content),
        None => messages.push(Message { role: "user", content: AFTER_EMPTY.into() }),
    }
}

/// # Errors
/// [`Error::SwitchedBack`] as soon as the answer is not wanted any more.
fn wait(pause: Duration, is_wanted: &dyn Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while let Some(left) = pause.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        if !is_wanted() {
            return Err(Error::SwitchedBack);
        }
        sleep(left.min(POLL));
    }
    Ok(())
}

/// How soon a pause ends if nobody wants the answer any more.
const POLL: Duration = Duration::from_millis(50);

/// Notices the first word of an answer. Space before it is held back: it may be all that comes.
struct FirstWord<'a> {
    listener: &'a mut dyn Listener,
    space: String,
    has_come: bool,
}

impl Listener for FirstWord<'_> {
    fn on_text(&mut self, piece: &str) -> ControlFlow<()> {
        if self.has_come {
            return self.listener.on_text(piece);
        }
        self.space.push_str(piece);
        if self.space.trim().is_empty() {
            return ControlFlow::Continue(());
        }
        self.has_come = true;
        self.listener.on_text(&std::mem::take(&mut self.space))
    }

    fn on_pause(&mut self) -> ControlFlow<()> {
        self.listener.on_pause()
    }

    fn has_passed_on(&self) -> bool {
        self.has_come && self.listener.has_passed_on()
    }

    fn begin_again(&mut self) {
        self.space.clear();
        if std::mem::take(&mut self.has_come) {
            self.listener.begin_again();
        }
    }
}

/// The name of the model, for a server that needs one when the user gave none.
///
/// # Errors
/// If the server serves none, or several.
pub(crate) fn only_served_model(endpoint: &Endpoint, settings: &RequestSettings, refusal: &str) -> Result<String> {
    // What is remembered of it was of no use.
    settings.memory.forget_models();
    let served = window::served(endpoint).unwrap_or_default();
    if let (None, Choice::Model(id)) = (&settings.model, served.choose(false)) {
        return Ok(id);
    }
    let names = served.names();
    let shown = names.iter().take(10).map(|name| format!("`{}`", Shown::line(name))).collect::<Vec<_>>().join(", ");
    let expected = if shown.is_empty() { "the name of a model that it serves".into() } else { shown!("one of {shown}") };
    let key = Shown::line(endpoint.variable(Setting::Model));
    Err(Error::ModelNotNamed { key, refusal: Shown::line(endpoint.without_key(refusal.into())), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_within_their_last_quarter() {
        let second = Duration::from_secs(1);
        let pauses: Vec<Duration> = (0..100).map(|_| spread(second)).collect();
        assert!(pauses.iter().all(|pause| (second * 3 / 4..=second).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
