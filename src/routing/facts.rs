//! The facts about this process's call, each found out when the decision needs it, and only once.

use std::rc::Rc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::claude_code::command_line::{self, CommandLine};
use crate::claude_code::locate;
use crate::claude_code::options::CLAUDE_ONLY;
use crate::claude_code::settings::is_inside;
use crate::context::Context;
use crate::error::{Error, Result, warn};
use crate::real_claude::RealClaude;
use crate::routing::agent_policy::{self, AgentPolicy};
use crate::routing::interactive_policy::InteractivePolicy;
use crate::routing::own_server;
use crate::routing::route::{Facts, Kind};
use crate::settings::RefusalPolicy;
use crate::shown::shown;
use crate::state::breaker::{Admission, Attempt, Breaker, Condition, Permit};
use crate::state::flag::{Backend, Flag};
use crate::stdin::Stdin;
use crate::watch::next_try::NextTry;

/// The call of this process.
pub(crate) struct Call<'a> {
    pub applet: &'a str,
    pub context: &'a Context,
    pub begun: Timestamp,
    backend: Option<Backend>,
    parsed: Option<ParsedCall>,
    breaker: Option<Breaker>,
    permit: Option<Permit>,
    /// As which the breaker was asked last.
    attempt: Option<Attempt>,
    real_claude: Option<Result<RealClaude>>,
    stdin: Option<Stdin>,
    /// What a try with the real Claude left for the next try, with stdin.
    next_try: Option<NextTry>,
    refusal_policy: Option<RefusalPolicy>,
    agent_policy: Option<AgentPolicy>,
    interactive_policy: Option<InteractivePolicy>,
    resumes: Option<bool>,
    deadline: Option<Instant>,
    has_waited: bool,
}

enum ParsedCall {
    NeedsNoModel,
    Prompt(Rc<CommandLine>),
    Malformed(Error),
}

impl<'a> Call<'a> {
    pub(crate) fn new(applet: &'a str, context: &'a Context) -> Call<'a> {
        Call {
            applet,
            context,
            begun: Timestamp::now(),
            backend: None,
            parsed: None,
            breaker: None,
            permit: None,
            attempt: None,
            real_claude: None,
            stdin: None,
            next_try: None,
            refusal_policy: None,
            agent_policy: None,
            interactive_policy: None,
            resumes: None,
            deadline: None,
            has_waited: false,
        }
    }

    /// # Errors
    /// Claude Code's own, if it refuses the command line.
    pub(crate) fn command_line(&mut self) -> Result<Rc<CommandLine>> {
        self.parsed();
        match self.parsed.take() {
            Some(ParsedCall::Malformed(error)) => Err(error),
            Some(ParsedCall::Prompt(command_line)) => {
                self.parsed = Some(ParsedCall::Prompt(command_line.clone()));
                Ok(command_line)
            }
            Some(ParsedCall::NeedsNoModel) | None => Err(Error::Usage { message: "this call needs no model".into() }),
        }
    }

    /// None unless the decision has parsed it.
    fn parsed_command_line(&self) -> Option<&Rc<CommandLine>> {
        match &self.parsed {
            Some(ParsedCall::Prompt(command_line)) => Some(command_line),
            _ => None,
        }
    }

    fn parsed(&mut self) -> &ParsedCall {
        self.parsed.get_or_insert_with(|| match command_line::parse(&self.context.args) {
            Ok(command_line::Parsed::NeedsNoModel) => ParsedCall::NeedsNoModel,
            Ok(command_line::Parsed::Prompt(command_line)) => ParsedCall::Prompt(Rc::new(command_line)),
            Err(error) => ParsedCall::Malformed(error),
        })
    }

    /// The permit that [`Facts::condition`] got from the breaker, if that is half-open.
    pub(crate) fn take_permit(&mut self) -> Option<Permit> {
        self.permit.take()
    }

    /// The attempt that [`Facts::condition`] has asked the breaker for.
    pub(crate) fn take_attempt(&mut self) -> Attempt {
        self.attempt.take().unwrap_or_else(|| self.new_attempt())
    }

    fn new_attempt(&self) -> Attempt {
        Attempt { model: self.model(), begun: Timestamp::now() }
    }

    /// The model's name as the caller gave it; empty if none was given.
    pub(crate) fn model(&self) -> String {
        let given = self.parsed_command_line().and_then(|command_line| command_line.last("--model")).map(str::to_string);
        given.or_else(|| self.context.env("ANTHROPIC_MODEL")?.into_string().ok()).unwrap_or_default()
    }

    /// `LLM_FAILOVER_INTERACTIVE`, read once a call.
    pub(crate) fn interactive_policy(&mut self) -> InteractivePolicy {
        *self.interactive_policy.get_or_insert_with(|| InteractivePolicy::from_settings(self.applet, self.context))
    }

    /// `LLM_FAILOVER_RESUME`, read once a call: a value that cannot be used is warned of once.
    pub(crate) fn resumes(&mut self) -> bool {
        *self.resumes.get_or_insert_with(|| self.context.settings.resumes(self.applet))
    }

    pub(crate) fn take_stdin(&mut self) -> Stdin {
        let listens = self.listens();
        match self.next_try.take() {
            Some(next) => next.stdin,
            None => self.stdin.take().unwrap_or_else(|| Stdin::of_process(listens)),
        }
    }

    fn stdin(&mut self) -> &Stdin {
        let listens = self.listens();
        match &self.next_try {
            Some(next) => &next.stdin,
            None => self.stdin.get_or_insert_with(|| Stdin::of_process(listens)),
        }
    }

    fn listens(&self) -> bool {
        self.parsed_command_line().is_some_and(|command_line| command_line.listens())
    }

    /// For a try with the real Claude. Fails if there is none.
    pub(crate) fn take_next_try(&mut self) -> Result<NextTry> {
        if let Some(next) = self.next_try.take() {
            return Ok(next);
        }
        let claude = self.take_real_claude()?;
        Ok(NextTry::first(claude, self.take_stdin()))
    }

    /// True the first time.
    pub(crate) fn begin_to_wait(&mut self) -> bool {
        !std::mem::replace(&mut self.has_waited, true)
    }

    /// None if the call may wait for ever.
    pub(crate) fn time_left_to_wait(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn put_back(&mut self, next: NextTry) {
        self.next_try = Some(next);
    }

    /// For a child of this process.
    fn take_real_claude(&mut self) -> Result<RealClaude> {
        self.real_claude.take().unwrap_or_else(|| locate::announce(self.applet, self.context))
    }
}

