//! What the Messages API promises of its streams, as a state machine that every stream of every test goes through. One file, since
//! the machine is one idea.

use std::collections::HashSet;

use serde_json::{Value, json};

/// What a stream comes to.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The message that its events add up to.
    pub message: Value,
    /// The kind and the words of the error that ended it, if one did.
    pub error: Option<(String, String)>,
    /// The pings before its end.
    pub pings: usize,
    /// The deltas.
    pub deltas: usize,
}

const REASONS: [&str; 5] = ["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"];

/// Goes through a whole stream.
pub fn check(stream: &[u8]) -> Result<Answer, String> {
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    let mut machine = Machine::default();
    let events = text.strip_suffix("\n\n").ok_or("the last event does not end")?;
    for event in events.split("\n\n") {
        let parts = event.strip_prefix("event: ").and_then(|rest| rest.split_once("\ndata: "));
        let (name, data) = parts.filter(|(_, data)| !data.contains('\n')).ok_or(format!("no event: {event:?}"))?;
        let data: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {event:?}"))?;
        if data["type"] != name {
            return Err(format!("`{name}` is not the type of {data}"));
        }
        machine.event(name, &data).map_err(|fault| format!("{fault}: {data}"))?;
    }
    machine.answer()
}

#[derive(Default)]
struct Machine {
    message: Option<Value>,
    block: Option<Block>,
    ids: HashSet<String>,
    has_reason: bool,
    has_ended: bool,
    error: Option<(String, String)>,
    pings: usize,
    deltas: usize,
}

struct Block {
    value: Value,
    json: String,
    deltas: usize,
    is_signed: bool,
}

impl Machine {
    fn event(&mut self, name: &str, data: &Value) -> Result<(), String> {
        expect(!self.has_ended, "nothing comes after the end")?;
        expect((name == "message_start") == self.message.is_none(), "the stream begins with one message_start")?;
        match name {
            "message_start" => self.start(&data["message"]),
            "ping" => {
                self.pings += 1;
                expect(*data == json!({"type": "ping"}), "a ping is nothing else")
            }
            "content_block_start" => self.start_block(data),
            "content_block_delta" => self.delta(data),
            "content_block_stop" => self.stop_block(data),
            "message_delta" => self.reason(data),
            "message_stop" => {
                self.has_ended = true;
                expect(self.has_reason, "a message has a reason to stop")
            }
            "error" => {
                self.has_ended = true;
                self.error = Some(check_error(data)?);
                expect(!self.has_reason, "a message that has ended does not fail")
            }
            _ => Err("the API has no such event".into()),
        }
    }

    fn start(&mut self, message: &Value) -> Result<(), String> {
        check_frame(message, &mut self.ids)?;
        let is_fresh = message["content"] == json!([]) && message["stop_reason"].is_null() && message["stop_sequence"].is_null();
        self.message = Some(message.clone());
        expect(is_fresh, "nothing is said yet")
    }

    fn content(&mut self) -> &mut Vec<Value> {
        self.message.as_mut().unwrap()["content"].as_array_mut().unwrap()
    }

    fn start_block(&mut self, data: &Value) -> Result<(), String> {
        expect(self.block.is_none(), "one block after the other")?;
        expect(!self.has_reason, "blocks come before the reason to stop")?;
        expect(data["index"] == self.content().len(), "blocks are counted from 0")?;
        let value = data["content_block"].clone();
        let is_empty = match value["type"].as_str() {
            Some("text") => value == json!({"type": "text", "text": ""}),
            Some("thinking") => value == json!({"type": "thinking", "thinking": "", "signature": ""}),
            Some("tool_use") => {
                check_call(&value, &mut self.ids)?;
                value["input"] == json!({})
            }
            Some("server_tool_use") => value["input"] == json!({}),
            // It comes whole.
            Some(kind) => kind.ends_with("_tool_result"),
            None => false,
        };
        self.block = Some(Block { value, json: String::new(), deltas: 0, is_signed: false });
        expect(is_empty, "a block of a known kind begins with nothing in it")
    }

