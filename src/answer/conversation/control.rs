//! The control protocol of the Agent SDKs: what is asked beside the conversation, and the answers of Claude Code 2.1.330.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::answer::attempts;
use crate::answer::conversation::Conversation;
use crate::claude_code::json_schema::Schema;
use crate::claude_code::protocol::messages;
use crate::claude_code::version::COMPATIBLE_WITH;
use crate::local_model::context;

/// An answer to a control request.
pub(crate) enum Reply {
    /// It was done; with what it gives, if it gives something.
    Success(Option<Value>),
    /// It was not done.
    Error {
        /// Why.
        text: String,
        /// The kind of error, where the real CLI has one.
        code: Option<&'static str>,
    },
}

impl Reply {
    /// The message that carries it. An absent `id` stays absent.
    pub(crate) fn message(self, id: Option<Value>) -> Value {
        let (subtype, fields) = match self {
            Reply::Success(response) => ("success", messages::object([("response", response)])),
            Reply::Error { text, code } => {
                ("error", messages::object([("error", Some(text.into())), ("error_code", code.map(Value::from))]))
            }
        };
        let mut response = messages::object([("subtype", Some(subtype.into())), ("request_id", id)]);
        response.extend(fields);
        json!({"type": "control_response", "response": response})
    }
}

/// What is to be said and done about a request.
pub(crate) struct Answered {
    /// Messages before the reply.
    pub before: Vec<Value>,
    /// The reply.
    pub reply: Reply,
    /// Messages after it.
    pub after: Vec<Value>,
    /// Whether the turn that runs is to end.
    pub interrupts: bool,
}

/// Answers `request`.
pub(crate) fn answer(conversation: &mut Conversation, request: &Value) -> Answered {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let reply = match request["subtype"].as_str() {
        Some("initialize") => initialize(conversation, request, &mut before),
        Some("interrupt") => done(json!({"still_queued": conversation.queued_ids()})),
        Some("set_model") => set_model(conversation, &request["model"]),
        Some("set_permission_mode") => set_permission_mode(conversation, &request["mode"], &mut after),
        Some("set_max_thinking_tokens") => match &request["max_thinking_tokens"] {
            tokens if tokens.is_null() || tokens.is_i64() => Reply::Success(None),
            _ => refused(
                "set_max_thinking_tokens: max_thinking_tokens must be an integer or null and thinking_display must be \
                 \"summarized\", \"omitted\", \"highlights\", or null",
            ),
        },
        Some("apply_flag_settings") => match request.get("settings") {
            Some(Value::Object(_)) => Reply::Success(None),
            other => refused(&format!("apply_flag_settings requires `settings` to be an object, got {}", js_type(other))),
        },
        Some("rename_session") => rename(conversation, &request["title"], &mut before),
        Some("end_session") => {
            conversation.end();
            Reply::Success(None)
        }
        Some("mcp_status") => done(json!({"mcpServers": []})),
        Some("mcp_set_servers") => match request["servers"].is_object() {
            true => done(json!({"added": [], "removed": [], "errors": {}})),
            false => refused("mcp_set_servers: servers must be an object of config objects"),
        },
        Some(subtype @ ("mcp_reconnect" | "mcp_toggle")) => match request["serverName"].as_str() {
            Some(name) => refused(&format!("Server not found: {name}")),
            None => refused(&format!("{subtype}: serverName must be a string")),
        },
        Some("mcp_message" | "seed_read_state" | "remote_control") => Reply::Success(None),
        Some("get_context_usage") => done(context_usage(conversation)),
        Some("get_settings") => done(json!({
            "effective": {}, "sources": [],
            "applied": {"model": conversation.model_name(), "effort": null, "advisor": null, "ultracode": false},
        })),
        Some("get_binary_version") => done(json!({"version": COMPATIBLE_WITH, "buildTime": null})),
        Some("get_usage") => done(json!({
            "session": {"total_cost_usd": 0, "total_lines_added": 0, "total_lines_removed": 0, "model_usage": {}},
            "subscription_type": null, "rate_limits_available": false, "rate_limits": null, "behaviors": null,
        })),
        Some("generate_session_title") => match request["description"].is_string() {
            true => done(json!({"title": null})),
            false => refused("generate_session_title: description must be a string"),
        },
        Some("background_tasks") => done(json!({})),
        Some("stop_task") => match request["task_id"].is_string() {
            true => done(json!({})),
            false => refused("stop_task: task_id must be a string"),
        },
        Some("cancel_async_message") => match request["message_uuid"].as_str().and_then(|uuid| conversation.unqueue(uuid)) {
            Some(message) => {
                before.push(message);
                done(json!({"cancelled": true, "message_uuid": request["message_uuid"]}))
            }
            None => done(json!({"cancelled": false})),
        },
        Some("rewind_files") => refused("File rewinding is not enabled."),
        _ => {
            let subtype = match request.get("subtype") {
                Some(Value::String(subtype)) => subtype.clone(),
                Some(other) => other.to_string(),
                None => "undefined".into(),
            };
            let text = format!("Unsupported control request subtype: {subtype}");
            Reply::Error { text, code: Some("unsupported_request") }
        }
    };
    let interrupts = matches!(request["subtype"].as_str(), Some("interrupt" | "end_session"));
    Answered { before, reply, after, interrupts }
}

