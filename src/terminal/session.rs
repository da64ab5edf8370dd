//! A session at a terminal, as the hooks see it: who has it, what Claude said last, and where it goes next.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nix::unistd::Pid;

use crate::claude_code::hooks::{self, HookCall, Prompt, Refusal};
use crate::claude_code::protocol::input::Role;
use crate::claude_code::refusal::{Cause, of_hook};
use crate::claude_code::transcript;
use crate::claude_code::unanswered;
use crate::context::Context;
use crate::failover::announce;
use crate::local_model::chain::Chain;
use crate::os::guardian::terminate;
use crate::os::process::start_mark;
use crate::routing::interactive_policy::InteractivePolicy;
use crate::routing::route::Side;
use crate::shown::Shown;
use crate::state::breaker::{Attempt, Breaker, Condition};
use crate::state::flag::{Backend, Flag, is_auto};
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::terminal::listener::Heard;
use crate::terminal::prompts::{Fate, Offer, Prompts, can_be_carried};
use crate::terminal::start::{Next, Start, carried};

/// How long Claude Code may take to show what a hook has said.
const SHOWN: Duration = Duration::from_millis(50);

const GOES_ON: &str = "The session goes on in a moment.";

const AUTO_MODE: &str = "auto";
const DEFAULT_MODE: &str = "default";

/// Shared by the thread that waits for Claude Code and those that hear its hooks.
#[derive(Clone)]
pub(super) struct Session(Arc<Mutex<State>>);

pub(super) struct State {
    context: Context,
    breaker: Breaker,
    policy: InteractivePolicy,
    /// The model's name as the caller gave it; empty if none was given.
    model: String,
    side: Side,
    /// The start of the Claude Code that has the session.
    since: Timestamp,
    pub child: Option<Pid>,
    prompts: Prompts,
    /// What Claude said when it refused last.
    said: Option<Shown>,
    /// Why the session did not change sides.
    obstacle: Option<Shown>,
    /// The session left Claude in auto mode.
    had_auto_mode: bool,
    /// Where the session's last prompt was.
    transcript: Option<PathBuf>,
    next: Option<Next>,
}

