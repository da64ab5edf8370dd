//! A decision with what it was made of, for `LLM_FAILOVER_DEBUG`: the facts that were asked for, in their order.

use crate::claude_code::locate;
use crate::routing::agent_policy::AgentPolicy;
use crate::routing::facts::Call;
use crate::routing::route::{Facts, Kind, Route, decide};
use crate::settings::RefusalPolicy;
use crate::shown::{Shown, shown};
use crate::state::breaker::Condition;
use crate::state::flag::{Backend, Flag};

/// The route of a call, and the line that says why.
pub(crate) fn explained(call: &mut Call) -> (Route, Shown) {
    let flag = Flag::new(call.context).map(|flag| format!(" (`{}`)", flag.path().display())).unwrap_or_default();
    let settings = call.context.settings.given();
    let mut traced = Traced { facts: call, said: vec![] };
    let route = decide(&mut traced);
    let said = traced.said.join("; ").replacen("switch", &format!("switch{flag}"), 1);
    let settings = if settings.is_empty() { "none".into() } else { settings.join(", ") };
    let real = match &route {
        Route::Refuse | Route::Answer(_) | Route::Wait(_) => String::new(),
        _ => {
            locate::find(call.context).map_or("; real Claude: none".into(), |path| format!("; real Claude: `{}`", path.display()))
        }
    };
    let line = shown!("route {}; {said}{real}; settings: {settings}", word(&route));
    (route, line)
}

/// The word for a route, and why the local model answers.
pub(crate) fn word(route: &Route) -> String {
    match route {
        Route::Exec => "exec: becomes the real Claude".into(),
        Route::Refuse => "refuse: the command line is at fault".into(),
        Route::Answer(reason) => format!("answer: a plain local one ({})", reason.word()),
        Route::Agent(reason) => format!("agent: Claude Code on the local model ({})", reason.word()),
        Route::Watch(_) => "watch: the real Claude as a child".into(),
        Route::Terminal(_) => "terminal: a session that may change sides".into(),
        Route::Wait(refusal) => format!("wait: until Claude is back ({})", refusal.cause.word()),
    }
}

struct Traced<'a, F> {
    facts: &'a mut F,
    said: Vec<String>,
}

impl<F: Facts> Traced<'_, F> {
    fn say<T>(&mut self, what: &str, value: T, shown: impl Fn(&T) -> String) -> T {
        let said = format!("{what} {}", shown(&value));
        if !self.said.contains(&said) {
            self.said.push(said);
        }
        value
    }

    fn yes_or_no(&mut self, what: &str, value: bool) -> bool {
        self.say(what, value, |value| if *value { "yes" } else { "no" }.into())
    }
}

impl<F: Facts> Facts for Traced<'_, F> {
    fn backend(&mut self) -> Backend {
        let backend = self.facts.backend();
        self.say("switch", backend, |backend| backend.word().into())
    }

    fn is_inside_agent(&mut self) -> bool {
        let value = self.facts.is_inside_agent();
        if value { self.yes_or_no("called by an agent on the local model:", value) } else { value }
    }

    fn is_local_already(&mut self) -> bool {
        let value = self.facts.is_local_already();
        if value { self.yes_or_no("asks one of our local servers already:", value) } else { value }
    }

    fn is_print(&mut self) -> bool {
        let value = self.facts.is_print();
        self.yes_or_no("print mode:", value)
    }

    fn is_claude_away(&mut self) -> bool {
        let value = self.facts.is_claude_away();
        self.yes_or_no("breaker open:", value)
    }

    fn may_change_sides(&mut self) -> bool {
        let value = self.facts.may_change_sides();
        self.yes_or_no("may change sides:", value)
    }

    fn kind(&mut self) -> Kind {
        let kind = self.facts.kind();
        self.say("asks for", kind, |kind| {
            match kind {
                Kind::NoModel => "nothing of a model",
                Kind::Elsewhere => "a session elsewhere",
                Kind::Prompt => "a prompt",
                Kind::MismatchedFormats => "formats that do not go together",
                Kind::Malformed => "what Claude Code refuses",
            }
            .into()
        })
    }

    fn is_watched_already(&mut self) -> bool {
        let value = self.facts.is_watched_already();
        self.yes_or_no("watched already:", value)
    }

    fn has_state(&mut self) -> bool {
        let value = self.facts.has_state();
        self.yes_or_no("place for state:", value)
    }

    fn has_claude(&mut self) -> bool {
        let value = self.facts.has_claude();
        self.yes_or_no("real Claude found:", value)
    }

    fn condition(&mut self) -> Option<Condition> {
        let condition = self.facts.condition();
        self.say("breaker", condition, |condition| {
            condition.as_ref().map_or("closed, or a probe is due".into(), |condition| format!("open: {}", condition.cause.word()))
        })
    }

    fn refusal_policy(&mut self) -> RefusalPolicy {
        let policy = self.facts.refusal_policy();
        self.say("policy", policy, |policy| {
            match policy {
                RefusalPolicy::Local => "local",
                RefusalPolicy::Wait(_) => "wait",
                RefusalPolicy::Fail => "fail",
            }
            .into()
        })
    }

    fn has_waited_long_enough(&mut self) -> bool {
        let value = self.facts.has_waited_long_enough();
        self.yes_or_no("waited long enough:", value)
    }

    fn agent_policy(&mut self) -> AgentPolicy {
        let policy = self.facts.agent_policy();
        self.say("agents", policy, |policy| format!("{policy:?}").to_lowercase())
    }

    fn needs_tools(&mut self) -> bool {
        let value = self.facts.needs_tools();
        self.yes_or_no("needs tools:", value)
    }
}
