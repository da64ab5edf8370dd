//! The decision that this program is about: facts in, a route out. This file reads nothing and does nothing.

use crate::routing::agent_policy::AgentPolicy;
use crate::routing::reason::{Reason, Refusal};
use crate::settings::RefusalPolicy;
use crate::state::breaker::Condition;
use crate::state::flag::Backend;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Become the real Claude.
    Exec,
    /// Refuse the command line in Claude Code's own words.
    Refuse,
    /// A plain answer from the local model, in Claude Code's format.
    Answer(Reason),
    /// The real Claude as a child.
    Watch(OnRefusal),
    /// The real Claude Code, with its tools, on the local model.
    Agent(Reason),
    /// The real Claude Code as a child at the terminal, which begins on this side and can change to the other.
    Terminal(Side),
    /// Hold the call until Claude is back.
    Wait(Refusal),
}

/// Whose model a Claude Code at a terminal runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Claude,
    Local,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Claude => Side::Local,
            Side::Local => Side::Claude,
        }
    }
}

/// What becomes of a refusal by Claude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRefusal {
    /// The refusal is withheld, and [`after_refusal`] decides the route.
    Decide,
    /// The caller gets the refusal.
    PassOn,
}

/// What a command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that needs no model: a subcommand, `--version`, `--help`.
    NoModel,
    /// A session on another machine: `--cloud`, `--teleport`.
    Elsewhere,
    /// A prompt, or a session.
    Prompt,
    /// A prompt, with input and output formats that Claude Code does not accept together.
    MismatchedFormats,
    /// Claude Code refuses it.
    Malformed,
}

/// The inputs of the decision. [`decide`] reads each only when it matters, in the order of cost.
pub(crate) trait Facts {
    /// The flag: one small file.
    fn backend(&mut self) -> Backend;
    /// Whether the call comes from a tool of an agent on the local model. It has the gateway's address, and none of Claude's
    /// credentials.
    fn is_inside_agent(&mut self) -> bool;
    /// Whether Claude Code is led to a local server of the user's by its environment, and so must not be led elsewhere.
    fn is_local_already(&mut self) -> bool;
    /// By the arguments and stdout, without parsing the command line.
    fn is_print(&mut self) -> bool;
    /// Whether the breaker is open, for a session at a terminal: the breaker's file.
    fn is_claude_away(&mut self) -> bool;
    /// Whether a session at a terminal may go from Claude to the local model and back: `LLM_FAILOVER_INTERACTIVE`, and stdin.
    fn may_change_sides(&mut self) -> bool;
    /// By parsing the whole command line.
    fn kind(&mut self) -> Kind;
    /// Whether a wrapper led here from a process of ours that watches the call already.
    fn is_watched_already(&mut self) -> bool;
    /// Whether there is a home folder, or another place for state.
    fn has_state(&mut self) -> bool;
    /// Whether the search found a real Claude Code. Other failures of the search count as found: the child reports them.
    fn has_claude(&mut self) -> bool;
    /// Why the breaker keeps this call from Claude. When a probe is due, one call alone gets none, and the permit.
    fn condition(&mut self) -> Option<Condition>;
    /// `LLM_FAILOVER_POLICY`.
    fn refusal_policy(&mut self) -> RefusalPolicy;
    fn has_waited_long_enough(&mut self) -> bool;
    /// `LOCAL_LLM_AGENT`.
    fn agent_policy(&mut self) -> AgentPolicy;
    /// Whether the call needs what only Claude Code itself has: by its options, a session on disk, the first line of stdin.
    fn needs_tools(&mut self) -> bool;
}

pub(crate) fn decide(facts: &mut impl Facts) -> Route {
    match (facts.backend(), facts.is_inside_agent()) {
        (Backend::Claude, false) => Route::Exec,
        _ if facts.is_local_already() => Route::Exec,
        (Backend::Local, _) | (_, true) => local(facts),
        (Backend::Auto, false) => auto(facts),
    }
}

