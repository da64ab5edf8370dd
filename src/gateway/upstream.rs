//! The local server, asked for chat completions.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::completions::failure::{CompletionError, refusal};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::gateway::agent_prompt::AgentPrompt;
use crate::gateway::api_error::ApiError;
use crate::gateway::client::{Client, ClientError, StreamingResponse};
use crate::gateway::count::Counter;
use crate::gateway::cuts::Cuts;
use crate::gateway::instructions::Keeper;
use crate::gateway::links::{UNLISTED, Unanswered};
use crate::gateway::marks::Marks;
use crate::gateway::question::Question;
use crate::gateway::reply::Learned;
use crate::gateway::request::MessagesRequest;
use crate::local_model::ask::{only_served_model, spread};
use crate::local_model::chain::way::Obstacle;
use crate::local_model::chain::{Chain, Link};
use crate::local_model::prime;
use crate::local_model::recovery::{Possible, Remedy, remedy};
use crate::names::GATEWAY_APPENDED;
use crate::server::progress::StartProgress;
use crate::shown::Shown;
use crate::state::flag::{Backend, Flag};

/// The longest error body that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 << 10;

/// How soon a pause ends if the answer is not wanted any more.
const POLL: Duration = Duration::from_millis(250);

/// The local models, and what is known of them.
pub(crate) struct Upstream {
    pub(super) chain: Chain,
    /// One for each link.
    clients: Vec<Client>,
    pub(super) marks: Marks,
    /// One for each link.
    pub(super) counters: Vec<Mutex<Counter>>,
    pub(super) prompt: AgentPrompt,
    /// Where conversations were cut, if they may be.
    pub(super) cuts: Option<Cuts>,
    /// The links at which requests are lean.
    pub(super) lean_links: Vec<AtomicBool>,
    flag: Option<Flag>,
    keeper: Option<Keeper>,
    /// Keeps away whoever would prime the server, from the first question on.
    way: OnceCell<Option<File>>,
    /// Claude Code asks, and no other program.
    pub(super) for_claude_code: bool,
    /// What the user wants said in a system prompt that is shortened.
    pub(super) appended: String,
    pub(super) has_warned_of_size: AtomicBool,
    /// The context that the server has told when it refused.
    pub(super) told_window: AtomicU64,
}

