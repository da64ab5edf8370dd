//! The decision that this program is about: facts in, a route out. Nothing is read or done here.

use crate::routing::agent_policy::AgentPolicy;
use crate::routing::reason::{Reason, Refusal};
use crate::routing::refusal_policy::RefusalPolicy;
use crate::state::breaker::Condition;
use crate::state::flag::Backend;

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Become the real Claude.
    Exec,
    /// Refuse the command line in Claude Code's own words.
    Refuse,
    /// A plain answer from the local model, in Claude Code's format.
    Answer(Reason),
    /// The real Claude as a child; what becomes of a refusal depends.
    Watch(OnRefusal),
    /// The real Claude Code, with its tools, on the local model.
    Agent(Reason),
    /// Hold the call until Claude is back.
    Wait(Refusal),
}

/// What becomes of a refusal by Claude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRefusal {
    /// It is withheld, and the route is decided anew: see [`after_refusal`].
    Decide,
    /// It is passed on.
    PassOn,
}

/// What kind of call a command line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It needs no model: a subcommand, `--version`, `--help`.
    NoModel,
    /// It asks for a session that is not this process's: `--cloud`, `--teleport`.
    Elsewhere,
    /// A prompt, or a session.
    Prompt,
    /// The same, with formats that Claude Code does not take together.
    MismatchedFormats,
    /// Claude Code refuses it.
    Malformed,
}

/// What the decision rests on. Each is asked for only when it matters, in the order of what it costs.
pub(crate) trait Facts {
    /// What the flag says: one small file.
    fn backend(&mut self) -> Backend;
    /// Whether an agent's own tools have made the call: it has none of Claude's credentials, and the local model's address.
    fn is_inside_agent(&mut self) -> bool;
    /// Whether it is print mode, by its words and stdout.
    fn is_print(&mut self) -> bool;
    /// Whether Claude is known to be away, and it is not time yet to ask it: the breaker's file.
    fn is_claude_away(&mut self) -> bool;
    /// What the command line is: the whole of it is parsed.
    fn kind(&mut self) -> Kind;
    /// Whether a wrapper has led here from one of us that watches the call already.
    fn is_watched_already(&mut self) -> bool;
    /// Whether there is a folder for state.
    fn has_state(&mut self) -> bool;
    /// Whether there is a real Claude Code, or something that stands for one and fails.
    fn has_claude(&mut self) -> bool;
    /// What stands between this call and Claude. Where it is time to ask Claude again, one call alone hears that there is nothing.
    fn condition(&mut self) -> Option<Condition>;
    /// `LLM_FAILOVER_POLICY`.
    fn refusal_policy(&mut self) -> RefusalPolicy;
    /// Whether the call has waited for as long as it may.
    fn is_late(&mut self) -> bool;
    /// `LOCAL_LLM_AGENT`.
    fn agent_policy(&mut self) -> AgentPolicy;
    /// Whether the call asks for what only Claude Code itself has: its options, a session on disk, the first line of stdin.
    fn asks_for_tools(&mut self) -> bool;
}

/// Where a call goes.
pub(crate) fn decide(facts: &mut impl Facts) -> Route {
    match facts.backend() {
        _ if facts.is_inside_agent() => local(facts),
        Backend::Claude => Route::Exec,
        Backend::Local => local(facts),
        Backend::Auto => auto(facts),
    }
}

/// Print mode is answered here; what needs no model, or a person at a terminal, is the real Claude Code's.
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

/// Print mode is watched; all else is the real Claude's, and so is a command line that it refuses. A person at a terminal gets
/// the local model while Claude is away.
fn auto(facts: &mut impl Facts) -> Route {
    let is_print = facts.is_print();
    if !is_print && !facts.is_claude_away() {
        return Route::Exec;
    }
    match facts.kind() {
        Kind::Malformed | Kind::NoModel | Kind::Elsewhere => Route::Exec,
        _ if facts.is_watched_already() => Route::Exec,
        _ if !is_print => interactive(facts, Reason::Away),
        Kind::MismatchedFormats => Route::Exec,
        // Without a home folder there is no state to go by.
        Kind::Prompt if !facts.has_state() => Route::Exec,
        Kind::Prompt if !facts.has_claude() => Route::Answer(Reason::NotInstalled),
        Kind::Prompt => past_the_breaker(facts),
    }
}

fn past_the_breaker(facts: &mut impl Facts) -> Route {
    let condition = facts.condition();
    match (condition.as_ref().map(Refusal::met), facts.refusal_policy()) {
        (Some(refusal), RefusalPolicy::Local) if wants_agent(facts) => Route::Agent(Reason::Refused(refusal)),
        (Some(refusal), RefusalPolicy::Local) => Route::Answer(Reason::Refused(refusal)),
        (Some(refusal), RefusalPolicy::Wait(_)) if !facts.is_late() => Route::Wait(refusal),
        (_, RefusalPolicy::Fail) => Route::Watch(OnRefusal::PassOn),
        (_, RefusalPolicy::Wait(_)) if facts.is_late() => Route::Watch(OnRefusal::PassOn),
        _ => Route::Watch(OnRefusal::Decide),
    }
}

/// Where a call goes on that Claude has refused before anything came of it. `is_to_end`: whoever has sent a signal wants an end,
/// and not another answer.
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
    match facts.agent_policy() {
        AgentPolicy::Always => true,
        AgentPolicy::Never => false,
        AgentPolicy::Auto => facts.asks_for_tools(),
    }
}

#[cfg(test)]
mod tests;
