//! The replies of Claude Code 2.1.330 to the control requests of the Agent SDKs. A plain answer has no tools, so most settings have
//! nothing to act on.

use serde_json::{Value, json};

use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::messages::SessionInfo;
use crate::claude_code::version::COMPATIBLE_WITH;

pub(crate) enum ControlReply {
    /// With the response, if the request has one.
    Success(Option<Value>),
    Error {
        text: String,
        /// The kind of error, where the real CLI states one.
        code: Option<&'static str>,
    },
}

impl ControlReply {
    pub(crate) fn done(response: Value) -> ControlReply {
        ControlReply::Success(Some(response))
    }

    pub(crate) fn refused(text: &str) -> ControlReply {
        ControlReply::Error { text: text.into(), code: None }
    }

    fn refused_as(code: &'static str, text: &str) -> ControlReply {
        ControlReply::Error { text: text.into(), code: Some(code) }
    }

    /// The `control_response`. If the request had no id, it has none either.
    pub(crate) fn message(self, id: Option<Value>) -> Value {
        let (subtype, fields) = match self {
            ControlReply::Success(response) => ("success", messages::object([("response", response)])),
            ControlReply::Error { text, code } => {
                ("error", messages::object([("error", Some(text.into())), ("error_code", code.map(Value::from))]))
            }
        };
        let mut response = messages::object([("subtype", Some(subtype.into())), ("request_id", id)]);
        response.extend(fields);
        json!({"type": "control_response", "response": response})
    }
}

/// The reply to a request that depends on nothing but itself. `None` for the others.
pub(crate) fn reply_to(request: &Value) -> Option<ControlReply> {
    Some(match request["subtype"].as_str()? {
        "set_max_thinking_tokens" => match &request["max_thinking_tokens"] {
            tokens if tokens.is_null() || tokens.is_i64() => ControlReply::Success(None),
            _ => ControlReply::refused(
                "set_max_thinking_tokens: max_thinking_tokens must be an integer or null and thinking_display must be \
                 \"summarized\", \"omitted\", \"highlights\", or null",
            ),
        },
        "apply_flag_settings" => match request.get("settings") {
            Some(Value::Object(_)) => ControlReply::Success(None),
            other => {
                let text = format!("apply_flag_settings requires `settings` to be an object, got {}", js_type(other));
                ControlReply::refused(&text)
            }
        },
        "mcp_status" => ControlReply::done(json!({"mcpServers": []})),
        "mcp_set_servers" => match request["servers"].is_object() {
            true => ControlReply::done(json!({"added": [], "removed": [], "errors": {}})),
            false => ControlReply::refused("mcp_set_servers: servers must be an object of config objects"),
        },
        subtype @ ("mcp_reconnect" | "mcp_toggle") => match request["serverName"].as_str() {
            Some(name) => ControlReply::refused(&format!("Server not found: {name}")),
            None => ControlReply::refused(&format!("{subtype}: serverName must be a string")),
        },
        "mcp_message" | "seed_read_state" | "remote_control" => ControlReply::Success(None),
        "get_binary_version" => ControlReply::done(json!({"version": COMPATIBLE_WITH, "buildTime": null})),
        "get_usage" => ControlReply::done(json!({
            "session": {"total_cost_usd": 0, "total_lines_added": 0, "total_lines_removed": 0, "model_usage": {}},
            "subscription_type": null, "rate_limits_available": false, "rate_limits": null, "behaviors": null,
        })),
        "generate_session_title" => match request["description"].is_string() {
            true => ControlReply::done(json!({"title": null})),
            false => ControlReply::refused("generate_session_title: description must be a string"),
        },
        "background_tasks" => ControlReply::done(json!({})),
        "stop_task" => match request["task_id"].is_string() {
            true => ControlReply::done(json!({})),
            false => ControlReply::refused("stop_task: task_id must be a string"),
        },
        "rewind_files" => ControlReply::refused("File rewinding is not enabled."),
        _ => return None,
    })
}

/// The reply to a request that Claude Code does not know.
pub(crate) fn unsupported(request: &Value) -> ControlReply {
    let subtype = match request.get("subtype") {
        Some(Value::String(subtype)) => subtype.clone(),
        Some(other) => other.to_string(),
        None => "undefined".into(),
    };
    ControlReply::refused_as("unsupported_request", &format!("Unsupported control request subtype: {subtype}"))
}

fn js_type(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null | Value::Object(_) | Value::Array(_)) => "object",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
    }
}

