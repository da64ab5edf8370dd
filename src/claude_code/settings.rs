//! The environment and the settings with which Claude Code runs on a local model. Both say the same: settings win over the environment.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::claude_code::command_line::CommandLine;
use crate::claude_code::compaction::{compaction, limits_of_results};
use crate::claude_code::hooks;
use crate::claude_code::version::Version;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::AGENT_SESSION;
use crate::os::process::start_mark;
use crate::shown::Shown;
use crate::text::plain;
use crate::text::replace_lone_surrogates;

/// The gateway and the model behind it.
pub(crate) struct LocalGateway {
    /// The gateway's port.
    pub port: u16,
    /// What the gateway accepts as the API key.
    pub token: String,
    pub model: String,
    /// For titles, summaries and other work in the background.
    pub small_model: String,
    /// The model's context in tokens, if it is known.
    pub window: Option<u32>,
    /// `LOCAL_LLM_MAX_TOKENS`.
    pub max_tokens: u32,
    /// Whether short instructions are sent.
    pub is_lean: bool,
    /// The version of Claude Code, if it says so.
    pub version: Option<Version>,
}

/// The least limit for an agent's answer, in tokens: a file that the agent writes is part of one answer.
const LEAST_MAX_TOKENS: u32 = 4096;

/// What most local models have. Without it Claude Code would take a million for granted and compact nothing.
const USUAL_WINDOW: u32 = 32_768;

impl LocalGateway {
    pub(crate) fn banner(&self) -> String {
        let narrow = self
            .window
            .filter(|_| self.is_lean)
            .map(|window| format!("; its context of {window} tokens holds short instructions and the most needed tools only"));
        format!("this session runs on the local model `{}`{}", self.model, narrow.unwrap_or_default())
    }

    /// The variables that make Claude Code use it.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let name = &self.model;
        let window = self.window.unwrap_or(u32::MAX);
        let max_tokens = self.max_tokens.max(LEAST_MAX_TOKENS).min((window / 4).max(256));
        let mut variables = vec![
            ("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", self.port)),
            ("ANTHROPIC_AUTH_TOKEN", self.token.clone()),
            ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", max_tokens.to_string()),
            // A minute for each thousand tokens of a prompt is not too much on a small machine.
            ("API_TIMEOUT_MS", "3600000".into()),
            ("CLAUDE_CODE_MAX_RETRIES", "2".into()),
        ];
        variables.extend(MODELS.map(|key| (key, name.clone())));
        variables.extend(SMALL_MODELS.map(|key| (key, self.small_model.clone())));
        variables.extend(FIXED.map(|(key, value)| (key, value.into())));
        variables.push(compaction(self.window.unwrap_or(USUAL_WINDOW), max_tokens, self.version));
        variables
    }
}

/// The variables that choose a model for a purpose.
const MODELS: [&str; 5] = [
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];

/// Those for work in the background.
const SMALL_MODELS: [&str; 2] = ["ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"];

/// What Anthropic's servers run for Claude Code. Only a denied tool is neither offered nor found by `ToolSearch` (1.0.128 to 2.1.330).
/// 2.1.330 has more of them (`RemoteTrigger`, `Projects` …), but none without a sign-in at claude.ai, and warns of a denied tool that
/// it does not know.
const DENIED: [&str; 1] = ["WebSearch"];

/// Otherwise 2.1.330 tells of the tools of MCP servers, and of half of its own, by nothing but names, for a search that small models do not
/// think of. With short instructions the gateway chooses among all of them.
const TOOL_SEARCH: &str = "ENABLE_TOOL_SEARCH";

/// Variables that suit any local model.
const FIXED: [(&str, &str); 12] = [
    // Its adviser is a model that Anthropic runs.
    ("CLAUDE_CODE_DISABLE_ADVISOR_TOOL", "1"),
    ("CLAUDE_CODE_DISABLE_ARTIFACT", "1"),
    // In a terminal 2.1.110 to 2.1.330 look for Anthropic's plugins at downloads.claude.ai and github.com, though traffic is off.
    ("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1"),
    ("ENABLE_CLAUDEAI_MCP_SERVERS", "false"),
    // The header differs from prompt to prompt and stands first, so that the server could reuse nothing of its prompt cache.
    ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    // Otherwise Claude Code asks again for each broken stream, in one piece.
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    // 2.1.330 then ignores all other settings that select a provider, wherever they are.
    ("CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST", "1"),
    // Claude would not accept the local model's signed thinking when the session goes back to it.
    ("MAX_THINKING_TOKENS", "0"),
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
];

