//! A conversation: what comes in, one turn after the other, and what is kept of it.
//!
//! Each turn is asked in a thread of its own, so that an interrupt, a control request or the end of the input is taken
//! while the model answers. A turn that was interrupted is left to itself: its next piece finds that nobody listens, and
//! that closes the connection, on which servers stop.

pub(crate) mod control;

use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead, BufReader};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

use crate::answer::turn::{Question, Shared};
use crate::answer::{mentions, turn};
use crate::claude_code::json_schema::Schema;
use crate::claude_code::prompt::is_blank;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::input::{Input, NO_CONTENT, UserMessage};
use crate::claude_code::protocol::output::Format;
use crate::claude_code::protocol::{input, messages};
use crate::completions::chat::Message;
use crate::completions::chunk::Usage;
use crate::context::Context;
use crate::error::{Error, Result, warn};
use crate::os::blocking::Blocking;
use crate::state::ledger::Entry;
use crate::state::sessions::Session;
use crate::stdin::Feed;

/// A conversation.
pub(crate) struct Conversation<'a> {
    context: &'a Context,
    shared: Arc<Shared>,
    session: Session,
    /// The system prompt, from the options or the caller.
    system: Option<String>,
    options: Options,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// What was said and is not answered yet.
    queue: VecDeque<UserMessage>,
    turn: Option<Running>,
    turns: u64,
    is_over: bool,
    /// The ids of all messages so far: one that comes twice is answered once.
    known: HashSet<String>,
    interrupts: Option<Receiver<()>>,
    /// Why the first turn is left to somebody else.
    declined: Option<Error>,
}

/// How a conversation ended.
pub(crate) enum Outcome {
    /// It was held.
    Answered(Answered),
    /// Nothing was printed; why.
    Declined(Error),
}

/// What a conversation came to.
pub(crate) struct Answered {
    /// Whether its last turn failed.
    pub has_failed: bool,
    /// The model that answered, as far as it is known.
    pub model: String,
    /// The tokens of all its turns.
    pub usage: Usage,
}

impl Answered {
    /// The ledger's entry of a call that was answered locally for the reason `verdict`.
    pub(crate) fn record(&self, verdict: &str, entry: Entry) -> Entry {
        Entry {
            verdict: Some(verdict.into()),
            model: Some(self.model.clone()),
            input_tokens: Some(self.usage.input + self.usage.cached),
            output_tokens: Some(self.usage.output),
            exit: Some(self.has_failed.into()),
            ..entry
        }
    }
}

/// How a conversation is held.
pub(crate) struct Options {
    /// The system prompt.
    pub system: Option<String>,
    /// The form of the answers, and how often to try for it.
    pub schema: Option<(Arc<Schema>, u32)>,
    /// Whether `@file` means the file.
    pub expands_mentions: bool,
    /// Whether what was said is repeated.
    pub replays: bool,
    /// Whether all permissions may be given; without tools that changes a word.
    pub may_bypass_permissions: bool,
    /// Whether the caller waits to hear that the session is idle.
    pub tells_idle: bool,
    /// Takes the ids of the requests that were answered.
    pub replied: Arc<Mutex<HashSet<String>>>,
}

/// The turn that runs.
struct Running {
    id: u64,
    messages: Vec<UserMessage>,
}

/// What happens while a conversation waits.
enum Event {
    Input(Input),
    /// The input has ended; with the text of what could not be read.
    End(Option<String>),
    TurnEnded(u64, Box<turn::Outcome>),
    Interrupt,
}