/// The settings that some SDKs deliver here have nothing to act on without tools; saying that they were applied keeps
/// the SDK from ending the session. Hooks are not called, and an SDK that has one whose failure is to block must know it:
/// it ends the session.
pub(crate) fn initialized(session: &SessionInfo, state: &str) -> ControlReply {
    let SessionInfo { model, permission_mode, customizations, .. } = session;
    ControlReply::done(json!({
        "commands": customizations.commands(), "agents": customizations.agents(),
        "output_style": customizations.output_style, "available_output_styles": customizations.output_styles(),
        "models": [{
            "value": "default", "resolvedModel": model, "displayName": model,
            "description": "The local model that answers while Claude does not",
        }],
        "account": {"tokenSource": "none", "apiKeySource": "none", "apiProvider": "firstParty"},
        "pid": std::process::id(),
        "claude_code_version": COMPATIBLE_WITH,
        "current_permission_mode": permission_mode,
        "hook_on_failure_supported": false,
        "managed_settings_applied": true, "settings_applied": true, "disallowed_tools_applied": true,
        "mcp_servers_applied": true,
        "analytics_disabled": true,
        "fast_mode_state": "off", "fast_mode_disabled_reason": "sdk_opt_in_required",
        "session_state": state, "capabilities": ["interrupt_receipt_v1"],
    }))
}

pub(crate) fn settings(model: &str) -> ControlReply {
    ControlReply::done(json!({
        "effective": {}, "sources": [],
        "applied": {"model": model, "effort": null, "advisor": null, "ultracode": false},
    }))
}

/// There is one model, and whatever the caller asks for, it stays.
pub(crate) fn set_model(wanted: &Value, model: &str) -> ControlReply {
    match wanted {
        Value::String(name) if name.is_empty() => {
            let text = "Model \"(unrecognized model name)\" is not a recognized model id. Run /model to see available models.";
            ControlReply::refused_as("catalog_unknown", text)
        }
        Value::Null | Value::String(_) => ControlReply::done(json!({"model": model})),
        _ => ControlReply::refused_as("invalid_request", "set_model: model must be a string"),
    }
}

/// The permission mode that a request names.
///
/// # Errors
/// The reply, if the caller cannot have it.
pub(crate) fn permission_mode(wanted: &Value, may_bypass: bool) -> Result<&str, ControlReply> {
    match wanted.as_str() {
        Some("manual") => Ok("default"),
        Some(mode @ ("acceptEdits" | "auto" | "default" | "dontAsk" | "plan")) => Ok(mode),
        Some("bypassPermissions") if may_bypass => Ok("bypassPermissions"),
        Some("bypassPermissions") => {
            let text = "Cannot set permission mode to bypassPermissions because the session was not launched with \
                        --dangerously-skip-permissions";
            Err(ControlReply::refused_as("bypass_not_launched", text))
        }
        _ => {
            let text = "Cannot set permission mode: must be one of acceptEdits, auto, bypassPermissions, default, dontAsk, plan";
            Err(ControlReply::refused_as("invalid_mode", text))
        }
    }
}

/// The tokens of a conversation, by role.
pub(crate) struct ContextTokens {
    pub system: usize,
    pub user: usize,
    pub assistant: usize,
}

/// `window` is the model's context in tokens; 0 if it is not known.
pub(crate) fn context_usage(tokens: &ContextTokens, window: usize, model: &str) -> ControlReply {
    let ContextTokens { system, user, assistant } = *tokens;
    let total = system + user + assistant;
    let free = window.saturating_sub(total);
    let percentage = (100 * total).checked_div(window).unwrap_or_default();
    let category = |id: &str, name: &str, tokens: usize, kind: &str| {
        let color = if kind == "used" { "promptBorder" } else { "inactive" };
        json!({"id": id, "name": name, "tokens": tokens, "color": color, "kind": kind})
    };
    ControlReply::done(json!({
        "categories": [
            category("system_prompt", "System prompt", system, "used"),
            category("messages", "Messages", user + assistant, "used"),
            category("free_space", "Free space", free, "free"),
        ],
        "totalTokens": total, "maxTokens": window, "rawMaxTokens": window,
        "autocompactSource": "model-default", "percentage": percentage, "gridRows": [],
        "model": model,
        "memoryFiles": [], "mcpTools": [], "mcpInstructions": [], "agents": [],
        "slashCommands": {"totalCommands": 0, "includedCommands": 0, "tokens": 0},
        "skills": {"totalSkills": 0, "includedSkills": 0, "tokens": 0, "skillFrontmatter": []},
        "autoCompactThreshold": window, "isAutoCompactEnabled": false,
        "messageBreakdown": {
            "toolCallTokens": 0, "toolResultTokens": 0, "attachmentTokens": 0,
            "assistantMessageTokens": assistant, "userMessageTokens": user,
            "redirectedContextTokens": 0, "unattributedTokens": 0,
            "toolCallsByType": [], "attachmentsByType": [],
        },
        "apiUsage": null,
    }))
}