    fn delta(&mut self, data: &Value) -> Result<(), String> {
        self.deltas += 1;
        let index = self.content().len();
        let block = self.block.as_mut().ok_or("a delta belongs to an open block")?;
        expect(data["index"] == index, "a delta belongs to the open block")?;
        expect(!block.is_signed, "the signature comes last")?;
        block.deltas += 1;
        let delta = &data["delta"];
        let kinds = (block.value["type"].as_str().unwrap(), delta["type"].as_str().unwrap_or_default());
        let key = match kinds {
            ("text", "text_delta") => "text",
            ("thinking", "thinking_delta") => "thinking",
            ("thinking", "signature_delta") => {
                block.is_signed = true;
                "signature"
            }
            ("tool_use" | "server_tool_use", "input_json_delta") => {
                block.json += delta["partial_json"].as_str().ok_or("partial_json is text")?;
                return expect(delta.as_object().unwrap().len() == 2, "a delta is nothing else");
            }
            _ => return Err("the delta is of another kind than the block".into()),
        };
        let more = delta[key].as_str().ok_or("a delta has text")?;
        expect(key == "signature" || !more.is_empty(), "a delta is not empty")?;
        block.value[key] = format!("{}{more}", block.value[key].as_str().unwrap()).into();
        expect(delta.as_object().unwrap().len() == 2, "a delta is nothing else")
    }

    fn stop_block(&mut self, data: &Value) -> Result<(), String> {
        let mut block = self.block.take().ok_or("only an open block is closed")?;
        expect(data["index"] == self.content().len(), "the open block is closed")?;
        let kind = block.value["type"].as_str().unwrap_or_default();
        expect((block.deltas > 0) != kind.ends_with("_tool_result"), "a block has something in it")?;
        if ["tool_use", "server_tool_use"].contains(&kind) {
            block.value["input"] = serde_json::from_str(&block.json).map_err(|error| error.to_string())?;
            expect(block.value["input"].is_object(), "a call's input is an object")?;
        }
        expect(block.value["type"] != "thinking" || block.is_signed, "thinking is signed")?;
        self.content().push(block.value);
        Ok(())
    }

    fn reason(&mut self, data: &Value) -> Result<(), String> {
        expect(self.block.is_none(), "all blocks are closed before the end")?;
        expect(!std::mem::replace(&mut self.has_reason, true), "a message stops once")?;
        let message = self.message.as_mut().unwrap();
        for key in ["stop_reason", "stop_sequence"] {
            message[key] = data["delta"].get(key).ok_or(format!("no {key}"))?.clone();
        }
        message["usage"] = data["usage"].clone();
        check_whole(message)
    }

    fn answer(self) -> Result<Answer, String> {
        expect(self.has_ended, "a stream has an end")?;
        let mut message = self.message.unwrap();
        if let Some(block) = self.block {
            message["content"].as_array_mut().unwrap().push(block.value);
        }
        Ok(Answer { message, error: self.error, pings: self.pings, deltas: self.deltas })
    }
}

/// Goes through a message that came in one piece.
#[track_caller]
pub fn check_message(message: Value) -> Value {
    let mut ids = HashSet::new();
    let calls = message["content"].as_array().expect("content").iter().filter(|block| block["type"] == "tool_use");
    let calls = calls.map(|call| check_call(call, &mut ids)).collect::<Result<Vec<()>, _>>();
    let checked = calls.and(check_frame(&message, &mut HashSet::new())).and_then(|()| check_whole(&message));
    checked.unwrap_or_else(|fault| panic!("{fault}: {message}"));
    message
}

/// The kind and the words of an error.
pub fn check_error(error: &Value) -> Result<(String, String), String> {
    let part = |key: &str| error["error"][key].as_str().filter(|text| !text.is_empty()).map(str::to_string);
    let (kind, message) = (part("type").ok_or("no type")?, part("message").ok_or("no message")?);
    expect(error["type"] == "error", "an error says so")?;
    expect(!message.contains('\n'), "an error is one line")?;
    Ok((kind, message))
}

fn check_frame(message: &Value, ids: &mut HashSet<String>) -> Result<(), String> {
    check_id(&message["id"], "msg_", ids)?;
    expect(message["type"] == "message" && message["role"] == "assistant", "it is the assistant's message")?;
    expect(message["model"].is_string(), "it has a model")?;
    check_usage(&message["usage"])
}

