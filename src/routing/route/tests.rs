//! Each set of facts and its route. One file, since all tests play the same facts.

use Backend::{Auto, Claude, Local};
use Kind::{Elsewhere, Malformed, MismatchedFormats, NoModel, Prompt};

use super::*;
use crate::claude_code::refusal::Cause;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed,
    Open,
}

/// What `LLM_FAILOVER_POLICY` says, and whether a wait has been too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    AnswerLocally,
    WaitOn,
    WaitedTooLong,
    PassOn,
}

/// What `LOCAL_LLM_AGENT` says, and whether the call needs tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tools {
    Always,
    Never,
    Needed,
    NotNeeded,
}

#[derive(Clone, Debug)]
struct Played {
    backend: Backend,
    is_print: bool,
    kind: Kind,
    gate: Gate,
    policy: Policy,
    tools: Tools,
    may_change_sides: bool,
    is_inside_agent: bool,
    is_local_already: bool,
    is_watched_already: bool,
    has_state: bool,
    has_claude: bool,
    /// The facts that the decision read.
    facts_read: Vec<&'static str>,
}

impl Facts for Played {
    fn backend(&mut self) -> Backend {
        self.backend
    }
    fn is_inside_agent(&mut self) -> bool {
        self.is_inside_agent
    }
    fn is_local_already(&mut self) -> bool {
        self.facts_read.push("is_local_already");
        self.is_local_already
    }
    fn is_print(&mut self) -> bool {
        self.facts_read.push("is_print");
        self.is_print
    }
    fn is_claude_away(&mut self) -> bool {
        self.facts_read.push("is_claude_away");
        self.gate == Gate::Open
    }
    fn may_change_sides(&mut self) -> bool {
        self.may_change_sides
    }
    fn kind(&mut self) -> Kind {
        self.facts_read.push("kind");
        self.kind
    }
    fn is_watched_already(&mut self) -> bool {
        self.is_watched_already
    }
    fn has_state(&mut self) -> bool {
        self.has_state
    }
    fn has_claude(&mut self) -> bool {
        self.facts_read.push("has_claude");
        self.has_claude
    }
    fn condition(&mut self) -> Option<Condition> {
        self.facts_read.push("condition");
        (self.gate == Gate::Open).then(condition)
    }
    fn refusal_policy(&mut self) -> RefusalPolicy {
        match self.policy {
            Policy::AnswerLocally => RefusalPolicy::Local,
            Policy::WaitOn | Policy::WaitedTooLong => RefusalPolicy::Wait(None),
            Policy::PassOn => RefusalPolicy::Fail,
        }
    }
    fn has_waited_long_enough(&mut self) -> bool {
        self.policy == Policy::WaitedTooLong
    }
    fn agent_policy(&mut self) -> AgentPolicy {
        match self.tools {
            Tools::Always => AgentPolicy::Always,
            Tools::Never => AgentPolicy::Never,
            Tools::Needed | Tools::NotNeeded => AgentPolicy::Auto,
        }
    }
    fn needs_tools(&mut self) -> bool {
        self.facts_read.push("needs_tools");
        self.tools == Tools::Needed
    }
}

fn condition() -> Condition {
    serde_json::from_value(serde_json::json!({
        "class": "overload",
        "since": "2026-11-22T10:00:00Z",
        "until": null,
        "next_probe": "2026-11-22T10:01:00Z",
        "updated": "2026-11-22T10:00:00Z",
        "failures": 1,
    }))
    .unwrap()
}

fn refusal() -> Refusal {
    Refusal { description: "is overloaded".into(), cause: Cause::Overload, until: None }
}

fn refused() -> Reason {
    Reason::Refused(refusal())
}

const BACKENDS: &[Backend] = &[Claude, Local, Auto];
const BOTH: &[bool] = &[false, true];
const PRINT: &[bool] = &[true];
const TERMINAL: &[bool] = &[false];
const KINDS: &[Kind] = &[NoModel, Elsewhere, Prompt, MismatchedFormats, Malformed];
const PROMPTS: &[Kind] = &[Prompt, MismatchedFormats];
const NOT_OURS: &[Kind] = &[NoModel, Elsewhere];
const GATES: &[Gate] = &[Gate::Closed, Gate::Open];
const CLOSED: &[Gate] = &[Gate::Closed];
const OPEN: &[Gate] = &[Gate::Open];
const POLICIES: &[Policy] = &[Policy::AnswerLocally, Policy::WaitOn, Policy::WaitedTooLong, Policy::PassOn];
const TOOLS: &[Tools] = &[Tools::Always, Tools::Never, Tools::Needed, Tools::NotNeeded];
const AGENT: &[Tools] = &[Tools::Always, Tools::Needed];
const PLAIN: &[Tools] = &[Tools::Never, Tools::NotNeeded];
const NOT_NEVER: &[Tools] = &[Tools::Always, Tools::Needed, Tools::NotNeeded];

