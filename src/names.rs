//! The names of this program.

/// The applets.
pub(crate) const NAMES: [&str; 3] = ["claude", "agent-llm", "llm-failover"];

/// The binary's own name.
pub(crate) const OWN_NAME: &str = "claude-failover";

/// The variable that names another folder for state.
pub(crate) const STATE_DIR: &str = "CLAUDE_FAILOVER_STATE";