/// The other variables that carry a credential or lead elsewhere, as 2.1.330 lists them. Settings can hold these too.
const BLANKED: [&str; 30] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_UNIX_SOCKET",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_FOUNDRY_AUTH_TOKEN",
    "ANTHROPIC_AWS_API_KEY",
    "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_IDENTITY_TOKEN_FILE",
    "ANTHROPIC_PROFILE",
    "AWS_BEARER_TOKEN_BEDROCK",
    "CLAUDE_API_KEY",
    "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_CODE_API_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_OAUTH_SCOPES",
    "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
    "CLAUDE_CODE_SESSIONS_OAUTH_TOKEN",
    "CLAUDE_CODE_HOST_AUTH_ENV_VAR",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
    "CLAUDE_CODE_USE_GATEWAY",
    "CLAUDE_CODE_HTTP_PROXY",
    "CLAUDE_CODE_HTTPS_PROXY",
    "CLAUDE_CODE_RESUME_INTERRUPTED_TURN",
];

/// The changes to the environment: ours, none of Claude's credentials, and no proxy for what is on this machine.
pub(crate) fn environment(context: &Context, local: &LocalGateway) -> Vec<(OsString, Option<OsString>)> {
    let mut changes: Vec<(OsString, Option<OsString>)> = Vec::new();
    for name in context.variable_names() {
        let text = name.to_string_lossy();
        if text.starts_with("ANTHROPIC_") || BLANKED.contains(&&*text) || is_secret(&text) {
            changes.push((name, None));
        }
    }
    changes.extend(local.variables().into_iter().map(|(key, value)| (key.into(), Some(value.into()))));
    let limits = local.window.map(limits_of_results).unwrap_or_default().into_iter();
    let search = local.is_lean.then(|| (TOOL_SEARCH, "false".to_string()));
    for (key, value) in limits.map(|(key, limit)| (key, limit.to_string())).chain(search) {
        // What the user has set holds.
        if context.env(key).is_none() {
            changes.push((key.into(), Some(value.into())));
        }
    }
    changes.push((AGENT_SESSION.into(), Some(inside().into())));
    for key in ["NO_PROXY", "no_proxy"] {
        let before = context.env(key).and_then(|hosts| hosts.into_string().ok()).unwrap_or_default();
        let gap = if before.is_empty() { "" } else { "," };
        changes.push((key.into(), Some(format!("{before}{gap}127.0.0.1").into())));
    }
    changes
}

/// The process of the session, so that a process that outlives the session does not count as inside it.
fn inside() -> String {
    let pid = std::process::id();
    format!("{pid}:{}", start_mark(pid.cast_signed()).unwrap_or_default())
}

/// Whether this call comes from inside a session on the local model.
pub(crate) fn is_inside(context: &Context) -> bool {
    let stated = context.env(AGENT_SESSION).and_then(|stated| stated.into_string().ok()).unwrap_or_default();
    stated.split_once(':').is_some_and(|(pid, mark)| pid.parse().ok().and_then(start_mark).is_some_and(|there| there == mark))
}

/// Whether a variable belongs to Claude Code, or is a credential of its.
pub(crate) fn is_claudes(name: &OsStr) -> bool {
    let has_prefix = ["ANTHROPIC_", "CLAUDE"].iter().any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()));
    has_prefix || BLANKED.iter().any(|blanked| name == OsStr::new(blanked))
}

/// Takes what is Claude Code's out of the environment of a program that is neither Claude Code nor this one.
pub(crate) fn hide_claudes_environment(context: &Context, command: &mut Command) {
    for name in context.variable_names().filter(|name| is_claudes(name)) {
        command.env_remove(name);
    }
}

