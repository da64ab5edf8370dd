//! What becomes of a session at a terminal when Claude refuses it: `LLM_FAILOVER_INTERACTIVE`.

use crate::context::Context;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InteractivePolicy {
    /// The user is asked at the next prompt.
    Ask,
    /// The session goes on with the local model at the next prompt, and back to Claude in the same way.
    Auto,
    /// It stays with whom it has begun.
    Never,
}

impl InteractivePolicy {
    pub(crate) fn from_settings(applet: &str, context: &Context) -> InteractivePolicy {
        match context.settings.interactive(applet) {
            "auto" => InteractivePolicy::Auto,
            "never" => InteractivePolicy::Never,
            _ => InteractivePolicy::Ask,
        }
    }
}
