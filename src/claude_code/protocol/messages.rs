//! The messages of Claude Code's JSON formats, as 2.1.330 writes them, with `type` first as 2.1.197 had it.

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::claude_code::customizations::Customizations;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::version::COMPATIBLE_WITH;
use crate::completions::chunk::Usage;

/// What the messages say about their session.
#[derive(Clone)]
pub(crate) struct SessionInfo {
    pub session_id: String,
    pub model: String,
    /// The model's context in tokens; 0 if unknown.
    pub window: u32,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    pub cwd: String,
    /// The permission mode, which has no effect where there are no tools.
    pub permission_mode: String,
    pub customizations: Customizations,
    pub mark: Mark,
}

pub(crate) fn uuid() -> String {
    Uuid::new_v4().to_string()
}

/// An id such as the Messages API gives.
pub(crate) fn api_id(prefix: &str) -> String {
    format!("{prefix}_{}", &Uuid::new_v4().simple().to_string()[..24])
}

/// The time in the form of Claude Code's messages.
pub(crate) fn timestamp() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// `system/init`, which begins each turn. A plain answer has no tools, and the message says so.
pub(crate) fn init(session: &SessionInfo) -> Value {
    let mut message = json!({
        "type": "system", "subtype": "init",
        "cwd": session.cwd,
        "session_id": session.session_id,
        "tools": [], "mcp_servers": [],
        "model": session.model,
        "permissionMode": session.permission_mode,
        "slash_commands": session.customizations.command_names(),
        "apiKeySource": "none",
        "claude_code_version": COMPATIBLE_WITH,
        "output_style": session.customizations.output_style,
        "agents": session.customizations.agent_names(), "skills": session.customizations.skill_names(), "plugins": [],
        "capabilities": ["interrupt_receipt_v1"],
        "analytics_disabled": true, "product_feedback_disabled": true,
        "served_by_anthropic": false,
        "uuid": uuid(),
        "memory_paths": {},
        "original_cwd": session.cwd,
        "additional_directories": [],
        "fast_mode_state": "off", "fast_mode_disabled_reason": "sdk_opt_in_required",
        "per_turn_effort_active": false, "ultrathink_available": false, "ultrathink_typed_raises": false,
        "view_mode": "default",
    });
    if session.customizations.has_commands {
        extend(&mut message, json!({"terminal_slash_commands": []}));
    }
    message
}

/// `system/status`.
pub(crate) fn status(session: &SessionInfo, fields: Value) -> Value {
    let mut message = json!({"type": "system", "subtype": "status"});
    extend(&mut message, fields);
    extend(&mut message, json!({"session_id": session.session_id, "uuid": uuid()}));
    message
}

/// A piece of the answer. A type of its own, since it is the one message that is made for each token.
#[derive(Serialize)]
pub(crate) struct TextDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    event: DeltaEvent<'a>,
    session_id: &'a str,
    parent_tool_use_id: (),
    uuid: Uuid,
    api_message_id: &'a str,
}

#[derive(Serialize)]
struct DeltaEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u32,
    delta: Delta<'a>,
}

#[derive(Serialize)]
struct Delta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

impl<'a> TextDelta<'a> {
    pub(crate) fn new(session_id: &'a str, api_message_id: &'a str, text: &'a str) -> TextDelta<'a> {
        let delta = Delta { kind: "text_delta", text };
        TextDelta {
            kind: "stream_event",
            event: DeltaEvent { kind: "content_block_delta", index: 0, delta },
            session_id,
            parent_tool_use_id: (),
            uuid: Uuid::new_v4(),
            api_message_id,
        }
    }
}

/// Any other event of the answer's stream.
pub(crate) fn stream_event(session: &SessionInfo, api_message_id: &str, event: Value) -> Value {
    json!({
        "type": "stream_event", "event": event,
        "session_id": session.session_id, "parent_tool_use_id": null,
        "uuid": uuid(), "api_message_id": api_message_id,
    })
}

/// The event `message_delta`.
pub(crate) fn message_delta(stop_reason: Value, usage: Usage) -> Value {
    let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
    json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage.output}})
}

/// `assistant`.
pub(crate) fn assistant(session: &SessionInfo, message: Value) -> Value {
    json!({
        "type": "assistant", "message": message,
        "parent_tool_use_id": null, "session_id": session.session_id,
        "uuid": uuid(), "timestamp": timestamp(),
    })
}