/// Claude Code has more credentials than a list could hold: each has such a word in its name.
fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 7] = ["TOKEN", "KEY", "SECRET", "AUTH", "OAUTH", "CREDENTIAL", "CREDS"];
    name.starts_with("CLAUDE") && !name.starts_with("CLAUDE_FAILOVER_") && name.split('_').any(|word| WORDS.contains(&word))
}

/// The user's own `--settings`, a file or JSON, merged with ours. `guards_key`: Claude Code must not send a key that is stored for
/// all sessions. `hook`: the command of the two hooks for a person at a terminal.
///
/// # Errors
/// If the settings cannot be read. Claude Code would ignore all of them, but the rules that the user has set must hold.
pub(crate) fn merged(command_line: &CommandLine, local: &LocalGateway, guards_key: bool, hook: Option<&str>) -> Result<String> {
    let mut settings = given(command_line)?;
    if let Some(command) = hook {
        hooks::add(&mut settings, command);
    }
    let mut environment = match settings.remove("env") {
        Some(Value::Object(environment)) => environment,
        _ => Map::new(),
    };
    environment.extend(BLANKED.iter().map(|key| ((*key).to_string(), json!(""))));
    environment.extend(local.variables().into_iter().map(|(key, value)| (key.to_string(), value.into())));
    settings.insert("env".into(), environment.into());
    // Only another helper takes precedence over such a key. With `--bare` no key is sent, and the helper does not get the variable.
    let helper = if guards_key && !command_line.has("--bare") { "printenv ANTHROPIC_AUTH_TOKEN" } else { "" };
    settings.insert("apiKeyHelper".into(), helper.into());
    // Claude Code asks Anthropic about each host before it fetches a page from there, and fetches nothing if it gets no answer
    // (anthropics/claude-code#6388).
    settings.insert("skipWebFetchPreflight".into(), true.into());
    // In auto mode (2.1.330) a model judges which commands are safe. That is no task for a small model.
    if let Value::Object(permissions) = settings.entry("permissions").or_insert_with(|| json!({})) {
        permissions.insert("disableAutoMode".into(), "disable".into());
        if let Value::Array(denied) = permissions.entry("deny").or_insert_with(|| json!([])) {
            denied.extend(DENIED.map(Value::from));
        }
    }
    Ok(Value::from(settings).to_string())
}

/// The user's own `--settings`; none are as empty ones.
///
/// # Errors
/// If they cannot be read, or are given more than once.
pub(super) fn given(command_line: &CommandLine) -> Result<Map<String, Value>> {
    let mut given = command_line.all("--settings");
    let settings = given.next().map_or_else(|| Ok(Map::new()), read)?;
    match given.next() {
        None => Ok(settings),
        Some(_) => Err(unusable("it is given more than once, and versions of Claude Code differ in which one counts".into())),
    }
}

/// Where the settings of the Claude Code with this pid are.
pub(crate) fn settings_file(context: &Context, pid: u32) -> Result<PathBuf> {
    Ok(context.state_dir()?.join("agents").join(format!("{pid}.json")))
}

fn unusable(reason: String) -> Error {
    Error::SettingsOption { reason: Shown::line(reason) }
}

/// The settings that `--settings` gives, as a file or as JSON.
///
/// # Errors
/// If they cannot be read, or hold something else where an object belongs.
pub(crate) fn read(given: &str) -> Result<Map<String, Value>> {
    let text = match given.trim_start().starts_with('{') {
        true => given.to_string(),
        false => fs::read_to_string(given).map_err(|error| unusable(format!("`{given}`: {}", plain(&error))))?,
    };
    let text = text.trim_start_matches('\u{feff}');
    let settings: Map<String, Value> = serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&replace_lone_surrogates(text)))
        .map_err(|error| unusable(format!("no JSON object: {error}")))?;
    let is_object = |key: &&str| settings.get(*key).is_none_or(Value::is_object);
    match ["env", "hooks", "permissions"].iter().find(|key| !is_object(key)) {
        Some(key) => Err(unusable(format!("`{key}` is no object"))),
        None => Ok(settings),
    }
}