impl Upstream {
    /// The servers that the settings describe. `for_claude_code`: Claude Code asks, and the switch decides whether it may.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub(crate) fn new(context: &Context, for_claude_code: bool) -> Result<Upstream> {
        let chain = Chain::with_small_model(context)?;
        let client = |link: &Link| Client::new(link.server.endpoint(), link.settings.timeouts);
        let clients = chain.links().iter().map(client).collect::<std::result::Result<Vec<_>, _>>();
        Ok(Upstream {
            clients: clients.map_err(|error| Error::NoHttpClient { reason: Shown::line(error) })?,
            marks: Marks::new(context, chain.links().len()),
            counters: chain.links().iter().map(|_| Mutex::default()).collect(),
            prompt: AgentPrompt::announced(context),
            cuts: Cuts::new(context),
            lean_links: chain.links().iter().map(|_| AtomicBool::new(false)).collect(),
            chain,
            flag: Flag::new(context).ok().filter(|_| for_claude_code),
            keeper: Keeper::new(context).filter(|_| for_claude_code),
            way: OnceCell::new(),
            for_claude_code,
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
        self.way.get_or_init(|| self.make_way()).await;
        let mut question = Question::new(request, self.way(request));
        self.begin_link(&mut question).await?;
        Ok(question)
    }

    async fn make_way(self: &Arc<Upstream>) -> Option<File> {
        let this = self.clone();
        spawn_blocking(move || prime::make_way(&this.chain.first().server)).await.ok().flatten()
    }

    /// Asks, with all remedies, until an answer begins.
    ///
    /// # Errors
    /// What the API says to it.
    pub(crate) async fn ask(self: &Arc<Upstream>, question: &mut Question) -> std::result::Result<StreamingResponse, ApiError> {
        loop {
            let outcome = match std::mem::replace(&mut question.limited, Ok(())) {
                Ok(()) => self.send(question).await.inspect_err(|failure| self.learn_from_refusal(question, failure)),
                Err((prompt, window)) => Err(CompletionError::TooLong { prompt: Some(prompt), window: Some(window) }),
            };
            match outcome {
                Ok(answer) => {
                    self.note_size(question);
                    return Ok(answer);
                }
                // Apart: most answers need no room for it.
                Err(failure) => Box::pin(self.recover(question, failure)).await?,
            }
        }
    }

    /// An answer has told something of its model, and of what the server does not take.
    pub(crate) fn was_answered(&self, question: &Question, learned: Learned) {
        let link = self.link(question);
        link.settings.refused.remember(&question.left_out);
        if let Some(is_unopened) = learned.thinks_unopened {
            link.models.learn_thinking(is_unopened);
        }
        self.note_link(question);
        if let Some(keeper) = self.keeper.as_ref().filter(|_| question.way.current() == 0 && !question.is_cut()) {
            keeper.keep(question.whole_request(), || question.whole(&link.settings, false));
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
        let this = self.clone();
        let link = this.link(question);
        let failure = link.settings.if_about_extra(failure.by_its_words());
        if self.finds_room(question, &failure).await {
            return self.begin_link(question).await;
        }
        let smaller = match failure {
            CompletionError::TooLong { window, .. } | CompletionError::AnswerTooLong { window, .. } => {
                self.told_window.store(window.unwrap_or_default(), Relaxed);
                self.next_smaller(question)
            }
            _ => None,
        };
        let leave_out = match &failure {
            CompletionError::Untaken { about, refusal } => {
                let whole = question.whole(&link.settings, !self.for_claude_code);
                question.left_out.next(about, &refusal.line, &whole, link.settings.extra())
            }
            _ => None,
        };
        let possible = Possible {
            start: link.server.is_ours(),
            is_only: link.settings.is_only,
            retries: link.settings.retries,
            leave_out,
            max_tokens: question.sized.max_tokens,
            shrink: smaller.is_some(),
        };
        let remedy = remedy(&failure, &possible, question.tried);
        question.tried.add(remedy);
        match (remedy, smaller) {
            (Remedy::StartServer { .. }, _) => match self.ensure_up(question).await {
                Ok(()) => match self.model(question).await {
                    Ok(model) => {
                        question.model = model.id.or(question.model.take());
                        return self.limit_or_go_on(question).await;
                    }
                    Err(unanswered) => return self.go_on(question, unanswered).await,
                },
                Err(unanswered) => return self.go_on(question, unanswered).await,
            },
            (Remedy::Wait(pause), _) => self.wait(pause).await?,
            (Remedy::BackOff(pause), _) => self.wait(spread(pause)).await?,
            (Remedy::NameModel { refusal }, _) => match self.only_served_model(question, refusal.into()).await {
                Ok(name) => question.model = Some(name),
                Err(unanswered) => return self.go_on(question, unanswered).await,
            },
            (Remedy::LeaveOut(untaken), _) => question.left_out.add(untaken.clone()),
            (Remedy::LowerMaxTokens(most), _) => question.sized.max_tokens = most,
            (Remedy::TellEmpty, _) => question.tell_empty(),
            (Remedy::Shrink, Some(smaller)) => {
                question.set_sized(smaller);
                return self.limit_or_go_on(question).await;
            }
            (Remedy::Shrink | Remedy::Fail, _) => {
                let unanswered =
                    Unanswered { obstacle: Obstacle::of_failure(&failure), error: self.api_error(question, failure) };
                return self.go_on(question, unanswered).await;
            }
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

    /// A failure as the API tells it.
    pub(crate) fn api_error(&self, question: &Question, failure: CompletionError) -> ApiError {
        ApiError::from_failure(failure, |failure| failure.into_error(self.link(question).server.endpoint()))
    }

    /// A broken connection, in the middle of an answer.
    pub(crate) fn failure_within_answer(&self, question: &Question, error: ClientError) -> CompletionError {
        error.within_answer(self.link(question).settings.timeouts.idle)
    }

    fn body(&self, question: &Question) -> Vec<u8> {
        let settings = &self.link(question).settings;
        if question.left_out.is_empty() && settings.extra().is_empty() {
            return question.whole_body(settings, !self.for_claude_code).unwrap_or_default();
        }
        let whole = question.whole(settings, !self.for_claude_code);
        Value::from(question.left_out.finish(whole, settings.extra())).to_string().into_bytes()
    }

    async fn send(&self, question: &Question) -> std::result::Result<StreamingResponse, CompletionError> {
        let (link, client) = (self.link(question), &self.clients[question.way.current()]);
        let posted = client.post(self.body(question), question.sent().affinity.as_ref()).await;
        let mut response = posted.map_err(|error| error.before_answer(link.settings.timeouts.idle))?;
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
        let endpoint = link.server.endpoint();
        Err(refusal(status, response.headers(), &endpoint.without_key(String::from_utf8_lossy(&body).into_owned())))
    }

    async fn ensure_up(self: &Arc<Upstream>, question: &Question) -> std::result::Result<(), Unanswered> {
        let unasked = "the local server could not be looked after";
        self.blocking(question, unasked, |upstream, link| {
            let mut progress = StartProgress::new(super::NAME, &link.server, false);
            link.models.forget();
            link.server.ensure_up(&|| upstream.is_wanted(), &mut |elapsed| progress.show(elapsed))
        })
        .await
    }

    fn is_wanted(&self) -> bool {
        self.flag.as_ref().is_none_or(|flag| flag.read().0 != Backend::Claude)
    }

    async fn only_served_model(
        self: &Arc<Upstream>,
        question: &Question,
        refusal: String,
    ) -> std::result::Result<String, Unanswered> {
        let find = move |_: &Upstream, link: &Link| only_served_model(link.server.endpoint(), &link.settings, &refusal);
        self.blocking(question, UNLISTED, find).await
    }
}
