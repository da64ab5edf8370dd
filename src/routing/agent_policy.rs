//! Which calls get tools on the local model: `LOCAL_LLM_AGENT`, and what the call itself asks for.

use serde_json::Value;

use crate::claude_code::command_line::CommandLine;
use crate::claude_code::slash_command;
use crate::context::Context;
use crate::state::sessions::Session;
use crate::stdin::Stdin;

/// `LOCAL_LLM_AGENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentPolicy {
    /// Tools for calls that ask for them, and for people at a terminal.
    Auto,
    Always,
    Never,
}

impl AgentPolicy {
    pub(crate) fn wants_agent(self, needs_tools: impl FnOnce() -> bool) -> bool {
        match self {
            AgentPolicy::Always => true,
            AgentPolicy::Never => false,
            AgentPolicy::Auto => needs_tools(),
        }
    }

    pub(crate) fn from_settings(applet: &str, context: &Context) -> AgentPolicy {
        match context.settings.agent(applet) {
            "always" => AgentPolicy::Always,
            "never" => AgentPolicy::Never,
            _ => AgentPolicy::Auto,
        }
    }
}

/// Whether a call needs what only Claude Code itself has: by its options, its session, or the request at the beginning of its
/// stdin. `waits` says whether to wait for the first line of stdin.
pub(crate) fn needs_tools(context: &Context, command_line: &CommandLine, stdin: &Stdin, waits: bool) -> bool {
    needs_tools_by_options(context, command_line)
        || stdin.initialize(waits && command_line.formats_fit()).is_some_and(|request| registers_tools(&request))
}

fn needs_tools_by_options(context: &Context, command_line: &CommandLine) -> bool {
    const OPTIONS: [&str; 8] = [
        "--dangerously-skip-permissions",
        "--permission-prompt-tool",
        "--mcp-config",
        "--agent",
        "--agents",
        "--add-dir",
        "--plugin-dir",
        "--worktree",
    ];
    let names = |option| command_line.all(option).any(|tool| !tool.trim().is_empty());
    let has_tools = names("--tools") || names("--allowed-tools");
    let has_mode = command_line.last("--permission-mode").is_some_and(|mode| !matches!(mode, "default" | "manual"));
    let is_command = command_line.prompt().is_some_and(|prompt| slash_command::parse(prompt).is_some());
    let resumed = command_line.last("--resume").filter(|_| !command_line.has("--continue"));
    let is_claudes = (command_line.has("--continue") || resumed.is_some()) && Session::is_claudes(context, resumed);
    has_tools || has_mode || is_command || is_claudes || OPTIONS.iter().any(|option| command_line.has(option))
}

fn registers_tools(initialize: &Value) -> bool {
    ["hooks", "sdkMcpServers", "agents"].iter().any(|key| match &initialize[*key] {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    })
}
