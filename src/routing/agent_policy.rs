//! Which calls get tools from the local model: `LOCAL_LLM_AGENT`, and what a call asks for.

use serde_json::Value;

use crate::claude_code::command_line::CommandLine;
use crate::context::Context;
use crate::settings::Setting;
use crate::state::sessions::Session;
use crate::stdin::Stdin;

/// When the local model gets tools: `LOCAL_LLM_AGENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentPolicy {
    /// For calls that ask for them, and for people at a terminal.
    Auto,
    /// For each call.
    Always,
    /// For none.
    Never,
}

impl AgentPolicy {
    /// As the user has set it.
    pub(crate) fn of(applet: &str, context: &Context) -> AgentPolicy {
        let word = context.settings.agent();
        match word.as_str() {
            "" | "auto" => AgentPolicy::Auto,
            "always" => AgentPolicy::Always,
            "never" => AgentPolicy::Never,
            _ => {
                Setting::Agent.warn(applet, &word, "auto, always or never", "auto");
                AgentPolicy::Auto
            }
        }
    }
}

/// Whether a call asks for what only Claude Code itself has: by its options, its sessions, or the request that its stdin begins
/// with. `waits`: for the first line of stdin, if none has come.
pub(crate) fn asks_for_tools(context: &Context, command_line: &CommandLine, stdin: &Stdin, waits: bool) -> bool {
    asks_by_options(context, command_line)
        || stdin.initialize(waits && command_line.formats_fit()).is_some_and(|request| registers_tools(&request))
}

fn asks_by_options(context: &Context, command_line: &CommandLine) -> bool {
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
    let is_command = command_line.prompt().is_some_and(is_slash_command);
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

/// `/review`, but no path.
fn is_slash_command(prompt: &str) -> bool {
    let Some(word) = prompt.trim_start().strip_prefix('/').and_then(|rest| rest.split_whitespace().next()) else { return false };
    word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.contains(['/', '.'])
}