/// The message that an [`assistant`] line and the event `message_start` hold.
pub(crate) fn message(id: &str, model: &str, content: Value, usage: Usage) -> Value {
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": null, "stop_sequence": null, "usage": message_usage(usage),
    })
}

/// The message of an [`assistant`] line that no model wrote.
pub(crate) fn synthetic_message(text: &str) -> Value {
    json!({
        "id": uuid(), "type": "message", "role": "assistant", "model": "<synthetic>", "container": null,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "stop_sequence", "stop_sequence": "", "stop_details": null,
        "usage": no_usage(), "diagnostics": null, "context_management": null,
    })
}

/// `user`.
pub(crate) fn user(session: &SessionInfo, content: Value) -> Value {
    json!({
        "type": "user", "message": {"role": "user", "content": content},
        "parent_tool_use_id": null, "session_id": session.session_id,
        "uuid": uuid(), "timestamp": timestamp(),
    })
}

/// `user` that repeats a message of the caller's.
pub(crate) fn replay(session_id: &str, content: &Value, message_uuid: Option<String>) -> Value {
    json!({
        "type": "user", "message": {"role": "user", "content": content},
        "session_id": session_id, "parent_tool_use_id": null,
        "uuid": message_uuid.unwrap_or_else(uuid), "isReplay": true,
    })
}

/// `command_lifecycle`: what has become of the caller's message `message_uuid`.
pub(crate) fn command_lifecycle(session_id: &str, message_uuid: &str, state: &str) -> Value {
    json!({
        "type": "command_lifecycle", "command_uuid": message_uuid, "state": state,
        "uuid": uuid(), "session_id": session_id,
    })
}

/// `system/session_state_changed`.
pub(crate) fn session_state(session_id: &str, state: &str) -> Value {
    json!({
        "type": "system", "subtype": "session_state_changed", "state": state, "sdk_host_only": true,
        "uuid": uuid(), "session_id": session_id,
    })
}

/// `system/session_title_changed`.
pub(crate) fn session_title(session_id: &str, title: &str) -> Value {
    json!({
        "type": "system", "subtype": "session_title_changed", "title": title,
        "uuid": uuid(), "session_id": session_id,
    })
}

/// `system/informational`.
pub(crate) fn informational(session: &SessionInfo, text: &str) -> Value {
    json!({
        "type": "system", "subtype": "informational", "content": text, "level": "warning",
        "uuid": uuid(), "session_id": session.session_id,
    })
}

/// The usage of one message.
fn message_usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output, "service_tier": "standard",
    })
}

/// The usage of a message that no model wrote.
pub(crate) fn no_usage() -> Value {
    json!({
        "input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0,
        "output_tokens_details": null,
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "service_tier": null,
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "inference_geo": null, "iterations": null, "speed": null, "fallback_credit": null,
    })
}

/// The usage of a turn.
pub(crate) fn turn_usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output, "output_tokens_details": {"thinking_tokens": 0},
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "service_tier": "standard",
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "inference_geo": "", "iterations": [], "speed": "standard", "fallback_credit": null,
    })
}

/// The usage by model.
pub(crate) fn model_usage(session: &SessionInfo, usage: Usage) -> Value {
    json!({session.model.as_str(): {
        "inputTokens": usage.input, "outputTokens": usage.output,
        "cacheReadInputTokens": usage.cached, "cacheCreationInputTokens": 0,
        "webSearchRequests": 0, "costUSD": 0,
        "contextWindow": session.window, "maxOutputTokens": session.max_tokens,
        "thinkingTokens": 0, "cacheCreationEphemeral5mInputTokens": 0, "cacheCreationEphemeral1hInputTokens": 0,
        "canonicalModel": session.model, "provider": "local", "costBasis": "list",
    }})
}

/// A plain answer has no subagents.
pub(crate) fn no_subagents() -> Value {
    json!({
        "spawned": 0, "requested": {"background": 0, "foreground": 0, "unset": 0},
        "started_in_background": 0, "max_depth": 0, "spawned_by_subagents": 0, "completed": 0, "failed": 0,
        "killed": {"parent": 0, "user": 0, "system": 0},
        "refused": {"depth_limit": 0, "concurrency_limit": 0, "budget": 0}, "by_type": {},
    })
}

/// Adds the fields of one object to another.
pub(crate) fn extend(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}

/// An object of the fields that have a value.
pub(crate) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
}
