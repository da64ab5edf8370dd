//! The names of this program.

/// The applets.
pub(crate) const NAMES: [&str; 3] = ["claude", "agent-llm", "llm-failover"];

/// The binary's own name.
pub(crate) const OWN_NAME: &str = "claude-failover";

/// The variable that names another folder for state.
pub(crate) const STATE_DIR: &str = "CLAUDE_FAILOVER_STATE";

/// The variable with the way that led to the real Claude, so that wrappers which lead back here end.
pub(crate) const EXEC_TRAIL: &str = "CLAUDE_FAILOVER_EXEC";

/// The variable by which calls from inside a session on the local model are known: its tools, hooks and scripts have the
/// gateway's address in their environment, and none of Claude's credentials.
pub(crate) const AGENT_SESSION: &str = "CLAUDE_FAILOVER_AGENT";

/// The variable that the local server's processes carry: the line of its pid file.
pub(crate) const SERVER_ID: &str = "CLAUDE_FAILOVER_SERVER";

/// The variable with the token of one Claude Code's gateway.
pub(crate) const GATEWAY_TOKEN: &str = "CLAUDE_FAILOVER_GATEWAY_TOKEN";

/// The variable with what the user wants said in a system prompt that is shortened.
pub(crate) const GATEWAY_APPENDED: &str = "CLAUDE_FAILOVER_GATEWAY_APPENDED";
