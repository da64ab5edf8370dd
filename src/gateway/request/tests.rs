use std::collections::BTreeMap;

use super::*;
use crate::completions::untaken::{LeftOut, Untaken};
use crate::gateway::conversation::short_id;

/// A conversation with everything in it.
fn corpus() -> Value {
    json!({
        "model": "m", "max_tokens": 100, "stream": true, "temperature": 1, "top_k": 5, "stop_sequences": ["###"],
        "system": [{"type": "text", "text": "A."}, {"type": "text", "text": "x-anthropic-billing-header: 7"}],
        "thinking": {"type": "enabled"}, "tool_choice": {"type": "tool", "name": "T"},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [{"name": "T", "description": "d", "input_schema": {"type": "object"}}, {"name": "L", "input_schema": {}, "defer_loading": true}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "image", "source": {"type": "base64", "data": "AA"}}]},
            {"role": "system", "content": "s"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "1", "name": "T", "input": {"k": "v"}}, {"type": "tool_use", "id": "2", "name": "T", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "2", "content": "r", "is_error": true}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "r"},
                {"type": "image", "source": {"type": "url", "url": "u"}}, {"type": "tool_reference", "tool_name": "L"}]}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "3", "name": "T", "input": {}}]},
            {"role": "user", "content": "never mind"},
            {"role": "assistant", "content": "ok"},
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "d"}}, {"type": "new"}]},
        ],
    })
}

/// What templates and servers ask for: user and assistant in turn, and each call with one result right behind it.
fn check(messages: &[Value]) -> Result<(), String> {
    let mut open: BTreeMap<&str, u32> = BTreeMap::new();
    let mut last = "";
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            match open.get_mut(id) {
                Some(1) => drop(open.remove(id)),
                Some(count) => *count -= 1,
                None => return Err(format!("a result of no call: {message}")),
            }
        } else if !open.is_empty() || role == last || !["user", "assistant"].contains(&role) {
            return Err(format!("{message} after {last} with {open:?}"));
        }
        for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            if !serde_json::from_str::<Value>(arguments).is_ok_and(|arguments| arguments.is_object()) {
                return Err(format!("arguments that are no object: {call}"));
            }
            *open.entry(call["id"].as_str().ok_or("an id")?).or_default() += 1;
        }
        let content = &message["content"];
        let is_list = role == "user" && content.as_array().is_some_and(|parts| !parts.is_empty());
        if !(content.is_string() || is_list) {
            return Err(format!("no content: {message}"));
        }
        last = role;
    }
    if open.is_empty() { Ok(()) } else { Err(format!("calls without a result: {open:?}")) }
}

/// Numbers that look like chance: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// The value with a part of it gone, twice there, elsewhere, or another.
    fn changed(&mut self, value: &mut Value, spare: &Value) {
        let choice = self.below(8);
        match value {
            Value::Array(list) if !list.is_empty() && choice > 0 => {
                let (at, to) = (self.below(list.len()), self.below(list.len()));
                match choice {
                    1 => drop(list.remove(at)),
                    2 => list.insert(to, list[at].clone()),
                    3 => list.swap(at, to),
                    _ => self.changed(&mut list[at], spare),
                }
            }
            Value::Object(map) if !map.is_empty() && choice > 0 => {
                let at = self.below(map.len());
                let Some(key) = map.keys().nth(at).cloned() else { return };
                match choice {
                    1 => drop(map.remove(&key)),
                    _ => self.changed(&mut map[&key], spare),
                }
            }
            _ => {
                let odd = [
                    json!(null),
                    json!(7),
                    json!(-1.5),
                    json!(""),
                    json!([]),
                    json!({}),
                    json!(true),
                    json!("user"),
                    json!("assistant"),
                    json!("system"),
                    json!("tool_use"),
                    json!("tool_result"),
                    json!("text"),
                    spare.clone(),
                ];
                *value = odd[self.below(odd.len())].clone();
            }
        }
    }
}

/// So that most requests are read.
fn mend_what_the_api_refuses(request: &mut Value) {
    let Some(request) = request.as_object_mut() else { return };
    request.insert("max_tokens".into(), 100.into());
    let mut messages = request.get_mut("messages").and_then(Value::as_array_mut);
    if let Some(messages) = &mut messages {
        messages.retain(Value::is_object);
    }
    for message in messages.into_iter().flatten().filter_map(Value::as_object_mut) {
        if !matches!(message.get("role").and_then(Value::as_str), Some("user" | "assistant" | "system")) {
            message.insert("role".into(), "user".into());
        }
    }
    if api_check::check(&Value::from(request.clone())).is_err() {
        request.remove("tool_choice");
    }
}

