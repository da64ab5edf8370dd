//! Frameworks on top of the API, which know nothing of us, with the tools that Anthropic defines.

use std::io::Write;

use serde_json::{Value, json};

use crate::gateway::{Gateway, TOKEN, delta};
use crate::support::stub::{Stub, completion, end, json as json_answer, sse};
use crate::support::{Sandbox, deps, node};

/// A model that makes the calls that the question lists, as `{"name": …, "arguments": …}`, whatever it is told of their number
/// and choice. If `at last` is in the list, it talks first, until it is told that it has to call.
fn model() -> Stub {
    Stub::new(|request, stream| {
        if !request.is_chat() {
            let _ = stream.write_all(json_answer(404, "{}").as_bytes());
            return;
        }
        let messages = request.json()["messages"].clone();
        let messages = messages.as_array().unwrap();
        let text = |message: &Value| message["content"].as_str().unwrap_or_default().to_string();
        let last = messages.last().unwrap();
        let listed = messages.iter().rev().find_map(|message| serde_json::from_str::<Vec<Value>>(&text(message)).ok());
        let answer = match listed {
            _ if last["role"] == "tool" => {
                let results = messages.iter().filter(|message| message["role"] == "tool").map(text);
                completion(&format!("Results: {}.", results.collect::<Vec<_>>().join(", ")))
            }
            Some(list) if list.contains(&"at last".into()) && !text(last).starts_with("Error: ") => completion("Let me think."),
            list => {
                let calls = list.into_iter().flatten().filter(Value::is_object).zip(0..).map(|(call, index)| {
                    let function = json!({"name": call["name"], "arguments": call["arguments"].to_string()});
                    let call = json!({"index": index, "id": format!("c{index}"), "type": "function", "function": function});
                    delta(&json!({ "tool_calls": [call] }))
                });
                calls.collect::<String>() + &end("tool_calls")
            }
        };
        let _ = stream.write_all(sse(&answer).as_bytes());
    })
}

#[test]
fn langchain_and_pydantic_ai() {
    let gateway = Gateway::new(&model().url());
    let sandbox = Sandbox::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/clients/frameworks.py");
    let cmd = sandbox.cmd(deps().join("api-py/bin/python")).args(&["-I", script]);
    let output = cmd.args(&[gateway.url().as_str(), TOKEN]).limit(120).run();
    output.expect(0, include_str!("clients/frameworks.py.txt"), "");
}

#[test]
fn the_vercel_ai_sdk() {
    let gateway = Gateway::new(&model().url());
    let sandbox = Sandbox::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/clients/frameworks.mjs");
    let cmd = sandbox.cmd(node().join("node")).arg(script).arg(deps().join("api-ts"));
    let output = cmd.args(&[gateway.url().as_str(), TOKEN]).limit(120).run();
    output.expect(0, include_str!("clients/frameworks.mjs.txt"), "");
}