type Row = (&'static [Backend], &'static [bool], &'static [Kind], &'static [Gate], &'static [Policy], &'static [Tools], Route);

/// Flag, print mode, kind of call, breaker, policy for refusals, tools: each set of facts is in one row.
fn table() -> Vec<Row> {
    use Policy::{AnswerLocally, PassOn, WaitOn, WaitedTooLong};
    use Route::{Agent, Answer, Exec, Refuse, Wait, Watch};
    vec![
        (&[Claude], BOTH, KINDS, GATES, POLICIES, TOOLS, Exec),
        // The flag says local.
        (&[Local], BOTH, NOT_OURS, GATES, POLICIES, TOOLS, Exec),
        (&[Local], PRINT, &[Malformed], GATES, POLICIES, TOOLS, Refuse),
        (&[Local], TERMINAL, &[Malformed], GATES, POLICIES, TOOLS, Exec),
        (&[Local], PRINT, PROMPTS, GATES, POLICIES, AGENT, Agent(Reason::Flag)),
        (&[Local], PRINT, PROMPTS, GATES, POLICIES, PLAIN, Answer(Reason::Flag)),
        (&[Local], TERMINAL, PROMPTS, GATES, POLICIES, NOT_NEVER, Agent(Reason::Flag)),
        (&[Local], TERMINAL, PROMPTS, GATES, POLICIES, &[Tools::Never], Exec),
        // The flag says auto, and a person is at the terminal.
        (&[Auto], TERMINAL, KINDS, CLOSED, POLICIES, TOOLS, Exec),
        (&[Auto], TERMINAL, &[NoModel, Elsewhere, Malformed], OPEN, POLICIES, TOOLS, Exec),
        (&[Auto], TERMINAL, PROMPTS, OPEN, POLICIES, NOT_NEVER, Agent(Reason::Away)),
        (&[Auto], TERMINAL, PROMPTS, OPEN, POLICIES, &[Tools::Never], Exec),
        // The flag says auto, in print mode.
        (&[Auto], PRINT, &[NoModel, Elsewhere, Malformed, MismatchedFormats], GATES, POLICIES, TOOLS, Exec),
        (&[Auto], PRINT, &[Prompt], CLOSED, &[AnswerLocally, WaitOn], TOOLS, Watch(OnRefusal::Decide)),
        (&[Auto], PRINT, &[Prompt], GATES, &[WaitedTooLong, PassOn], TOOLS, Watch(OnRefusal::PassOn)),
        (&[Auto], PRINT, &[Prompt], OPEN, &[AnswerLocally], AGENT, Agent(refused())),
        (&[Auto], PRINT, &[Prompt], OPEN, &[AnswerLocally], PLAIN, Answer(refused())),
        (&[Auto], PRINT, &[Prompt], OPEN, &[WaitOn], TOOLS, Wait(refusal())),
    ]
}

fn played() -> Played {
    Played {
        backend: Auto,
        is_print: true,
        kind: Prompt,
        gate: Gate::Closed,
        policy: Policy::AnswerLocally,
        tools: Tools::NotNeeded,
        may_change_sides: false,
        is_inside_agent: false,
        is_local_already: false,
        is_watched_already: false,
        has_state: true,
        has_claude: true,
        facts_read: vec![],
    }
}

fn every_set_of_facts() -> Vec<Played> {
    let tools = |policy| TOOLS.iter().map(move |&tools| (policy, tools));
    let policies: Vec<(Policy, Tools)> = POLICIES.iter().flat_map(|&policy| tools(policy)).collect();
    let mut all = Vec::new();
    for (&backend, &is_print) in BACKENDS.iter().flat_map(|backend| BOTH.iter().map(move |is_print| (backend, is_print))) {
        for (&kind, &gate) in KINDS.iter().flat_map(|kind| GATES.iter().map(move |gate| (kind, gate))) {
            let one = |&(policy, tools)| Played { backend, is_print, kind, gate, policy, tools, ..played() };
            all.extend(policies.iter().map(one));
        }
    }
    all
}

#[test]
fn every_set_of_facts_has_one_row_and_goes_its_way() {
    let table = table();
    let all = every_set_of_facts();
    assert_eq!(all.len(), 3 * 2 * 5 * 2 * 4 * 4);
    for mut facts in all {
        let rows: Vec<&Route> = table
            .iter()
            .filter(|(backends, prints, kinds, gates, policies, tools, _)| {
                backends.contains(&facts.backend)
                    && prints.contains(&facts.is_print)
                    && kinds.contains(&facts.kind)
                    && gates.contains(&facts.gate)
                    && policies.contains(&facts.policy)
                    && tools.contains(&facts.tools)
            })
            .map(|(.., route)| route)
            .collect();
        assert_eq!(rows.len(), 1, "{facts:?}");
        assert_eq!(&decide(&mut facts), rows[0], "{facts:?}");
    }
}

