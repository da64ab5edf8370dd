//! The hooks by which a Claude Code at a terminal tells of each prompt and of each refusal by Claude. They are given with `--settings`,
//! beside the user's own.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::claude_code::command_line::CommandLine;
use crate::claude_code::settings;
use crate::error::Result;
use crate::shown::Shown;

/// Runs before a prompt is sent, and can hold it.
const PROMPT: &str = "UserPromptSubmit";

/// Runs when Claude has refused, after all retries of Claude Code's own (since 2.1.78).
const REFUSAL: &str = "StopFailure";

/// How long Claude Code waits for a hook of ours, in seconds. Then the prompt is sent.
const PATIENCE: u32 = 10;

/// What a hook gets on its stdin.
#[derive(Debug, Deserialize)]
#[serde(tag = "hook_event_name")]
pub(crate) enum HookCall {
    #[serde(rename = "UserPromptSubmit")]
    Prompt(Prompt),
    #[serde(rename = "StopFailure")]
    Refusal(Refusal),
}

/// A prompt that the user has just sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Prompt {
    pub session_id: String,
    pub transcript_path: String,
    pub prompt: String,
    /// As the user has changed it.
    #[serde(default)]
    pub permission_mode: String,
}

/// How prompts begin that nobody has typed, in 2.1.330: the end of a background task, and the continuation after a limit.
const BY_ITSELF: [&str; 2] = ["<task-notification>", "Your claude.ai usage limit has reset."];

impl Prompt {
    /// Whether the user has sent it. Nothing but its words tells.
    pub(crate) fn is_by_user(&self) -> bool {
        !BY_ITSELF.iter().any(|beginning| self.prompt.starts_with(beginning))
    }
}

/// The end of a turn that Claude did not answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    /// `rate_limit`, `billing_error`, `server_error` …
    #[serde(default)]
    pub error: String,
    /// What the user sees.
    #[serde(default)]
    pub last_assistant_message: String,
}

/// The settings that the caller gives, with both hooks. `command` is for a shell.
///
/// # Errors
/// If the given settings cannot be read, or are given more than once.
pub(crate) fn settings(command_line: &CommandLine, command: &str) -> Result<String> {
    let mut settings = settings::given(command_line)?;
    add(&mut settings, command);
    Ok(Value::from(settings).to_string())
}

/// Adds both hooks to these settings.
pub(super) fn add(settings: &mut Map<String, Value>, command: &str) {
    let hooks = settings.entry("hooks").or_insert_with(|| json!({}));
    for event in [PROMPT, REFUSAL] {
        let ours = json!({"hooks": [{"type": "command", "command": command, "timeout": PATIENCE}]});
        if let Some(Value::Array(list)) = hooks.as_object_mut().map(|hooks| hooks.entry(event).or_insert_with(|| json!([]))) {
            list.push(ours);
        }
    }
}

/// The answer to [`HookCall::Prompt`] that holds the prompt and shows these lines instead.
pub(crate) fn hold(lines: &Shown) -> String {
    // 2.1.300 and 2.1.330 put the prompt back into the input box; 2.1.140 is the first that was seen to heed this.
    let shown = json!({"hookEventName": PROMPT, "suppressOriginalPrompt": true});
    json!({"decision": "block", "reason": lines, "hookSpecificOutput": shown}).to_string()
}

/// The answer that sends the prompt, and tells the model this beside it.
pub(crate) fn send_with(context: &str) -> String {
    json!({"hookSpecificOutput": {"hookEventName": PROMPT, "additionalContext": context}}).to_string()
}