fn check_whole(message: &Value) -> Result<(), String> {
    check_usage(&message["usage"])?;
    let reason = message["stop_reason"].as_str().unwrap_or_default();
    expect(REASONS.contains(&reason), "a reason of the API's")?;
    expect(message["stop_sequence"].is_string() == (reason == "stop_sequence"), "the sequence that stopped it, if one did")?;
    let blocks = message["content"].as_array().ok_or("content is a list")?;
    let calls = blocks.iter().any(|block| block["type"] == "tool_use");
    expect(calls == (reason == "tool_use"), "tool_use if there are calls")?;
    let is_empty = |block: &Value| ["text", "thinking"].iter().any(|key| block[key] == "");
    expect(!blocks.iter().any(is_empty), "no block is empty")
}

fn check_usage(usage: &Value) -> Result<(), String> {
    let keys = ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    expect(keys.iter().all(|key| usage[key].is_u64()), "usage is counted")
}

fn check_call(call: &Value, ids: &mut HashSet<String>) -> Result<(), String> {
    check_id(&call["id"], "toolu_", ids)?;
    expect(call["name"].as_str().is_some_and(|name| !name.is_empty()), "a call has a name")?;
    expect(call["input"].is_object(), "a call's input is an object")
}

fn check_id(id: &Value, prefix: &str, ids: &mut HashSet<String>) -> Result<(), String> {
    let id = id.as_str().unwrap_or_default();
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    expect(id.strip_prefix(prefix).is_some_and(is_plain), "an id is as the API makes them")?;
    expect(ids.insert(id.into()), "ids are unique")
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// The message without what differs from run to run.
pub fn without_ids(mut message: Value) -> Value {
    message.as_object_mut().unwrap().remove("id");
    for block in message["content"].as_array_mut().unwrap() {
        block.as_object_mut().unwrap().retain(|key, _| !["id", "tool_use_id"].contains(&key.as_str()));
    }
    message
}

/// The machine itself: it lets nothing pass that it is there to find.
#[test]
fn the_machine_finds_what_is_wrong() {
    let usage = r#""usage":{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":0}"#;
    let start = format!(
        r#"{{"type":"message_start","message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,{usage}}}}}"#
    );
    let text = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    let json = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#;
    let call =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"n","input":{}}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let reason =
        |reason: &str| format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},{usage}}}"#);
    let (reason, wrong_reason) = (reason("end_turn"), reason("tool_use"));
    let (end, ping) = (r#"{"type":"message_stop"}"#, r#"{"type":"ping"}"#);
    let error = r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#;
    let stream = |events: &[&str]| -> String {
        let name = |data: &str| serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_string();
        events.iter().map(|data| format!("event: {}\ndata: {data}\n\n", name(data))).collect()
    };
    let good: [&[&str]; 3] = [
        &[&start, ping, text, ping, delta, delta, stop, ping, &reason, ping, end],
        &[&start, text, delta, error],
        &[&start, error],
    ];
    for events in good {
        check(stream(events).as_bytes()).unwrap();
    }
    let bad: [&[&str]; 17] = [
        &[],
        &[ping],
        &[error],
        &[&start],
        &[&start, &start],
        &[&start, text, delta, stop],
        &[&start, text, delta, stop, &reason],
        &[&start, text, delta, stop, end],
        &[&start, text, delta, &reason, end],
        &[&start, text, stop, &reason, end],
        &[&start, text, json, stop, &reason, end],
        &[&start, text, delta, stop, text, delta, stop, &reason, end],
        &[&start, delta, &reason, end],
        &[&start, text, delta, stop, &reason, &reason, end],
        &[&start, text, delta, stop, &reason, end, ping],
        &[&start, text, delta, stop, &wrong_reason, end],
        &[&start, call, json, stop, &wrong_reason, end],
    ];
    for events in bad {
        check(stream(events).as_bytes()).unwrap_err();
    }
    let whole = stream(good[0]);
    for broken in [&whole[..whole.len() - 1], &whole.replacen("event: ping", "event: pong", 1), &format!(": x\n\n{whole}")] {
        check(broken.as_bytes()).unwrap_err();
    }
}
