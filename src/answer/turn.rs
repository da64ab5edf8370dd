//! One turn: the questions to the local model until there is an answer, of the form that was asked for.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::answer::listener::TurnListener;
use crate::answer::reporter::{Cost, Reporter, Success};
use crate::claude_code::json_schema::Schema;
use crate::completions::affinity::Affinity;
use crate::completions::chat::{Answer, Message};
use crate::completions::markup::markup_warning;
use crate::error::{Error, Result, warn};
use crate::local_model::ask::ask_with_recovery;
use crate::local_model::chain::failures::Failures;
use crate::local_model::chain::way::{Unanswered, Way};
use crate::local_model::chain::{Chain, Link};
use crate::local_model::context;
use crate::local_model::model::Model;
use crate::local_model::truncation::Detector;
use crate::server::probe::ServerState;
use crate::server::progress::StartProgress;
use crate::settings::FIRST;
use crate::state::flag::{Backend, Flag};

/// A conversation shorter than this, in tokens, fits every model's context, whatever its size.
const FITS_EVERYWHERE: usize = 1000;

/// What all turns of a conversation share.
pub(super) struct Shared {
    /// Our name in messages on stderr.
    pub applet: String,
    /// Locked for each piece of an answer, so that an interrupt comes between whole lines.
    pub reporter: Mutex<Reporter>,
    pub chain: Chain,
    /// Without a home folder there is none.
    pub flag: Option<Flag>,
    /// The user has been warned that the conversation is too long.
    pub has_warned: AtomicBool,
    pub detector: Mutex<Detector>,
    pub marks: Mutex<Marks>,
}

/// What was found in the answers, and the user has been warned of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// The server has read only a part of a prompt.
    pub is_truncated: bool,
    /// A control token that no dialect knows.
    pub unknown_markup: Option<String>,
    /// The address of the server that has answered last, unless it is the first of the chain.
    pub server: Option<String>,
}

impl Shared {
    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reporter. The lock is never poisoned in a release, where a panic ends the process.
    pub(super) fn reporter(&self) -> MutexGuard<'_, Reporter> {
        self.reporter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Question {
    /// The turn's id.
    pub turn: u64,
    /// The conversation, the new question last.
    pub messages: Vec<Message>,
    /// The form of the answer, and how many attempts the turn has at it.
    pub schema: Option<(Arc<Schema>, u32)>,
}

pub(super) enum TurnOutcome {
    Answered(Success),
    /// No answer matches the schema. `reason` is what was wrong with the last one.
    NoStructure {
        attempts: u32,
        reason: String,
    },
    Failed(Error),
}

/// Asks, and reports the answer as it comes.
pub(super) fn run(shared: &Shared, question: Question) -> TurnOutcome {
    let Question { turn: id, messages, schema } = question;
    let mut turn = LocalTurn {
        shared,
        id,
        messages: messages.clone(),
        whole: messages,
        model: None,
        pinned: 1,
        budget: None,
        way: shared.chain.way(false),
        failures: Failures::default(),
    };
    if let Some((schema, _)) = &schema {
        turn.instruct(schema.instruction());
    }
    let outcome = turn.prepare().and_then(|()| match schema {
        None => turn.ask(None).map(|answer| {
            TurnOutcome::Answered(Success {
                text: answer.text,
                structure: None,
                is_cut_by_limit: answer.is_cut_by_limit,
                usage: answer.usage,
            })
        }),
        Some((schema, attempts)) => turn.ask_for_structure(&schema, attempts),
    });
    outcome.unwrap_or_else(TurnOutcome::Failed)
}

pub(super) struct LocalTurn<'a> {
    pub(super) shared: &'a Shared,
    id: u64,
    /// What is sent: as much of the whole as fits.
    pub(super) messages: Vec<Message>,
    pub(super) whole: Vec<Message>,
    /// The model that answers, if that had to be found out.
    pub(super) model: Option<Model>,
    /// How many of the last messages are never left out.
    pub(super) pinned: usize,
    /// How many tokens the request may have, by our estimate.
    pub(super) budget: Option<usize>,
    pub(super) way: Way,
    /// What was met on it.
    pub(super) failures: Failures,
}