/// Nothing else goes another way by it, and print mode never does.
#[test]
fn a_session_at_a_terminal_that_may_change_sides() {
    for facts in every_set_of_facts() {
        let changes = facts.backend == Auto && !facts.is_print && facts.kind == Prompt && facts.tools != Tools::Never;
        let expected = match facts.gate {
            Gate::Closed if changes => Route::Terminal(Side::Claude),
            Gate::Open if changes => Route::Terminal(Side::Local),
            _ => decide(&mut facts.clone()),
        };
        assert_eq!(decide(&mut Played { may_change_sides: true, ..facts.clone() }), expected, "{facts:?}");
    }
}

#[test]
fn inside_an_agent_the_flag_says_local() {
    for facts in every_set_of_facts() {
        let mut inside = Played { is_inside_agent: true, ..facts.clone() };
        assert_eq!(decide(&mut inside), decide(&mut Played { backend: Local, ..facts }), "{inside:?}");
    }
}

/// In a session on the local model, too, which has its own address in the environment: another one is meant.
#[test]
fn a_call_that_asks_a_local_server_already_is_left_alone() {
    for facts in every_set_of_facts() {
        for is_inside_agent in [false, true] {
            let mut facts = Played { is_local_already: true, is_inside_agent, ..facts.clone() };
            assert_eq!(decide(&mut facts), Route::Exec, "{facts:?}");
        }
    }
}

#[test]
fn what_another_of_us_watches_is_the_real_claudes() {
    for facts in every_set_of_facts() {
        let mut facts = Played { is_watched_already: true, ..facts };
        let is_refused = facts.backend == Local && facts.is_print && facts.kind == Malformed;
        assert_eq!(decide(&mut facts), if is_refused { Route::Refuse } else { Route::Exec }, "{facts:?}");
    }
}

#[test]
fn without_state_claude_and_without_claude_a_local_answer() {
    for facts in every_set_of_facts().into_iter().filter(|facts| facts.backend == Auto && facts.is_print && facts.kind == Prompt)
    {
        assert_eq!(decide(&mut Played { has_state: false, ..facts.clone() }), Route::Exec, "{facts:?}");
        assert_eq!(decide(&mut Played { has_claude: false, ..facts.clone() }), Route::Answer(Reason::NotInstalled), "{facts:?}");
    }
}

#[test]
fn nothing_is_asked_for_that_does_not_matter() {
    let facts_read = |facts: Played| {
        let mut facts = facts;
        decide(&mut facts);
        facts.facts_read
    };
    assert_eq!(facts_read(Played { backend: Claude, ..played() }), [""; 0]);
    assert_eq!(facts_read(Played { is_print: false, ..played() }), ["is_local_already", "is_print", "is_claude_away"]);
    assert_eq!(facts_read(Played { kind: NoModel, ..played() }), ["is_local_already", "is_print", "kind"]);
    assert_eq!(facts_read(played()), ["is_local_already", "is_print", "kind", "has_claude", "condition"]);
    let waits_for_stdin = ["is_local_already", "is_print", "kind", "has_claude", "condition", "needs_tools"];
    assert_eq!(facts_read(Played { gate: Gate::Open, ..played() }), waits_for_stdin);
    assert_eq!(facts_read(Played { gate: Gate::Open, tools: Tools::Always, ..played() }), waits_for_stdin[..5]);
}

#[test]
fn after_a_refusal() {
    let wait = RefusalPolicy::Wait(None);
    let table = [
        (RefusalPolicy::Local, false, false, Route::Answer(refused())),
        (RefusalPolicy::Local, false, true, Route::Agent(refused())),
        (RefusalPolicy::Local, true, true, Route::Watch(OnRefusal::PassOn)),
        (wait, false, true, Route::Wait(refusal())),
        (wait, true, false, Route::Watch(OnRefusal::PassOn)),
        (RefusalPolicy::Fail, false, true, Route::Watch(OnRefusal::PassOn)),
        (RefusalPolicy::Fail, true, false, Route::Watch(OnRefusal::PassOn)),
    ];
    for (policy, is_to_end, wants_agent, expected) in table {
        assert_eq!(after_refusal(policy, is_to_end, || wants_agent, refusal()), expected, "{policy:?} {is_to_end} {wants_agent}");
    }
}
