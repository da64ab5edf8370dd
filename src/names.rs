//! The names of this program, and of the variables that its processes pass on to each other.

pub(crate) const APPLETS: [&str; 3] = ["claude", "agent-llm", "llm-failover"];

pub(crate) const OWN_NAME: &str = "claude-failover";

/// Below the home folder: what setup makes.
pub(crate) const DATA_DIR: &str = ".local/share/claude-failover";

/// Another folder for state: a drill sets it for its call.
pub(crate) const STATE_DIR: &str = "CLAUDE_FAILOVER_STATE";

/// The candidates that led to the real Claude, so that wrappers which lead back here end.
pub(crate) const EXEC_TRAIL: &str = "CLAUDE_FAILOVER_EXEC";

/// Marks calls from inside a session on the local model: its tools, hooks and scripts have the gateway's address in their
/// environment, and none of Claude's credentials.
pub(crate) const AGENT_SESSION: &str = "CLAUDE_FAILOVER_AGENT";

/// The line of the pid file, in the environment of the local server's processes.
pub(crate) const SERVER_ID: &str = "CLAUDE_FAILOVER_SERVER";

/// The token of the gateway of one Claude Code.
pub(crate) const GATEWAY_TOKEN: &str = "CLAUDE_FAILOVER_GATEWAY_TOKEN";

/// What the user appended to the system prompt: the gateway keeps it in a shortened one.
pub(crate) const GATEWAY_APPENDED: &str = "CLAUDE_FAILOVER_GATEWAY_APPENDED";

/// "1" if the gateway leaves out the oldest turns of what does not fit: its Claude Code must not compact.
pub(crate) const GATEWAY_LEAVES_OUT: &str = "CLAUDE_FAILOVER_GATEWAY_LEAVES_OUT";

/// The line of the ledger of an agent that its process has become, as far as it was known before.
pub(crate) const GATEWAY_ENTRY: &str = "CLAUDE_FAILOVER_GATEWAY_ENTRY";

/// The folder of the agent that the gateway is for.
pub(crate) const GATEWAY_FOLDER: &str = "CLAUDE_FAILOVER_GATEWAY_FOLDER";