impl LocalTurn<'_> {
    pub(super) fn is_wanted(&self) -> bool {
        let is_running = self.shared.reporter().is_running(self.id);
        is_running && self.shared.flag.as_ref().is_some_and(|flag| flag.read().0 != Backend::Claude)
    }

    /// Finds out which model answers, if its name is asked for or its context may be too small, and reports the turn's beginning.
    fn prepare(&mut self) -> Result<()> {
        self.settle()?;
        self.report_init();
        self.fit()
    }

    /// At the first link of which nothing speaks against it yet.
    pub(super) fn settle(&mut self) -> Result<()> {
        loop {
            match self.find_needed() {
                Ok(model) => self.model = model,
                Err(error) => {
                    self.give_up(error.into())?;
                    continue;
                }
            }
            return Ok(());
        }
    }

    fn find_needed(&self) -> Result<Option<Model>> {
        let link = self.link();
        let is_shown = self.shared.reporter().names_the_model() || link.number() != FIRST;
        let may_be_too_long = link.settings.window.is_some() || context::estimate(&self.whole) > FITS_EVERYWHERE;
        if is_shown || may_be_too_long {
            return self.find_model().map(Some);
        }
        match link.settings.model {
            Some(_) => Ok(None),
            None => link.models.find().map(Some),
        }
    }

    fn find_model(&self) -> Result<Model> {
        let Link { server, models, .. } = self.link();
        let model = models.find()?;
        if model.is_known || model.window.is_some() || !server.is_ours() && server.state() != ServerState::Loading {
            return Ok(model);
        }
        let mut progress = StartProgress::new(&self.shared.applet, server, false);
        server.ensure_up(&|| self.is_wanted(), &mut |elapsed| progress.show(elapsed))?;
        models.forget();
        models.find()
    }

    pub(super) fn report_init(&self) {
        let mut reporter = self.shared.reporter();
        if reporter.is_running(self.id) {
            if let Some(model) = &self.model {
                reporter.session.model.clone_from(&model.name);
                reporter.session.window = model.window.unwrap_or_default();
            }
            reporter.send_init();
        }
    }

    fn ask(&mut self, response_format: Option<Value>) -> Result<Answer> {
        loop {
            let affinity = {
                let mut reporter = self.shared.reporter();
                if !reporter.is_running(self.id) {
                    return Err(Error::Interrupted);
                }
                reporter.send_requesting();
                Affinity::of_session(&reporter.session.session_id)
            };
            let Link { server, settings, models } = self.link();
            let mut request = settings.request(self.messages.clone(), self.max_tokens());
            request.response_format.clone_from(&response_format);
            request.affinity = Some(affinity);
            request.thinks_unopened = models.thinks_unopened();
            if let Some(id) = self.model.as_ref().and_then(|model| model.id.clone()) {
                request.model = id;
            }
            let mut progress = StartProgress::new(&self.shared.applet, server, false);
            let mut listener = TurnListener::new(self.shared, self.id);
            let begun = Instant::now();
            match ask_with_recovery(server, settings, request, &|| self.is_wanted(), &mut progress, &mut listener) {
                Ok(answer) => {
                    self.shared.chain.has_answered(&self.shared.applet, &self.way);
                    self.shared.marks().server = self.link().other_url();
                    self.check_read(answer.usage);
                    self.learn(&answer);
                    self.shared.reporter().add_cost(self.id, Cost { usage: answer.usage, api: begun.elapsed() });
                    return Ok(answer);
                }
                Err(Unanswered { error: Error::PromptTooLong { prompt, window }, .. }) => self.shorten(prompt, window)?,
                Err(unanswered) => self.go_on(unanswered)?,
            }
        }
    }

    fn learn(&self, answer: &Answer) {
        if let Some(is_unopened) = answer.thinks_unopened {
            self.link().models.learn_thinking(is_unopened);
        }
        let mut marks = self.shared.marks();
        if let (None, Some(token)) = (&marks.unknown_markup, &answer.unknown_markup) {
            warn(&self.shared.applet, &markup_warning(token));
            marks.unknown_markup = Some(token.clone());
        }
    }

    /// Each attempt gets the question, the last answer and what is wrong with it, and no earlier answers.
    fn ask_for_structure(&mut self, schema: &Schema, attempts: u32) -> Result<TurnOutcome> {
        let mut reason = String::new();
        for attempt in 0..attempts {
            let answer = self.ask(Some(schema.response_format()))?;
            let mismatch = match schema.check(&answer.text) {
                Ok(value) => {
                    let Answer { text, is_cut_by_limit, usage, .. } = answer;
                    return Ok(TurnOutcome::Answered(Success { text, structure: Some(value), is_cut_by_limit, usage }));
                }
                Err(mismatch) => mismatch,
            };
            let mut reporter = self.shared.reporter();
            if reporter.is_running(self.id) {
                reporter.send_mismatch(&answer.text, &mismatch, answer.usage);
            }
            drop(reporter);
            reason = mismatch.reason;
            let correction = format!("That is not valid against the schema: {reason}. Answer again, with the JSON value alone.");
            for messages in [&mut self.whole, &mut self.messages] {
                if attempt > 0 {
                    messages.truncate(messages.len() - 2);
                }
                messages.push(Message { role: "assistant", content: answer.text.clone() });
                messages.push(Message { role: "user", content: correction.clone() });
            }
            self.pinned = 3;
            self.fit()?;
        }
        Ok(TurnOutcome::NoStructure { attempts, reason })
    }

    fn instruct(&mut self, instruction: String) {
        match self.whole.first_mut().filter(|first| first.role == "system") {
            Some(system) => system.content = format!("{}\n\n{instruction}", system.content),
            None => self.whole.insert(0, Message { role: "system", content: instruction }),
        }
        self.messages.clone_from(&self.whole);
    }
}