impl Session {
    pub(super) fn new(context: Context, breaker: Breaker, policy: InteractivePolicy, model: String) -> Session {
        Session(Arc::new(Mutex::new(State {
            context,
            breaker,
            policy,
            model,
            side: Side::Claude,
            since: Timestamp::now(),
            child: None,
            prompts: Prompts::default(),
            said: None,
            obstacle: None,
            had_auto_mode: false,
            transcript: None,
            next: None,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears a hook, answers it, and ends Claude Code if the session leaves its side.
    pub(super) fn hear(&self, heard: Heard) {
        let Ok(call) = serde_json::from_slice(&heard.json) else { return heard.answer("") };
        let fate = match &call {
            HookCall::Prompt(prompt) if !prompt.is_by_user() => Fate::Sent,
            HookCall::Prompt(prompt) => self.state().prompt(prompt),
            HookCall::Refusal(refusal) => {
                self.state().refusal(refusal);
                Fate::Sent
            }
        };
        let pid = heard.pid;
        match fate {
            Fate::Sent => heard.answer(""),
            Fate::SentWith(text) => heard.answer(&hooks::send_with(&text)),
            Fate::Held(lines) => heard.answer(&hooks::hold(&lines)),
            Fate::Carried(_) => {
                heard.answer(&hooks::hold(&GOES_ON.into()));
                std::thread::sleep(SHOWN);
                self.end_child(pid);
            }
        }
    }

    /// `inner`: Claude Code's own process, if a wrapper has started it.
    fn end_child(&self, inner: Option<i32>) {
        let Some(child) = self.state().child else { return };
        if let Some(inner) = inner.filter(|inner| *inner != child.as_raw() && *inner > 0) {
            let mark = start_mark(inner);
            terminate(Pid::from_raw(inner), || mark.is_some() && start_mark(inner) == mark);
        }
        terminate(child, || self.state().child == Some(child));
    }
}

impl State {
    pub(super) fn begin(&mut self, start: &Start) {
        self.prompts = Prompts::default();
        // One that the local model could not get is held again, with the reason.
        if start.prompt.is_some() && (start.side == Side::Local || self.obstacle.is_none()) {
            self.prompts.carry();
        }
        match start.side {
            Side::Local => self.obstacle = None,
            Side::Claude if self.side == Side::Local && self.obstacle.is_none() => self.prompts.trust_claude(),
            Side::Claude => {}
        }
        self.side = start.side;
        self.since = Timestamp::now();
        self.next = None;
    }

    /// Whether Claude Code was ended so that the session can change sides.
    pub(super) fn changes_sides(&self) -> bool {
        self.next.is_some()
    }

    /// Where the session goes when Claude Code has ended. None if the user has ended it.
    pub(super) fn take_next(&mut self) -> Option<Start> {
        if let Some(transcript) = self.transcript.take().filter(|_| self.side == Side::Claude) {
            self.learn_answer(&transcript, &self.attempt());
        }
        self.next.take().map(Next::start)
    }

    /// Whether the prompt with which this side began is on its way still.
    pub(super) fn is_carrying(&self) -> bool {
        self.prompts.is_carrying()
    }

    /// The session stays with Claude, since the local model could not be begun with in this way.
    pub(super) fn stay(&mut self, begun: Start, obstacle: Shown) -> Start {
        self.obstacle = Some(obstacle);
        let mode = begun.mode.as_deref().and_then(|mode| self.mode_at(Side::Claude, mode));
        Start { side: Side::Claude, mode, ..begun }
    }

    fn prompt(&mut self, told: &Prompt) -> Fate {
        if let Some(next) = &mut self.next {
            // It was sent in the moment in which Claude Code ends.
            next.start.prompt =
                Some(next.start.prompt.take().into_iter().chain([told.prompt.clone()]).collect::<Vec<_>>().join("\n\n"));
            return Fate::Held(GOES_ON.into());
        }
        let (attempt, transcript) = (self.attempt(), Path::new(&told.transcript_path));
        self.transcript = Some(transcript.into());
        if self.side == Side::Claude {
            self.learn_answer(transcript, &attempt);
        }
        let away = self.breaker.away(&attempt);
        self.said = self.said.take().filter(|_| away.is_some());
        let cause = away.as_ref().map(|condition| condition.cause);
        let offer = match self.side {
            Side::Claude => away.and_then(|condition| self.offer_of_local(&condition)),
            Side::Local => self.offer_of_claude(away.as_ref()),
        };
        // What has just failed is not tried again by itself.
        let policy = if self.obstacle.is_some() { InteractivePolicy::Ask } else { self.policy };
        // On the local model the word to go back needs no offer.
        let may_leave = offer.is_some() || self.side == Side::Local;
        let is_at_work = may_leave && unanswered::read(transcript).is_at_work;
        let fate = self.prompts.fate(self.side, policy, &told.prompt, offer.as_ref(), is_at_work);
        if let Fate::Carried(prompt) = &fate {
            if !carried(transcript, &told.prompt, prompt.clone()).as_deref().is_none_or(can_be_carried) {
                return Fate::Held("Let the prompts that wait be answered first: they cannot be handed over.".into());
            }
            let side = self.side.other();
            let mode = self.mode_at(side, &told.permission_mode);
            let start = Start { side, session_id: Some(told.session_id.clone()), prompt: prompt.clone(), mode, cause };
            self.next = Some(Next { start, transcript: transcript.to_path_buf(), sent: told.prompt.clone() });
        }
        fate
    }

    /// Auto mode needs a model that judges what is safe: it is Claude's alone, and is back when the session is.
    fn mode_at(&mut self, side: Side, mode: &str) -> Option<String> {
        let had_auto_mode = std::mem::replace(&mut self.had_auto_mode, side == Side::Local && mode == AUTO_MODE);
        let mode = match (side, mode) {
            (_, "") => return None,
            (Side::Local, AUTO_MODE) => DEFAULT_MODE,
            (Side::Claude, DEFAULT_MODE) if had_auto_mode => AUTO_MODE,
            (_, mode) => mode,
        };
        Some(mode.into())
    }

    fn attempt(&self) -> Attempt {
        Attempt { model: self.model.clone(), begun: Timestamp::now() }
    }

    /// None if there is no local model.
    fn offer_of_local(&self, condition: &Condition) -> Option<Offer> {
        let chain = Chain::with_small_model(&self.context).ok().filter(|_| is_auto(&self.context))?;
        let first = chain.first();
        if chain.main_links().len() == 1 && first.server.check_installed().is_err() {
            return None;
        }
        let said = self.said.as_ref().map(|said| format!(" (\u{201c}{said}\u{201d})")).unwrap_or_default();
        let obstacle = self.obstacle.as_ref().map(|obstacle| format!("{obstacle}\n")).unwrap_or_default();
        let why = Shown::lines(format_args!("{obstacle}Claude {}{said}", condition.description(Timestamp::now())));
        Some(Offer { id: format!("{} {}", condition.cause.word(), condition.since), why, model: Shown::line(first.name()) })
    }

    /// None while Claude is away.
    fn offer_of_claude(&self, away: Option<&Condition>) -> Option<Offer> {
        let backend = Flag::new(&self.context).map_or(Backend::Auto, |flag| flag.read().0);
        let why = match (backend, away) {
            (Backend::Local, _) | (Backend::Auto, Some(_)) => return None,
            (Backend::Claude, _) => "The switch is at `claude`",
            (Backend::Auto, None) => match self.breaker.conditions().iter().map(|known| known.until).min() {
                None => "Claude is back",
                Some(Some(_)) => "Claude\u{2019}s limit has ended",
                // Nobody has asked it since.
                Some(None) => "Claude may be back",
            },
        };
        let model = Chain::with_small_model(&self.context).map(|chain| Shown::line(chain.first().name())).unwrap_or_default();
        Some(Offer { id: why.into(), why: why.into(), model })
    }

    fn refusal(&mut self, refusal: &Refusal) {
        let (now, attempt) = (Timestamp::now(), self.attempt());
        let verdict = of_hook(refusal, now);
        if self.side == Side::Local || !is_auto(&self.context) || !verdict.cause.fails_over() || verdict.cause == Cause::Throttle
        {
            return;
        }
        let said = refusal.last_assistant_message.lines().next().unwrap_or_default().trim();
        self.said = Some(Shown::line(said)).filter(|said| !said.is_empty());
        self.obstacle = None;
        self.prompts.was_refused();
        announce(&self.context, &self.breaker.record_refusal(&verdict, &attempt));
        let (verdict, until) = (Some(verdict.cause.word().into()), verdict.until);
        let entry = Entry::new(&self.context.name.to_string_lossy(), now, RouteName::Terminal, AnsweredBy::Claude);
        Entry { verdict, until, ..entry }.append(&self.context);
    }

    /// An answer since the refusal says that Claude is back.
    fn learn_answer(&self, transcript: &Path, attempt: &Attempt) {
        if self.breaker.conditions().is_empty() {
            return;
        }
        let Some(messages) = transcript::read(transcript, None) else { return };
        let Some(answer) = messages.last().filter(|message| message.role == Role::Assistant) else { return };
        let question = messages.iter().rfind(|message| message.role == Role::User).map_or(answer.at, |question| question.at);
        // The local model's answers are in the transcript, too.
        if let Some(begun) = Timestamp::from_millisecond(question).ok().filter(|begun| *begun >= self.since) {
            announce(&self.context, &self.breaker.record_answer(&Attempt { begun, ..attempt.clone() }));
        }
    }
}
