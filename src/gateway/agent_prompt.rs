//! How much of Claude Code's instructions and tools the local model gets: `LOCAL_LLM_AGENT_PROMPT`.

use crate::context::Context;
use crate::error::Result;
use crate::settings::or_warn;

/// What 2.1.330 sends before the user's first word, in tokens.
pub(crate) const USUAL_LENGTH: u32 = 12_400;

/// `LOCAL_LLM_AGENT_PROMPT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AgentPrompt {
    /// All where it takes at most a quarter of the context, else the lean one.
    #[default]
    Auto,
    Full,
    Lean,
}

impl AgentPrompt {
    /// # Errors
    /// If it is none of these words.
    pub(crate) fn from_settings(context: &Context) -> Result<AgentPrompt> {
        context.settings.agent_prompt().map(AgentPrompt::of_word)
    }

    fn of_word(word: &str) -> AgentPrompt {
        match word {
            "full" => AgentPrompt::Full,
            "lean" => AgentPrompt::Lean,
            _ => AgentPrompt::Auto,
        }
    }

    /// The same with a warning of another word.
    pub(crate) fn announced(context: &Context) -> AgentPrompt {
        AgentPrompt::of_word(or_warn(super::NAME, context.settings.agent_prompt(), "auto"))
    }

    /// Whether a session with this context is lean, if its instructions are as long as usual.
    pub(crate) fn is_lean_in(self, window: Option<u32>) -> bool {
        match self {
            AgentPrompt::Auto => window.is_some_and(|window| window < 4 * USUAL_LENGTH),
            AgentPrompt::Full => false,
            AgentPrompt::Lean => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AgentPrompt::{Auto, Full, Lean};

    #[test]
    fn sessions_that_begin_lean() {
        let table = [
            (Auto, None, false),
            (Auto, Some(8192), true),
            (Auto, Some(32_768), true),
            (Auto, Some(49_599), true),
            (Auto, Some(49_600), false),
            (Full, Some(8192), false),
            (Lean, None, true),
            (Lean, Some(1_000_000), true),
        ];
        for (prompt, window, expected) in table {
            assert_eq!(prompt.is_lean_in(window), expected, "{prompt:?} {window:?}");
        }
    }
}