impl Facts for Call<'_> {
    fn backend(&mut self) -> Backend {
        let (applet, context) = (self.applet, self.context);
        *self.backend.get_or_insert_with(|| {
            let (backend, warning) = match Flag::new(context) {
                Ok(flag) => flag.read(),
                Err(Error::NoHome) => (Backend::Claude, None),
                Err(error) => (Backend::Claude, Some(shown!("{error}; using claude"))),
            };
            if let Some(warning) = warning {
                warn(applet, &warning);
            }
            backend
        })
    }

    fn is_inside_agent(&mut self) -> bool {
        is_inside(self.context)
    }

    fn is_local_already(&mut self) -> bool {
        own_server::is_asked(self.context)
    }

    fn is_print(&mut self) -> bool {
        !self.context.stdout_is_terminal() || command_line::says_print(&self.context.args)
    }

    fn is_claude_away(&mut self) -> bool {
        Breaker::new(self.context).is_ok_and(|breaker| breaker.is_open(&self.new_attempt()))
    }

    fn may_change_sides(&mut self) -> bool {
        self.context.stdin_is_terminal() && self.interactive_policy() != InteractivePolicy::Never
    }

    fn kind(&mut self) -> Kind {
        match self.parsed() {
            ParsedCall::NeedsNoModel => Kind::NoModel,
            ParsedCall::Malformed(_) => Kind::Malformed,
            ParsedCall::Prompt(command_line) if CLAUDE_ONLY.iter().any(|option| command_line.has(option)) => Kind::Elsewhere,
            ParsedCall::Prompt(command_line) if !command_line.formats_fit() => Kind::MismatchedFormats,
            ParsedCall::Prompt(_) => Kind::Prompt,
        }
    }

    fn is_watched_already(&mut self) -> bool {
        locate::is_watched(self.context)
    }

    fn has_state(&mut self) -> bool {
        self.breaker = self.breaker.take().or_else(|| Breaker::new(self.context).ok());
        if let (None, Some(warning)) = (&self.breaker, self.context.no_place_for_state()) {
            warn(self.applet, &warning);
        }
        self.breaker.is_some()
    }

    fn has_claude(&mut self) -> bool {
        if self.next_try.is_some() {
            return true;
        }
        let (applet, context) = (self.applet, self.context);
        let found = self.real_claude.get_or_insert_with(|| locate::announce(applet, context));
        !matches!(found, Err(Error::ClaudeNotFound { .. }))
    }

    fn condition(&mut self) -> Option<Condition> {
        let attempt = self.attempt.insert(self.new_attempt());
        match self.breaker.as_ref()?.admit(attempt) {
            Admission::Closed => None,
            Admission::Probe(permit) => {
                self.permit = Some(permit);
                None
            }
            Admission::Open(condition) => Some(condition),
        }
    }

    fn refusal_policy(&mut self) -> RefusalPolicy {
        let (applet, context) = (self.applet, self.context);
        *self.refusal_policy.get_or_insert_with(|| {
            let policy = context.settings.policy(applet);
            self.deadline = policy.longest_wait().and_then(|wait| Instant::now().checked_add(wait));
            policy
        })
    }

    fn has_waited_long_enough(&mut self) -> bool {
        self.time_left_to_wait() == Some(Duration::ZERO)
    }

    fn agent_policy(&mut self) -> AgentPolicy {
        let (applet, context) = (self.applet, self.context);
        *self.agent_policy.get_or_insert_with(|| AgentPolicy::from_settings(applet, context))
    }

    fn needs_tools(&mut self) -> bool {
        let Some(command_line) = self.parsed_command_line().cloned() else { return false };
        let context = self.context;
        agent_policy::needs_tools(context, &command_line, self.stdin(), true)
    }
}