impl<'a> Conversation<'a> {
    /// A conversation that goes on where `session` is.
    pub(crate) fn new(
        context: &'a Context,
        shared: Shared,
        session: Session,
        options: Options,
        interrupts: Option<Receiver<()>>,
    ) -> Conversation<'a> {
        let (sender, events) = channel();
        Conversation {
            context,
            shared: Arc::new(shared),
            session,
            system: options.system.clone(),
            options,
            events,
            sender,
            queue: VecDeque::new(),
            turn: None,
            turns: 0,
            is_over: false,
            known: HashSet::new(),
            interrupts,
            declined: None,
        }
    }

    /// Answers one prompt.
    ///
    /// # Errors
    /// If stdout takes no more.
    pub(crate) fn answer(mut self, prompt: String) -> Result<Outcome> {
        self.watch_interrupts();
        self.queue.push_back(UserMessage::text(prompt));
        self.is_over = true;
        self.run()
    }

    /// Answers what comes in on stdin, or from `feed`.
    ///
    /// # Errors
    /// The real CLI's for a line that cannot be read, ours if stdout takes no more.
    pub(crate) fn listen(mut self, feed: Option<Feed>) -> Result<Outcome> {
        self.watch_interrupts();
        let sender = self.sender.clone();
        let input: Option<Box<dyn BufRead + Send>> = match feed {
            Some(Feed { settings, input }) => {
                settings.iter().for_each(|line| self.set_up_by(line));
                Some(input)
            }
            None => Blocking::new(io::stdin()).ok().map(|stdin| Box::new(BufReader::new(stdin)) as Box<dyn BufRead + Send>),
        };
        thread::spawn(move || {
            let read = |input| input::read(input, |input| sender.send(Event::Input(input)).is_ok()).err();
            let fault = input.and_then(read);
            let _ = sender.send(Event::End(fault));
        });
        self.run()
    }

    /// Takes a request that somebody else has answered.
    fn set_up_by(&mut self, line: &[u8]) {
        let _ = input::read(line, |input| {
            if let Input::Control { request, .. } = input {
                control::answer(self, &request);
            }
            true
        });
    }

    /// With the JSON formats an interrupt ends the turn and not the process, and the caller is told.
    fn watch_interrupts(&mut self) {
        if self.shared.reporter().output.format() == Format::Text {
            return;
        }
        let interrupts = self.interrupts.take();
        let signals = SigSet::from(Signal::SIGINT);
        if interrupts.is_none() {
            let _ = signals.thread_block();
        }
        let sender = self.sender.clone();
        thread::spawn(move || {
            let mut first = None;
            while interrupts.as_ref().map_or_else(|| signals.wait().is_ok(), |interrupts| interrupts.recv().is_ok()) {
                // Nobody takes what is printed, and the interrupt waits for that.
                if first.get_or_insert_with(Instant::now).elapsed() > INTERRUPT_LIMIT {
                    std::process::exit(130);
                }
                let _ = sender.send(Event::Interrupt);
            }
        });
    }

    fn run(&mut self) -> Result<Outcome> {
        let mut is_interrupted = false;
        loop {
            // Some turns are over as soon as they have begun.
            while self.turn.is_none() && self.declined.is_none() && self.start_next() {}
            if let Some(error) = self.declined.take() {
                return Ok(Outcome::Declined(error));
            }
            if self.turn.is_none() && self.is_over {
                break;
            }
            // We hold a sender ourselves, so the channel stays open.
            let Ok(event) = self.events.recv() else { break };
            match event {
                Event::Input(Input::User(message)) => self.take(message),
                Event::Input(Input::Control { id, request }) => self.control(id, &request),
                Event::Input(Input::Assistant(line, text)) => {
                    self.session.add(Role::Assistant, &text);
                    self.tell(&line);
                }
                Event::Input(Input::Nothing) => {}
                Event::End(None) => self.is_over = true,
                Event::End(Some(fault)) => {
                    // A line that is being written is written to its end.
                    self.shared.reporter().abandon();
                    return Err(Error::AsClaude(fault));
                }
                Event::TurnEnded(id, outcome) => self.end_turn(id, *outcome),
                Event::Interrupt => {
                    self.interrupt();
                    is_interrupted = true;
                    self.is_over = true;
                    self.queue.clear();
                }
            }
            let mut reporter = self.shared.reporter();
            reporter.output.check_stdout().inspect_err(|_| reporter.abandon())?;
        }
        self.shared.reporter().output.check_stdout()?;
        let reporter = self.shared.reporter();
        Ok(Outcome::Answered(Answered {
            has_failed: reporter.last_failed() && !is_interrupted,
            model: reporter.identity.model.clone(),
            usage: reporter.usage(),
        }))
    }

    fn take(&mut self, message: UserMessage) {
        if message.uuid.clone().is_some_and(|uuid| !self.known.insert(uuid)) {
            if self.options.replays {
                let replay = self.replay_of(&message);
                self.tell(&replay);
            }
            return;
        }
        self.tell_lifecycle(&message, "queued");
        self.queue.push_back(message);
    }

    /// Starts the next turn, with all that was said since the last one began. False if nothing was said.
    fn start_next(&mut self) -> bool {
        let Some(first) = self.queue.pop_front() else { return false };
        let mut messages = vec![first];
        // As the real CLI does with what is said while it answers.
        while messages[0].wants_answer && self.queue.front().is_some_and(|next| next.wants_answer) {
            messages.extend(self.queue.pop_front());
        }
        for message in &messages {
            self.tell_lifecycle(message, "started");
        }
        self.turns += 1;
        let id = self.turns;
        let said = messages.iter().cloned().reduce(UserMessage::join).expect("there is a first");
        self.begin(id, &messages[..messages.len() - 1], &said);
        self.turn = Some(Running { id, messages });
        let text = said.as_text();
        if !self.is_to_be_asked(&said, &text) {
            return true;
        }
        let text = if text.is_empty() { NO_CONTENT.into() } else { text };
        let text = match self.options.expands_mentions {
            true => mentions::expand(self.context, text, &mut |warning| warn(&self.shared.applet, &warning)),
            false => text,
        };
        self.session.add(Role::User, &text);
        let question = Question { turn: id, messages: self.messages(), schema: self.options.schema.clone() };
        if self.shared.reporter().output.format() == Format::Text {
            // One question, and a signal ends the process: nothing is to be taken in meanwhile.
            let outcome = turn::run(&self.shared, question);
            self.end_turn(id, outcome);
            return true;
        }
        let (shared, sender) = (self.shared.clone(), self.sender.clone());
        thread::spawn(move || {
            let outcome = turn::run(&shared, question);
            let _ = sender.send(Event::TurnEnded(id, Box::new(outcome)));
        });
        true
    }

    fn begin(&mut self, id: u64, before: &[UserMessage], said: &UserMessage) {
        if self.options.replays {
            let replays: Vec<Value> = before
                .iter()
                .filter(|message| message.uuid.is_some() && message.uuid != said.uuid)
                .map(|message| self.replay_of(message))
                .collect();
            replays.iter().for_each(|replay| self.tell(replay));
        }
        let replay = (self.options.replays && said.is_replayed).then(|| {
            let mut replay = self.replay_of(said);
            messages::extend(&mut replay, json!({"timestamp": messages::timestamp()}));
            replay
        });
        self.shared.reporter().begin(id, replay, said.uuid.clone(), self.options.schema.is_some());
    }

    fn replay_of(&self, message: &UserMessage) -> Value {
        json!({
            "type": "user", "message": {"role": "user", "content": message.content},
            "session_id": self.session.id, "parent_tool_use_id": null,
            "uuid": message.uuid.clone().unwrap_or_else(messages::uuid), "isReplay": true,
        })
    }

    /// Some messages need no model.
    fn is_to_be_asked(&mut self, said: &UserMessage, text: &str) -> bool {
        if !said.wants_answer {
            self.session.add(Role::User, text);
            self.shared.reporter().succeed_unasked("");
        } else if said.content.is_string() && is_blank(text) {
            self.shared.reporter().succeed_unasked(BLANK);
        } else {
            return true;
        }
        self.close_turn("completed");
        false
    }

    fn end_turn(&mut self, id: u64, outcome: turn::Outcome) {
        if self.turn.as_ref().is_none_or(|turn| turn.id != id) {
            return;
        }
        let is_held = self.shared.reporter().output.is_withheld();
        match outcome {
            turn::Outcome::Answered(success) => {
                let text = success.structure.as_ref().map_or_else(|| success.text.clone(), Value::to_string);
                self.session.add(Role::Assistant, &text);
                let is_cut = success.is_cut_by_limit;
                self.shared.reporter().succeed(success);
                if is_cut && self.shared.reporter().output.format() == Format::Text {
                    let limit = self.shared.settings.max_tokens;
                    let what = format!("the answer ends at its limit of {limit} tokens; raise LOCAL_LLM_MAX_TOKENS for more");
                    warn(&self.shared.applet, &what);
                }
            }
            turn::Outcome::NoStructure { reason, .. } if is_held => {
                self.declined = Some(Error::Answer(format!("the local model's answers are not of the form: {reason}")));
            }
            turn::Outcome::Failed(error) if is_held => self.declined = Some(error),
            turn::Outcome::NoStructure { attempts, reason } => self.shared.reporter().fail_structure(attempts, &reason),
            turn::Outcome::Failed(error) => self.shared.reporter().fail(error),
        }
        if self.declined.is_none() {
            self.close_turn("completed");
        }
    }

    fn interrupt(&mut self) {
        if self.turn.is_none() {
            return;
        }
        let partial = self.shared.reporter().interrupt().unwrap_or_default();
        if !partial.trim().is_empty() {
            self.session.add(Role::Assistant, &partial);
        }
        self.close_turn("cancelled");
    }

    fn close_turn(&mut self, state: &str) {
        let messages = self.turn.take().map(|turn| turn.messages).unwrap_or_default();
        for message in &messages {
            self.tell_lifecycle(message, state);
        }
        if self.options.tells_idle {
            self.tell(&json!({
                "type": "system", "subtype": "session_state_changed", "state": "idle", "sdk_host_only": true,
                "uuid": messages::uuid(), "session_id": self.session.id,
            }));
        }
    }

    fn tell_lifecycle(&self, message: &UserMessage, state: &str) {
        let Some(uuid) = &message.uuid else { return };
        self.tell(&json!({
            "type": "command_lifecycle", "command_uuid": uuid, "state": state,
            "uuid": messages::uuid(), "session_id": self.session.id,
        }));
    }

    fn tell(&self, message: &Value) {
        let mut reporter = self.shared.reporter();
        reporter.output.message(message);
        reporter.output.flush();
    }

    fn control(&mut self, id: Option<Value>, request: &Value) {
        let answered = control::answer(self, request);
        answered.before.iter().for_each(|message| self.tell(message));
        if let (Some(id), Ok(mut replied)) = (id.as_ref().and_then(Value::as_str), self.options.replied.lock()) {
            replied.insert(id.into());
        }
        self.shared.reporter().output.message_now(&answered.reply.message(id));
        answered.after.iter().for_each(|message| self.tell(message));
        if answered.interrupts {
            self.interrupt();
        }
    }

    /// What the model is given: the system prompt and all that was said.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(|text| Message { role: "system", content: text.clone() });
        system.chain(self.session.messages()).collect()
    }
}

/// How long an interrupt may take before another one ends the process.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(2);

const BLANK: &str = "Blank prompt — the message was only whitespace, so nothing was sent to the model.";
