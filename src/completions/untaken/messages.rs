//! Messages in the forms that every chat template takes.

use serde_json::{Map, Value, json};

use super::text_part;

/// Stands between a tool's result and a user's words, where an answer would stand: Mistral's templates and mistral-common ask for
/// one (`Unexpected role 'user' after role 'tool'`), and Claude Code sends none when it has read a picture (2.1.330).
const BETWEEN: &str = "I have the result.";

/// Stands before an answer to nothing.
const GO_ON: &str = "Go on.";

fn list(body: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    body.get_mut("messages")?.as_array_mut()
}

/// Replaces images by words.
pub(super) fn describe_images(body: &mut Map<String, Value>) {
    for message in list(body).into_iter().flatten() {
        let Some(parts) = message["content"].as_array() else { continue };
        let words = parts.iter().map(|part| part["text"].as_str().unwrap_or("[image: not shown to the local model]"));
        message["content"] = words.collect::<Vec<_>>().join("\n").into();
    }
}

/// Puts the system message into the first user's (Gemma 2 takes none).
pub(super) fn fold_system(body: &mut Map<String, Value>) {
    let Some(messages) = list(body).filter(|messages| messages.first().is_some_and(|first| first["role"] == "system")) else {
        return;
    };
    let mut system = messages.remove(0);
    match messages.iter_mut().find(|message| message["role"] == "user") {
        Some(user) => user["content"] = joined(system["content"].take(), user["content"].take(), "\n\n"),
        None => {
            system["role"] = "user".into();
            messages.insert(0, system);
        }
    }
}

/// One content of two, a list only if one of them is.
fn joined(first: Value, second: Value, gap: &str) -> Value {
    match (first, second) {
        (first, Value::String(second)) if second.is_empty() => first,
        (Value::String(first), second) if first.is_empty() => second,
        (Value::String(first), Value::String(second)) => format!("{first}{gap}{second}").into(),
        (first, second) => parts(first).into_iter().chain(parts(second)).collect(),
    }
}

fn parts(content: Value) -> Vec<Value> {
    match content {
        Value::Array(parts) => parts,
        Value::String(text) => vec![text_part(&text)],
        _ => vec![],
    }
}

/// Makes user and assistant alternate, beginning with the user; messages with calls and with tools' results do not count (the
/// templates of Mistral Small 3.2 and Devstral Small 2, and mistral-common).
pub(super) fn alternate(body: &mut Map<String, Value>) {
    let Some(messages) = list(body) else { return };
    let mut ordered: Vec<Value> = Vec::with_capacity(messages.len());
    // Whether the last that counts is the user's.
    let mut was_user = false;
    for mut message in messages.drain(..) {
        if message["role"] == "system" && !ordered.is_empty() {
            message["role"] = "user".into();
        }
        let is_users = message["role"] == "user";
        let counts = is_users || message["role"] == "assistant" && calls(&message).is_empty();
        if let Some(last) = ordered.last_mut().filter(|last| is_same_turn(last, &message)) {
            last["content"] = joined(last["content"].take(), message["content"].take(), "\n");
            if let Some(added) = message.get_mut("tool_calls").map(Value::take) {
                last["tool_calls"] = added;
                // It counts no more.
                was_user = true;
            }
            continue;
        }
        if counts && is_users == was_user {
            ordered.push(match is_users {
                true => json!({"role": "assistant", "content": BETWEEN}),
                false => json!({"role": "user", "content": GO_ON}),
            });
        }
        if counts {
            was_user = is_users;
        }
        ordered.push(message);
    }
    *messages = ordered;
}

/// Whether both can be one message. One with calls is followed by their results.
fn is_same_turn(last: &Value, message: &Value) -> bool {
    last["role"] == message["role"] && (last["role"] == "user" || last["role"] == "assistant" && calls(last).is_empty())
}

fn calls(message: &Value) -> &[Value] {
    message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Writes calls and results as Hermes does, for templates that know user and assistant alone.
pub(super) fn write_calls_as_text(body: &mut Map<String, Value>) {
    let Some(messages) = list(body) else { return };
    let mut has_any = false;
    for message in messages {
        let written: String = calls(message).iter().map(|call| written(&call["function"])).collect();
        let content = message["content"].as_str().unwrap_or_default();
        if !written.is_empty() {
            let gap = if content.is_empty() { "" } else { "\n" };
            *message = json!({"role": "assistant", "content": format!("{content}{gap}{}", written.trim_end())});
        } else if message["role"] == "tool" {
            *message = json!({"role": "user", "content": format!("<tool_response>\n{content}\n</tool_response>")});
        } else {
            continue;
        }
        has_any = true;
    }
    if has_any {
        alternate(body);
    }
}

fn written(function: &Value) -> String {
    let arguments = function["arguments"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!({}));
    format!("<tool_call>\n{}\n</tool_call>\n", json!({"name": function["name"], "arguments": arguments}))
}
