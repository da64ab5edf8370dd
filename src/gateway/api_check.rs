//! What the Messages API refuses of a request before any model is asked, in its own words where these are public.

use serde_json::Value;

use crate::gateway::api_error::ApiError;

/// `system` in the middle of a conversation is what Claude Code 2.1.330 sends, and the API takes it.
const ROLES: [&str; 3] = ["user", "assistant", "system"];

/// # Errors
/// If the roles of the messages or the choice of a tool make no sense.
pub(super) fn check(request: &Value) -> Result<(), ApiError> {
    check_roles(&request["messages"])?;
    check_choice(request)
}

fn check_roles(messages: &Value) -> Result<(), ApiError> {
    for (at, message) in messages.as_array().into_iter().flatten().enumerate() {
        match &message["role"] {
            Value::Null => return Err(ApiError::bad_request(format!("messages.{at}.role: Field required"))),
            Value::String(role) if ROLES.contains(&role.as_str()) => {}
            Value::String(role) => {
                let message = format!(r#"messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"."#);
                return Err(ApiError::bad_request(message));
            }
            _ => return Err(ApiError::bad_request(format!("messages.{at}.role: Input should be a valid string"))),
        }
    }
    Ok(())
}

fn check_choice(request: &Value) -> Result<(), ApiError> {
    let choice = &request["tool_choice"];
    if choice.is_null() {
        return Ok(());
    }
    let Some(choice) = choice.as_object() else {
        return Err(ApiError::bad_request("tool_choice: Input should be an object"));
    };
    let kind = choice.get("type").and_then(Value::as_str).unwrap_or_default();
    let tools = request["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_servers = request["mcp_servers"].as_array().is_some_and(|servers| !servers.is_empty());
    if kind != "none" && tools.is_empty() && !has_servers {
        return Err(ApiError::bad_request("tool_choice may only be specified while providing tools."));
    }
    if kind != "tool" {
        return Ok(());
    }
    match choice.get("name").and_then(Value::as_str) {
        None => Err(ApiError::bad_request("tool_choice.tool.name: Field required")),
        // The tools of a server have names that only Anthropic asks for.
        Some(name) if has_servers || tools.iter().any(|tool| tool["name"] == name) => Ok(()),
        Some(name) => Err(ApiError::bad_request(format!("Tool '{name}' not found in provided tools"))),
    }
}

/// The most tokens that an answer may have.
///
/// # Errors
/// If the request does not say it, or not as a positive number.
pub(super) fn max_tokens(request: &Value) -> Result<u32, ApiError> {
    let wrong = |what: &str| ApiError::bad_request(format!("max_tokens: {what}"));
    match &request["max_tokens"] {
        Value::Null => Err(wrong("Field required")),
        // Python's clients may send 100.0.
        Value::Number(number) => match number.as_f64().filter(|most| most.fract() == 0.0) {
            None => Err(wrong("Input should be a valid integer")),
            Some(most) if most < 1.0 => Err(wrong("must be greater than or equal to 1")),
            Some(most) => Ok(most as u32),
        },
        _ => Err(wrong("Input should be a valid integer")),
    }
}