fn done(response: Value) -> Reply {
    Reply::Success(Some(response))
}

fn refused(text: &str) -> Reply {
    Reply::Error { text: text.into(), code: None }
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
fn initialize(conversation: &mut Conversation, request: &Value, before: &mut Vec<Value>) -> Reply {
    conversation.set_up(request);
    if let Some(title) = request["title"].as_str().map(str::trim).filter(|title| !title.is_empty()) {
        before.push(conversation.rename(title));
    }
    let state = if conversation.is_running() { "running" } else { "idle" };
    let model = conversation.model_name();
    done(json!({
        "commands": [], "agents": [],
        "output_style": "default", "available_output_styles": ["default"],
        "models": [{
            "value": "default", "resolvedModel": model, "displayName": model,
            "description": "The local model that answers while Claude does not",
        }],
        "account": {"tokenSource": "none", "apiKeySource": "none", "apiProvider": "firstParty"},
        "pid": std::process::id(),
        "claude_code_version": COMPATIBLE_WITH,
        "current_permission_mode": conversation.permission_mode(),
        "hook_on_failure_supported": false,
        "managed_settings_applied": true, "settings_applied": true, "disallowed_tools_applied": true,
        "mcp_servers_applied": true,
        "analytics_disabled": true,
        "fast_mode_state": "off", "fast_mode_disabled_reason": "sdk_opt_in_required",
        "session_state": state, "capabilities": ["interrupt_receipt_v1"],
    }))
}

/// There is one model, and it stays.
fn set_model(conversation: &Conversation, model: &Value) -> Reply {
    match model {
        Value::Null => {}
        Value::String(name) if name.is_empty() => {
            let text = "Model \"(unrecognized model name)\" is not a recognized model id. Run /model to see available models.";
            return Reply::Error { text: text.into(), code: Some("catalog_unknown") };
        }
        Value::String(_) => {}
        _ => return Reply::Error { text: "set_model: model must be a string".into(), code: Some("invalid_request") },
    }
    done(json!({"model": conversation.model_name()}))
}

fn set_permission_mode(conversation: &mut Conversation, mode: &Value, after: &mut Vec<Value>) -> Reply {
    let mode = match mode.as_str() {
        Some("manual") => "default",
        Some(mode @ ("acceptEdits" | "auto" | "default" | "dontAsk" | "plan")) => mode,
        Some("bypassPermissions") if conversation.may_bypass_permissions() => "bypassPermissions",
        Some("bypassPermissions") => {
            let text = "Cannot set permission mode to bypassPermissions because the session was not launched with \
                        --dangerously-skip-permissions";
            return Reply::Error { text: text.into(), code: Some("bypass_not_launched") };
        }
        _ => {
            let text = "Cannot set permission mode: must be one of acceptEdits, auto, bypassPermissions, default, dontAsk, plan";
            return Reply::Error { text: text.into(), code: Some("invalid_mode") };
        }
    };
    if conversation.permission_mode() != mode {
        after.push(conversation.set_permission_mode(mode));
    }
    done(json!({"mode": mode}))
}

fn rename(conversation: &mut Conversation, title: &Value, before: &mut Vec<Value>) -> Reply {
    match title.as_str().map(str::trim) {
        None => refused("rename_session: title must be a string"),
        Some("") => refused("title must be non-empty"),
        Some(title) => {
            before.push(conversation.rename(title));
            Reply::Success(None)
        }
    }
}

/// Estimated as the conversation is trimmed: no tokenizer is at hand.
fn context_usage(conversation: &Conversation) -> Value {
    let messages = conversation.messages();
    let of = |role: &str| -> usize {
        let said = messages.iter().filter(|message| message.role == role);
        said.map(|message| context::tokens(&message.content)).sum()
    };
    let system = of("system");
    let (user, assistant) = (of("user"), of("assistant"));
    let total = system + user + assistant;
    let size = conversation.window() as usize;
    let free = size.saturating_sub(total);
    let percentage = (100 * total).checked_div(size).unwrap_or_default();
    let category = |id: &str, name: &str, tokens: usize, kind: &str| {
        let color = if kind == "used" { "promptBorder" } else { "inactive" };
        json!({"id": id, "name": name, "tokens": tokens, "color": color, "kind": kind})
    };
    json!({
        "categories": [
            category("system_prompt", "System prompt", system, "used"),
            category("messages", "Messages", user + assistant, "used"),
            category("free_space", "Free space", free, "free"),
        ],
        "totalTokens": total, "maxTokens": size, "rawMaxTokens": size,
        "autocompactSource": "model-default", "percentage": percentage, "gridRows": [],
        "model": conversation.model_name(),
        "memoryFiles": [], "mcpTools": [], "mcpInstructions": [], "agents": [],
        "slashCommands": {"totalCommands": 0, "includedCommands": 0, "tokens": 0},
        "skills": {"totalSkills": 0, "includedSkills": 0, "tokens": 0, "skillFrontmatter": []},
        "autoCompactThreshold": size, "isAutoCompactEnabled": false,
        "messageBreakdown": {
            "toolCallTokens": 0, "toolResultTokens": 0, "attachmentTokens": 0,
            "assistantMessageTokens": assistant, "userMessageTokens": user,
            "redirectedContextTokens": 0, "unattributedTokens": 0,
            "toolCallsByType": [], "attachmentsByType": [],
        },
        "apiUsage": null,
    })
}

/// What a request asks of the conversation.
impl Conversation<'_> {
    /// The ids of the messages that wait, of those that have one.
    fn queued_ids(&self) -> Vec<&str> {
        self.queue.iter().filter_map(|message| message.uuid.as_deref()).collect()
    }

    /// Takes a waiting message back, and gives the message that tells it. `None` if there is none of this id.
    fn unqueue(&mut self, uuid: &str) -> Option<Value> {
        let at = self.queue.iter().position(|message| message.uuid.as_deref() == Some(uuid))?;
        self.queue.remove(at);
        Some(json!({
            "type": "command_lifecycle", "command_uuid": uuid, "state": "cancelled",
            "uuid": messages::uuid(), "session_id": self.session.id,
        }))
    }

    /// Takes what `initialize` says. A schema that is none is passed over, as the real CLI does.
    fn set_up(&mut self, request: &Value) {
        let given = request["systemPrompt"].as_array().map(|parts| parts.iter().filter_map(Value::as_str).collect());
        let mut parts: Vec<&str> = given.unwrap_or_else(|| self.options.system.iter().map(String::as_str).collect());
        parts.extend(request["appendSystemPrompt"].as_str());
        parts.retain(|part| !part.is_empty());
        self.system = (!parts.is_empty()).then(|| parts.join("\n\n"));
        if self.options.schema.is_none() && request["jsonSchema"].is_object() {
            let schema = Schema::new(request["jsonSchema"].clone()).ok();
            self.options.schema = schema.map(|schema| (Arc::new(schema), attempts(self.context)));
        }
    }

    /// Takes nothing more in.
    fn end(&mut self) {
        self.is_over = true;
        self.queue.clear();
    }

    /// Whether a turn runs.
    fn is_running(&self) -> bool {
        self.turn.is_some()
    }

    /// The model's name, as far as it is known.
    fn model_name(&self) -> String {
        self.shared.reporter().identity.model.clone()
    }

    /// The model's context in tokens; 0 if it is not known.
    fn window(&self) -> u32 {
        self.shared.reporter().identity.window
    }

    /// The permission mode.
    fn permission_mode(&self) -> String {
        self.shared.reporter().identity.permission_mode.clone()
    }

    /// Whether all permissions may be given.
    fn may_bypass_permissions(&self) -> bool {
        self.options.may_bypass_permissions
    }

    /// Changes the permission mode, and gives the message that tells it.
    fn set_permission_mode(&mut self, mode: &str) -> Value {
        let mut reporter = self.shared.reporter();
        reporter.identity.permission_mode = mode.into();
        messages::status(&reporter.identity, json!({"status": null, "permissionMode": mode}))
    }

    /// Names the conversation, and gives the message that tells it.
    fn rename(&mut self, title: &str) -> Value {
        self.session.rename(title);
        json!({
            "type": "system", "subtype": "session_title_changed", "title": title,
            "uuid": messages::uuid(), "session_id": self.session.id,
        })
    }
}
