//! A conversation: its input, one turn after the other, and its session.
//!
//! Each turn is asked in a thread of its own, so that an interrupt, a control request or the end of the input takes effect while the
//! model answers. Nothing stops the thread of an interrupted turn: its next piece finds that the turn is over, and that closes the
//! connection, on which servers stop.

mod commands;
mod control;
mod mirror;
mod options;
mod outcome;
mod turns;

pub(super) use options::ConversationOptions;
pub(crate) use outcome::{Answered, LeftToClaudeCode, Outcome};
pub(super) use turns::INTERRUPTED;

use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead, BufReader};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use serde_json::Value;

use crate::answer::conversation::turns::RunningTurn;
use crate::answer::turn::{Shared, TurnOutcome};
use crate::claude_code::protocol::input::{self, Input, Role, UserMessage};
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::output::Format;
use crate::claude_code::transcript::SessionMessage;
use crate::claude_code::transcript_entry::EntryWriter;
use crate::completions::chat::Message;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::blocking::Blocking;
use crate::state::sessions::Session;
use crate::stdin::{Feed, Pump};

/// How long an interrupt may take before another one ends the process.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(2);

pub(crate) struct Conversation<'a> {
    context: &'a Context,
    shared: Arc<Shared>,
    session: Session,
    /// The system prompt of the options, or what `initialize` has made of it.
    system: Option<String>,
    options: ConversationOptions,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// The messages that wait for a turn.
    queue: VecDeque<UserMessage>,
    state: ConversationState,
    /// How many turns have begun, which is the last one's id.
    turns: u64,
    /// How many of the user's messages have their answer.
    answered_lines: usize,
    /// The session as it was before it was cleared or compacted.
    earlier: Vec<Session>,
    /// Something was said in this call.
    has_said: bool,
    begun: Instant,
    /// No more input comes, or none is wanted.
    has_input_ended: bool,
    /// The ids of all messages so far: one that comes twice is answered once.
    seen: HashSet<String>,
    interrupts: Option<Receiver<()>>,
}

enum ConversationState {
    Idle,
    Running(RunningTurn),
    /// The first turn failed, and the call is left to Claude.
    Declined(Error),
    /// The first message that waits is a command that only Claude Code has.
    LeftToClaudeCode,
}