/// The local model answers print mode. The real Claude Code gets what needs no model, and people at a terminal.
fn local(facts: &mut impl Facts) -> Route {
    let is_print = facts.is_print();
    match facts.kind() {
        Kind::Malformed if is_print => Route::Refuse,
        Kind::Malformed | Kind::NoModel | Kind::Elsewhere => Route::Exec,
        _ if facts.is_watched_already() => Route::Exec,
        _ if !is_print => interactive(facts, Reason::Flag),
        _ if wants_agent(facts) => Route::Agent(Reason::Flag),
        _ => Route::Answer(Reason::Flag),
    }
}

/// Print mode is watched. The real Claude gets each command line that it refuses. A person at a terminal gets the local model while
/// Claude is away.
fn auto(facts: &mut impl Facts) -> Route {
    if !facts.is_print() {
        return at_terminal(facts);
    }
    match facts.kind() {
        Kind::Malformed | Kind::NoModel | Kind::Elsewhere => Route::Exec,
        _ if facts.is_watched_already() => Route::Exec,
        Kind::MismatchedFormats => Route::Exec,
        // Without a place for state there is no breaker.
        Kind::Prompt if !facts.has_state() => Route::Exec,
        Kind::Prompt if !facts.has_claude() => Route::Answer(Reason::NotInstalled),
        Kind::Prompt => by_breaker_and_policy(facts),
    }
}

fn at_terminal(facts: &mut impl Facts) -> Route {
    let (is_away, may_change) = (facts.is_claude_away(), facts.may_change_sides());
    if !is_away && !may_change || facts.agent_policy() == AgentPolicy::Never {
        return Route::Exec;
    }
    match facts.kind() {
        Kind::Malformed | Kind::NoModel | Kind::Elsewhere => Route::Exec,
        _ if facts.is_watched_already() => Route::Exec,
        _ if !facts.has_state() => Route::Exec,
        Kind::Prompt if may_change => Route::Terminal(if is_away { Side::Local } else { Side::Claude }),
        _ if is_away => Route::Agent(Reason::Away),
        _ => Route::Exec,
    }
}

fn by_breaker_and_policy(facts: &mut impl Facts) -> Route {
    let condition = facts.condition();
    match (condition.as_ref().map(Refusal::from_condition), facts.refusal_policy()) {
        (Some(refusal), RefusalPolicy::Local) if wants_agent(facts) => Route::Agent(Reason::Refused(refusal)),
        (Some(refusal), RefusalPolicy::Local) => Route::Answer(Reason::Refused(refusal)),
        (Some(refusal), RefusalPolicy::Wait(_)) if !facts.has_waited_long_enough() => Route::Wait(refusal),
        (_, RefusalPolicy::Fail) => Route::Watch(OnRefusal::PassOn),
        (_, RefusalPolicy::Wait(_)) if facts.has_waited_long_enough() => Route::Watch(OnRefusal::PassOn),
        _ => Route::Watch(OnRefusal::Decide),
    }
}

/// Where a call goes that Claude refused before a byte of an answer or a tool. `is_to_end`: a signal has asked the call to end,
/// so that another answer is not wanted.
pub(crate) fn after_refusal(
    policy: RefusalPolicy,
    is_to_end: bool,
    wants_agent: impl FnOnce() -> bool,
    refusal: Refusal,
) -> Route {
    match policy {
        _ if is_to_end => Route::Watch(OnRefusal::PassOn),
        RefusalPolicy::Fail => Route::Watch(OnRefusal::PassOn),
        RefusalPolicy::Wait(_) => Route::Wait(refusal),
        RefusalPolicy::Local if wants_agent() => Route::Agent(Reason::Refused(refusal)),
        RefusalPolicy::Local => Route::Answer(Reason::Refused(refusal)),
    }
}

fn interactive(facts: &mut impl Facts, reason: Reason) -> Route {
    match facts.agent_policy() {
        AgentPolicy::Never => Route::Exec,
        AgentPolicy::Auto | AgentPolicy::Always => Route::Agent(reason),
    }
}

fn wants_agent(facts: &mut impl Facts) -> bool {
    facts.agent_policy().wants_agent(|| facts.needs_tools())
}

#[cfg(test)]
mod tests;
