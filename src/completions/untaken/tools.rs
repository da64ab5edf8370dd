//! Tools in the forms that every server takes.

use serde_json::{Map, Value, json};

use super::messages;

fn list(body: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    body.get_mut("tools")?.as_array_mut()
}

pub(super) fn names(body: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    tools.filter_map(|tool| tool["function"]["name"].as_str())
}

/// For servers that take `none`, `auto` and `required` alone (LM Studio: lmstudio-ai/lmstudio-bug-tracker#670).
pub(super) fn offer_only_the_chosen(body: &mut Map<String, Value>) {
    let chosen = body.get("tool_choice").and_then(|choice| choice["function"]["name"].as_str()).map(str::to_string);
    let Some(chosen) = chosen else { return };
    if let Some(tools) = list(body) {
        tools.retain(|tool| tool["function"]["name"] == chosen.as_str());
    }
    body.insert("tool_choice".into(), "required".into());
}

pub(super) fn remove(body: &mut Map<String, Value>, name: &str) {
    let Some(tools) = list(body) else { return };
    tools.retain(|tool| tool["function"]["name"] != name);
    let is_chosen = body.get("tool_choice").is_some_and(|choice| choice["function"]["name"] == name);
    if names(body).next().is_none() {
        remove_all(body);
    } else if is_chosen {
        body.shift_remove("tool_choice");
    }
}

fn remove_all(body: &mut Map<String, Value>) {
    for key in ["tools", "tool_choice", "parallel_tool_calls"] {
        body.shift_remove(key);
    }
}

/// Describes the tools in words, as Hermes and Qwen have learnt it: for servers that have no template or parser for them.
pub(super) fn describe(body: &mut Map<String, Value>) {
    if names(body).next().is_none() {
        return;
    }
    offer_only_the_chosen(body);
    let is_required = body.get("tool_choice").is_some_and(|choice| choice == "required");
    let tools: Vec<String> = list(body).into_iter().flatten().map(|tool| tool.to_string()).collect();
    let must = if is_required { "\nYou must call one of them now." } else { "" };
    let text = format!(
        "# Tools\n\nYou may call one or more functions. Their signatures are within <tools></tools>:\n<tools>\n{}\n</tools>\n\n\
         For each call, write a JSON object with the function's name and arguments within <tool_call></tool_call>:\n\
         <tool_call>\n{{\"name\": <name>, \"arguments\": <object>}}\n</tool_call>{must}",
        tools.join("\n")
    );
    remove_all(body);
    messages::write_calls_as_text(body);
    if let Some(messages) = body.get_mut("messages").and_then(Value::as_array_mut) {
        match messages.first_mut().filter(|first| first["role"] == "system") {
            Some(system) => system["content"] = format!("{}\n\n{text}", system["content"].as_str().unwrap_or_default()).into(),
            None => messages.insert(0, json!({"role": "system", "content": text})),
        }
    }
}

/// Leaves of every schema what every server can make a grammar of.
pub(super) fn make_plain(body: &mut Map<String, Value>) {
    for tool in list(body).into_iter().flatten() {
        if let Some(schema) = tool.get_mut("function").and_then(|function| function.get_mut("parameters")) {
            *schema = plain(schema);
            schema["type"] = "object".into();
        }
    }
}

fn plain(schema: &Value) -> Value {
    let description = schema.get("description").filter(|text| text.is_string());
    if let Some(variant) = first_variant(schema) {
        let mut left = plain(variant);
        if let Some(description) = description {
            left["description"] = description.clone();
        }
        return left;
    }
    let mut left = Map::new();
    left.insert("type".into(), kind(schema).into());
    if let Some(description) = description {
        left.insert("description".into(), description.clone());
    }
    if let Some(values) = schema.get("enum").filter(|values| values.is_array()) {
        left.insert("enum".into(), values.clone());
    } else if let Some(value) = schema.get("const") {
        left.insert("enum".into(), json!([value]));
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let known = required.filter(|name| name.as_str().is_some_and(|name| properties.contains_key(name))).cloned();
        let required: Vec<Value> = known.collect();
        left.insert("properties".into(), properties.iter().map(|(name, schema)| (name.clone(), plain(schema))).collect());
        if !required.is_empty() {
            left.insert("required".into(), required.into());
        }
    }
    match schema.get("items") {
        Some(items) if items.is_object() => left.insert("items".into(), plain(items)),
        _ => None,
    };
    left.into()
}

/// The first that is not null, of a schema that is nothing but its variants.
fn first_variant(schema: &Value) -> Option<&Value> {
    const OWN: [&str; 5] = ["type", "properties", "items", "enum", "const"];
    if OWN.iter().any(|key| schema.get(key).is_some()) {
        return None;
    }
    let variants = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    variants.into_iter().find(|variant| variant["type"] != "null")
}

/// A schema's one type. llama.cpp refuses one that has none and says more than nothing (`Unrecognized schema`).
fn kind(schema: &Value) -> &str {
    let of_value = |value: &Value| match value {
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Bool(_) => "boolean",
        _ => "string",
    };
    let stated = match &schema["type"] {
        Value::String(kind) => Some(kind.as_str()),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    };
    let value = schema["enum"].as_array().and_then(|values| values.first()).or(schema.get("const"));
    match (stated, schema.get("items"), value) {
        (Some(stated), ..) => stated,
        (None, Some(_), _) => "array",
        (None, None, Some(value)) => of_value(value),
        _ if schema.get("properties").is_some() || schema.get("$ref").is_some() => "object",
        _ => "string",
    }
}
