//! The control requests of the Agent SDKs, which come beside the conversation and act on it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::answer::conversation::{Conversation, ConversationState};
use crate::claude_code::json_schema::{Schema, max_attempts};
use crate::claude_code::protocol::control::{self, ContextTokens, ControlReply};
use crate::claude_code::protocol::messages;
use crate::local_model::context;

/// The reply to a control request, and what goes with it.
pub(super) struct ControlAnswer {
    pub before: Vec<Value>,
    pub reply: ControlReply,
    pub after: Vec<Value>,
    pub interrupts_turn: bool,
}

impl Conversation<'_> {
    /// Acts on a control request and sends the reply.
    pub(super) fn take_control(&mut self, id: Option<Value>, request: &Value) {
        let answer = self.answer_control(request);
        answer.before.iter().for_each(|message| self.send(message));
        if let (Some(id), Ok(mut answered)) = (id.as_ref().and_then(Value::as_str), self.options.answered_requests.lock()) {
            answered.insert(id.into());
        }
        if let (Some(pump), Some(id)) = (&self.options.pump, id.as_ref().and_then(Value::as_str)) {
            pump.drop_request(id);
        }
        self.shared.reporter().output.message_now(&answer.reply.message(id));
        answer.after.iter().for_each(|message| self.send(message));
        if answer.interrupts_turn {
            self.interrupt();
        }
    }

    /// Does all but what `interrupts_turn` asks for.
    pub(super) fn answer_control(&mut self, request: &Value) -> ControlAnswer {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let subtype = request["subtype"].as_str();
        let reply = match subtype {
            Some("initialize") => self.initialize(request, &mut before),
            Some("interrupt") => ControlReply::done(json!({"still_queued": self.queued_ids()})),
            Some("set_model") => control::set_model(&request["model"], &self.model_name()),
            Some("set_permission_mode") => {
                match control::permission_mode(&request["mode"], self.options.may_bypass_permissions) {
                    Ok(mode) => {
                        after.extend(self.set_permission_mode(mode));
                        ControlReply::done(json!({"mode": mode}))
                    }
                    Err(refusal) => refusal,
                }
            }
            Some("rename_session") => match request["title"].as_str().map(str::trim) {
                None => ControlReply::refused("rename_session: title must be a string"),
                Some("") => ControlReply::refused("title must be non-empty"),
                Some(title) => {
                    before.push(self.rename(title));
                    ControlReply::Success(None)
                }
            },
            Some("end_session") => {
                self.end_input();
                ControlReply::Success(None)
            }
            Some("get_context_usage") => self.context_usage(),
            Some("get_settings") => control::settings(&self.model_name()),
            Some("cancel_async_message") => match request["message_uuid"].as_str().and_then(|uuid| self.unqueue(uuid)) {
                Some(message) => {
                    before.push(message);
                    ControlReply::done(json!({"cancelled": true, "message_uuid": request["message_uuid"]}))
                }
                None => ControlReply::done(json!({"cancelled": false})),
            },
            _ => control::reply_to(request).unwrap_or_else(|| control::unsupported(request)),
        };
        ControlAnswer { before, reply, after, interrupts_turn: matches!(subtype, Some("interrupt" | "end_session")) }
    }

    fn initialize(&mut self, request: &Value, before: &mut Vec<Value>) -> ControlReply {
        self.apply_initialize(request);
        if let Some(title) = request["title"].as_str().map(str::trim).filter(|title| !title.is_empty()) {
            before.push(self.rename(title));
        }
        let state = if matches!(self.state, ConversationState::Running(_)) { "running" } else { "idle" };
        let mut reporter = self.shared.reporter();
        reporter.session.customizations.add_agents(&request["agents"]);
        control::initialized(&reporter.session, state)
    }

    /// Applies the prompts and the schema of `initialize`. As the real CLI does, it ignores a schema that is not valid.
    fn apply_initialize(&mut self, request: &Value) {
        let given = request["systemPrompt"].as_array().map(|parts| parts.iter().filter_map(Value::as_str).collect());
        let mut parts: Vec<&str> = given.unwrap_or_else(|| self.options.system.iter().map(String::as_str).collect());
        parts.extend(request["appendSystemPrompt"].as_str());
        parts.retain(|part| !part.is_empty());
        self.system = (!parts.is_empty()).then(|| parts.join("\n\n"));
        if self.options.schema.is_none() && request["jsonSchema"].is_object() {
            let schema = Schema::new(request["jsonSchema"].clone()).ok();
            self.options.schema = schema.map(|schema| (Arc::new(schema), max_attempts(self.context)));
        }
    }

    /// The ids of the messages that wait. Not every message has one.
    fn queued_ids(&self) -> Vec<&str> {
        self.queue.iter().filter_map(|message| message.uuid.as_deref()).collect()
    }

    /// Takes a message out of the queue, if it is there. Returns what reports that.
    fn unqueue(&mut self, uuid: &str) -> Option<Value> {
        let at = self.queue.iter().position(|message| message.uuid.as_deref() == Some(uuid))?;
        self.queue.remove(at);
        if let Some(pump) = &self.options.pump {
            pump.drop_message(uuid);
        }
        Some(messages::command_lifecycle(&self.session.id, uuid, "cancelled"))
    }

    fn model_name(&self) -> String {
        self.shared.reporter().session.model.clone()
    }

    /// Returns the message that reports a change.
    fn set_permission_mode(&mut self, mode: &str) -> Option<Value> {
        let mut reporter = self.shared.reporter();
        if reporter.session.permission_mode == mode {
            return None;
        }
        reporter.session.permission_mode = mode.into();
        Some(messages::status(&reporter.session, json!({"status": null, "permissionMode": mode})))
    }

    /// Returns the message that reports it.
    fn rename(&mut self, title: &str) -> Value {
        self.session.rename(title);
        self.mirror_title(title);
        messages::session_title(&self.session.id, title)
    }

    /// By the same estimate by which the conversation is shortened: there is no tokenizer here.
    fn context_usage(&self) -> ControlReply {
        let messages = self.messages();
        let of = |role: &str| -> usize {
            let messages = messages.iter().filter(|message| message.role == role);
            messages.map(|message| context::tokens(&message.content)).sum()
        };
        let tokens = ContextTokens { system: of("system"), user: of("user"), assistant: of("assistant") };
        let reporter = self.shared.reporter();
        control::context_usage(&tokens, reporter.session.window as usize, &reporter.session.model)
    }
}
