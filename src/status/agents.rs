//! What Claude Code gets on the local model, as the status shows it.

use serde::Serialize;

use crate::context::Context;
use crate::gateway::agent_prompt::AgentPrompt;
use crate::gateway::lean_tools;
use crate::local_model::look::LEAST_FOR_AGENTS;
use crate::shown::{Shown, shown};
use crate::status::links::LinkStatus;

#[derive(Serialize)]
pub(super) struct Agents {
    /// The longest context of the links, in tokens; none: it is known once the server is up, or not at all.
    context: Option<u32>,
    /// Whether an agent can work with that; none: unknown.
    is_enough: Option<bool>,
    /// `full` or `lean`.
    prompt: &'static str,
    /// Those that an agent has in any case; none: all.
    tools: Option<Vec<&'static str>>,
}

impl Agents {
    /// None if the user wants no agents on the local model.
    pub(super) fn read(context: &Context, links: &[LinkStatus]) -> Option<Agents> {
        if context.settings.agent("llm-failover") == "never" {
            return None;
        }
        let window = links.iter().filter_map(|link| link.certain_context).max();
        let is_lean = AgentPrompt::from_settings(context).unwrap_or_default().is_lean_in(window);
        Some(Agents {
            context: window,
            is_enough: window.map(|window| window >= LEAST_FOR_AGENTS),
            prompt: if is_lean { "lean" } else { "full" },
            tools: is_lean.then(|| lean_tools::ALWAYS.to_vec()),
        })
    }

    pub(super) fn line(&self) -> Shown {
        let context = match self.context {
            Some(tokens) => shown!("context of {tokens} tokens"),
            None => "context not known yet".into(),
        };
        if self.is_enough == Some(false) {
            return shown!("will fail, {context}: they need {LEAST_FOR_AGENTS}");
        }
        match &self.tools {
            None => shown!("all instructions and tools of Claude Code, {context}"),
            Some(tools) => {
                let more = self.context.is_some_and(lean_tools::has_room_for_more);
                let more = if more { " and more of Claude Code's tools" } else { "" };
                shown!("lean instructions, {}{more}, {context}", tools.join(" "))
            }
        }
    }
}
