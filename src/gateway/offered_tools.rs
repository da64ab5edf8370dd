//! The tools that a request offers: the caller's own, those that Anthropic defines and the caller runs, and those that only
//! Anthropic runs.

use serde_json::{Value, json};

use crate::completions::tool::Tool;
use crate::gateway::api_error::ApiError;
use crate::gateway::server_tools::ServerTool;

#[derive(Default)]
pub(super) struct OfferedTools {
    /// What the local model may call.
    pub tools: Vec<Tool>,
    /// What nobody runs here.
    pub server_tools: Vec<ServerTool>,
}

/// Anthropic's search for tools among those that are deferred.
const TOOL_SEARCH: &str = "tool_search_tool_";

impl OfferedTools {
    /// The tools of `request`. A deferred tool is for the model only once a search of the caller's has named it. If the request
    /// relies on Anthropic's search instead, which nobody runs here, or has to be answered by that tool, it is there at once.
    ///
    /// # Errors
    /// If the caller offers a tool that the local model could not use.
    pub(super) fn read(request: &Value, referred_to: &[&str]) -> Result<OfferedTools, ApiError> {
        let list = |key: &str| request[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut offered = OfferedTools::default();
        let kind = |tool: &Value| tool["type"].as_str().unwrap_or("custom").to_string();
        let relies_on_anthropic = list("tools").iter().any(|tool| kind(tool).starts_with(TOOL_SEARCH));
        for tool in list("tools").iter().filter(|tool| tool.is_object()) {
            let (kind, name) = (kind(tool), tool["name"].as_str().unwrap_or_default());
            let is_wanted = relies_on_anthropic || referred_to.contains(&name) || request["tool_choice"]["name"] == name;
            let is_deferred = tool["defer_loading"] == true && !is_wanted;
            let given = tool.get("input_schema").filter(|schema| schema.is_object()).cloned();
            let schema = match given.or_else(|| public_schema(&kind)) {
                Some(schema) => schema,
                // The API asks for a schema, but one that asks for nothing takes any call.
                None if kind == "custom" => json!({"type": "object", "properties": {}}),
                None if kind.starts_with(TOOL_SEARCH) => continue,
                None if kind.starts_with("computer_") || kind.starts_with("browser_") => {
                    let message = format!("tools: a local model cannot be offered `{kind}`: it was never trained to use it");
                    return Err(ApiError::bad_request(message));
                }
                None => {
                    let name = tool["mcp_server_name"].as_str().unwrap_or(name);
                    offered.server_tools.push(ServerTool::new(&kind, name));
                    continue;
                }
            };
            if !name.is_empty() && !is_deferred {
                let description = tool["description"].as_str().or_else(|| public_description(&kind)).unwrap_or_default();
                offered.tools.push(Tool { name: name.into(), description: description.into(), schema });
            }
        }
        // Anthropic would speak to these servers. Since 2025-11-20 a `mcp_toolset` names each of them, too.
        for server in list("mcp_servers") {
            let name = server["name"].as_str().unwrap_or_default();
            if !offered.server_tools.iter().any(|tool| tool.name == name) {
                offered.server_tools.push(ServerTool::new("mcp_toolset", name));
            }
        }
        Ok(offered)
    }
}

/// The schemas that Claude was trained with, as Anthropic's documentation describes them.
fn public_schema(kind: &str) -> Option<Value> {
    let text = || json!({"type": "string"});
    let range = || json!({"type": "array", "items": {"type": "integer"}, "description": "first and last line; -1: to the end"});
    let commands = |names: &[&str]| json!({"type": "string", "enum": names});
    let edits = || {
        json!({
            "path": text(), "view_range": range(), "file_text": text(), "old_str": text(), "new_str": text(),
            "insert_line": {"type": "integer", "description": "the line to insert after; 0: before the first"},
        })
    };
    let (mut properties, required) = match kind {
        kind if kind.starts_with("bash_2") => (json!({"command": text(), "restart": {"type": "boolean"}}), vec!["command"]),
        kind if kind.starts_with("text_editor_2") => (edits(), vec!["command", "path"]),
        kind if kind.starts_with("memory_2") => (edits(), vec!["command"]),
        _ => return None,
    };
    if kind.starts_with("text_editor_2") {
        properties["command"] = match kind {
            "text_editor_20241022" | "text_editor_20250124" => {
                commands(&["view", "create", "str_replace", "insert", "undo_edit"])
            }
            _ => commands(&["view", "create", "str_replace", "insert"]),
        };
        if kind >= "text_editor_20250728" {
            properties["insert_text"] = text();
        }
    } else if kind.starts_with("memory_2") {
        properties["command"] = commands(&["view", "create", "str_replace", "insert", "delete", "rename"]);
        for key in ["insert_text", "old_path", "new_path"] {
            properties[key] = text();
        }
    }
    Some(json!({"type": "object", "properties": properties, "required": required}))
}

fn public_description(kind: &str) -> Option<&'static str> {
    let known = [
        ("bash_2", "Runs a command in a shell that stays open, so that its state is kept. `restart` starts the shell anew."),
        ("text_editor_2", "Views, creates and edits text files. `old_str` must be there exactly once."),
        (
            "memory_2",
            "Keeps notes in files under /memories, which outlive this conversation. Look there first, with the command `view`.",
        ),
    ];
    known.into_iter().find(|(prefix, _)| kind.starts_with(prefix)).map(|(_, description)| description)
}
