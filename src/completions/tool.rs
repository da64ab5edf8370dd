//! A tool as chat completions offer it to a model, and a call of it.

use serde_json::{Map, Value, json};

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON schema of its arguments.
    pub schema: Value,
}

impl Tool {
    /// As chat completions have it.
    pub(crate) fn in_chat(&self) -> Value {
        let Tool { name, description, schema } = self;
        json!({"type": "function", "function": {"name": name, "description": description, "parameters": schema}})
    }
}

/// A call that a model has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolCall {
    /// The tool's name, as the caller has it where that can be told.
    pub name: String,
    /// Its arguments, or the text that should have been that.
    pub arguments: Result<Map<String, Value>, String>,
}

/// The tool's name as the caller has it: small models do not mind case.
pub(crate) fn offered_name(tools: &[Tool], name: &str) -> String {
    let is_exact = tools.iter().any(|tool| tool.name == name);
    let near = tools.iter().find(|tool| tool.name.eq_ignore_ascii_case(name)).filter(|_| !is_exact);
    near.map_or(name, |tool| &tool.name).into()
}