enum Event {
    Input(Input),
    /// The end of the input, with the real CLI's text if a line could not be parsed.
    InputEnded(Option<String>),
    TurnEnded(u64, Box<TurnOutcome>),
    Interrupt,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        context: &'a Context,
        shared: Shared,
        session: Session,
        options: ConversationOptions,
        interrupts: Option<Receiver<()>>,
    ) -> Conversation<'a> {
        let (sender, events) = channel();
        // What Claude has answered is not answered again.
        let seen = options.pump.as_ref().map(Pump::answered_uuids).unwrap_or_default();
        Conversation {
            context,
            shared: Arc::new(shared),
            session,
            system: options.system.clone(),
            answered_lines: options.pump.as_ref().map_or(0, Pump::answered_lines),
            options,
            events,
            sender,
            queue: VecDeque::new(),
            state: ConversationState::Idle,
            turns: 0,
            earlier: vec![],
            has_said: false,
            begun: Instant::now(),
            has_input_ended: false,
            seen,
            interrupts,
        }
    }

    /// Answers one prompt.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(super) fn answer(mut self, prompt: String) -> Result<Outcome> {
        self.take_interrupts();
        self.queue.push_back(UserMessage::text(prompt));
        self.has_input_ended = true;
        self.run()
    }

    /// Answers the messages on stdin, or those of `feed`.
    ///
    /// # Errors
    /// The real CLI's for a line that cannot be parsed, ours if stdout cannot be written.
    pub(super) fn listen(mut self, feed: Option<Feed>) -> Result<Outcome> {
        self.take_interrupts();
        let sender = self.sender.clone();
        let input: Option<Box<dyn BufRead + Send>> = match feed {
            Some(Feed { settings, input }) => {
                settings.iter().for_each(|line| self.apply_answered_request(line));
                Some(input)
            }
            None => Blocking::new(io::stdin()).ok().map(|stdin| Box::new(BufReader::new(stdin)) as Box<dyn BufRead + Send>),
        };
        thread::spawn(move || {
            let read = |input| input::read(input, |input| sender.send(Event::Input(input)).is_ok()).err();
            let _ = sender.send(Event::InputEnded(input.and_then(read)));
        });
        self.run()
    }

    /// Applies a control request that the real Claude has answered already.
    fn apply_answered_request(&mut self, line: &[u8]) {
        let _ = input::read(line, |input| {
            if let Input::Control { request, .. } = input {
                self.answer_control(&request);
            }
            true
        });
    }

    /// With the JSON formats an interrupt ends the turn and not the process, and the caller is told.
    fn take_interrupts(&mut self) {
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
                // The conversation is blocked on a stdout that nobody reads.
                if first.get_or_insert_with(Instant::now).elapsed() > INTERRUPT_LIMIT {
                    std::process::exit(130);
                }
                let _ = sender.send(Event::Interrupt);
            }
        });
    }

    fn run(mut self) -> Result<Outcome> {
        self.mirror_fork();
        if let Some(title) = self.options.title.take() {
            self.mirror_title(&title);
            self.send(&messages::session_title(&self.session.id, &title));
        }
        let mut is_interrupted = false;
        loop {
            // Some turns end as soon as they begin.
            while matches!(self.state, ConversationState::Idle) && self.start_next_turn() {}
            match self.state {
                ConversationState::Declined(error) => return Ok(Outcome::Declined(error)),
                ConversationState::LeftToClaudeCode => break,
                ConversationState::Idle if self.has_input_ended => break,
                ConversationState::Idle | ConversationState::Running(_) => {}
            }
            // This cannot fail: the conversation has a sender itself.
            let Ok(event) = self.events.recv() else { break };
            match event {
                Event::Input(Input::User(message)) => self.enqueue(message),
                Event::Input(Input::Control { id, request }) => self.take_control(id, &request),
                Event::Input(Input::Assistant(message, text)) => {
                    let id = message["uuid"].as_str().map(str::to_string);
                    self.keep(SessionMessage::new(Role::Assistant, &text, id), text.as_str().into());
                    self.send(&message);
                }
                Event::Input(Input::Nothing) => {}
                Event::InputEnded(None) => self.has_input_ended = true,
                Event::InputEnded(Some(error)) => {
                    // With the reporter locked no other thread is within a line.
                    self.shared.reporter().abandon();
                    self.tell_claude();
                    return Err(Error::as_claude(error));
                }
                Event::TurnEnded(id, outcome) => self.end_turn(id, *outcome),
                Event::Interrupt => {
                    self.interrupt();
                    is_interrupted = true;
                    self.end_input();
                }
            }
            let mut reporter = self.shared.reporter();
            reporter.output.check_stdout().inspect_err(|_| reporter.abandon())?;
        }
        let left_to_claude_code = self.left_to_claude_code();
        let mut reporter = self.shared.reporter();
        if left_to_claude_code.is_some() {
            reporter.output.release();
            reporter.output.flush();
        }
        reporter.output.check_stdout()?;
        Ok(Outcome::Answered(Box::new(Answered {
            has_failed: reporter.last_failed() && !is_interrupted,
            model: reporter.session.model.clone(),
            usage: reporter.usage(),
            marks: self.shared.marks().clone(),
            writer: self.options.writes_transcript.then(|| EntryWriter::new(self.context, &reporter.session.model)),
            session: self.session,
            earlier: self.earlier,
            left_to_claude_code,
        })))
    }

    fn enqueue(&mut self, message: UserMessage) {
        if message.uuid.clone().is_some_and(|uuid| !self.seen.insert(uuid)) {
            if self.options.replays {
                self.send(&self.replay(&message));
            }
            return;
        }
        self.send_lifecycle(&message, "queued");
        self.queue.push_back(message);
    }

    /// Takes no more input, and drops what waits.
    fn end_input(&mut self) {
        self.has_input_ended = true;
        self.queue.clear();
    }

    fn send(&self, message: &Value) {
        let mut reporter = self.shared.reporter();
        reporter.output.message(message);
        reporter.output.flush();
    }

    /// What the model gets: the system prompt and the session's messages.
    fn messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(|text| Message { role: "system", content: text.clone() });
        system.chain(self.session.messages()).collect()
    }
}
