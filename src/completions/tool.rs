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

/// The tool's name as the caller has it: small models do not mind case, and gpt-oss's parsers leave a namespace before it, or the next
/// mark behind it (`functions.Bash<|channel|>commentary`).
pub(crate) fn offered_name(tools: &[Tool], name: &str) -> String {
    let find = |name: &str| {
        let exact = tools.iter().find(|tool| tool.name == name);
        exact.or_else(|| tools.iter().find(|tool| tool.name.eq_ignore_ascii_case(name)))
    };
    let bare = name.split("<|").next().unwrap_or(name).trim();
    let without_space = ["functions.", "functions:", "functions/"].iter().find_map(|space| bare.strip_prefix(space));
    let tool = find(name).or_else(|| find(bare)).or_else(|| find(without_space?));
    tool.map_or(name, |tool| &tool.name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_caller_has_them() {
        let tools = ["Bash", "bash", "functions.Read", "Read"].map(|name| Tool {
            name: name.into(),
            description: String::new(),
            schema: Value::Null,
        });
        let table = [
            ("Bash", "Bash"),
            ("bash", "bash"),
            ("BASH", "Bash"),
            (" Bash", "Bash"),
            ("functions.bash", "bash"),
            ("functions.Bash<|channel|>commentary", "Bash"),
            ("Bash<|channel|>json", "Bash"),
            ("functions.Read", "functions.Read"),
            ("functions:Read", "Read"),
            ("functions.Nope", "functions.Nope"),
            ("<|channel|>", "<|channel|>"),
            ("", ""),
        ];
        for (name, expected) in table {
            assert_eq!(offered_name(&tools, name), expected, "{name}");
        }
    }
}