#[test]
fn any_conversation_becomes_one_that_templates_take() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let whole = corpus();
    let asked = read(whole.to_string().into()).unwrap();
    check(&asked.messages).unwrap();
    assert_eq!(asked.messages.len(), 10);
    let mut count = 0;
    for turn in 0..6_000 {
        let mut request = whole.clone();
        let messages = request["messages"].as_array().unwrap();
        let spare = messages[dice.below(messages.len())]["content"].clone();
        for _ in 0..=dice.below(8) {
            // Mostly in the conversation.
            match request.get_mut("messages").filter(|_| turn % 4 > 0) {
                Some(messages) => dice.changed(messages, &spare),
                None => dice.changed(&mut request, &spare),
            }
        }
        mend_what_the_api_refuses(&mut request);
        let Ok(asked) = read(request.to_string().into()) else { continue };
        count += 1;
        check(&asked.messages).unwrap_or_else(|fault| panic!("{fault}\nin {:#?}\nof {request:#}", asked.messages));
        let without = |untaken: &[Untaken]| {
            let body = Map::from_iter([("messages".to_string(), asked.messages.to_vec().into())]);
            let mut body = LeftOut::from_iter(untaken.iter().cloned()).finish(body, &Map::new());
            serde_json::from_value::<Vec<Value>>(body["messages"].take()).unwrap()
        };
        let messages = without(&[Untaken::Images]);
        assert!(messages.iter().all(|message| message["content"].is_string()), "{messages:?}");
        let messages = without(&[Untaken::RoleOrder]);
        check(&messages).unwrap_or_else(|fault| panic!("{fault}\nin {messages:#?}"));
        assert!(alternate(&messages), "{messages:#?}");
        let messages = without(&[Untaken::RoleOrder, Untaken::ToolMessages]);
        assert!(messages.iter().all(|message| message["role"] == "user" || message["role"] == "assistant"), "{messages:#?}");
        assert!(alternate(&messages), "{messages:#?}");
    }
    assert!(count > 3_000, "{count}");
}

/// What the templates of Mistral ask for: user and assistant in turn, apart from calls and their results.
fn alternate(messages: &[Value]) -> bool {
    let is_call = |message: &&Value| message.get("tool_calls").is_some();
    let counts = |message: &&Value| message["role"] == "user" || message["role"] == "assistant" && !is_call(message);
    messages.iter().filter(counts).enumerate().all(|(at, message)| (message["role"] == "user") == (at % 2 == 0))
}

#[test]
fn bytes_that_are_no_request() {
    let mut dice = Dice(7);
    let whole = corpus().to_string().into_bytes();
    for _ in 0..3_000 {
        let mut bytes = whole.clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
                2 => drop(bytes.drain(at..(at + dice.below(30)).min(bytes.len()))),
                _ => drop(bytes.splice(at..at, *b"\\ud800")),
            }
        }
        if let Ok(asked) = read(bytes.clone()) {
            check(&asked.messages).unwrap_or_else(|fault| panic!("{fault}\nof {}", String::from_utf8_lossy(&bytes)));
        }
    }
}

#[test]
fn ids_are_short_and_stay_as_they_are() {
    assert_eq!(short_id("toolu_1"), short_id("toolu_1"));
    let ids: std::collections::HashSet<String> = (0..10_000).map(|number| short_id(&format!("toolu_{number}"))).collect();
    assert_eq!(ids.len(), 10_000);
    assert!(ids.iter().all(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())));
}

#[test]
fn a_large_body_says_the_same_as_a_small_one() {
    let read = |content: &[u8], padding: usize| {
        let head = br#"{"max_tokens": 9, "messages": [{"role": "user", "content": ""#;
        let pad = format!(r#""}}], "padding": "{}"}}"#, "x".repeat(padding));
        read([head, content, pad.as_bytes()].concat())
    };
    let contents: [&[u8]; 6] = [
        b"plain",
        b"one\\ntwo \\u00e4 \\\\ \\\"",
        "\\ud83d\\ude00 ÿ".as_bytes(),
        b"alone: \\ud83d",
        b"no UTF-8: \xff\xfe",
        b"no JSON: \"",
    ];
    for content in contents {
        let (small, large) = (read(content, 0), read(content, LARGE));
        assert_eq!(small.as_ref().ok(), large.as_ref().ok(), "{}", String::from_utf8_lossy(content));
        assert_eq!(small.is_ok(), !content.starts_with(b"no JSON"));
    }
}
