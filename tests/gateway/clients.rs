//! The official clients of the API, which know nothing of us.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::gateway::{Gateway, PATIENCE, TOKEN, delta};
use crate::support::stub::{Request, Stub, completion, end, json as json_answer, piece, sse};
use crate::support::{Cmd, Sandbox, deps, node};

/// What both print.
const EXPECTED: &str = include_str!("clients/expected.txt");

/// A model that does what the last question says. What never ends is told through `cancelled` when its caller is gone.
fn model(cancelled: mpsc::Sender<()>) -> Stub {
    let has_failed = Mutex::new(false);
    Stub::new(move |request: &Request, stream: &mut TcpStream| {
        if !request.is_chat() {
            let list = json!({"object": "list", "data": [{"id": "tiny", "object": "model", "meta": {"n_ctx": 8192}}]});
            let _ = stream.write_all(json_answer(200, &list.to_string()).as_bytes());
            return;
        }
        let messages = request.json()["messages"].clone();
        let last = messages.as_array().unwrap().last().unwrap();
        // After an empty answer more is said behind it.
        let text = last["content"].as_str().and_then(|text| text.split("\n\n").next()).unwrap_or_default();
        let call = |arguments: &str| delta(&json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}));
        let too_long = json!({"error": {"code": 400, "message": "request exceeds the available context size",
                                        "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192}});
        let again = std::mem::replace(&mut *has_failed.lock().unwrap(), text == "nothing at first");
        let answer = match text {
            "count" => sse(&completion("one two three four")),
            "think" => sse(&(delta(&json!({"reasoning_content": "Hm. "}))
                + &delta(&json!({"reasoning_content": "Yes."}))
                + &completion("It is."))),
            "add" => {
                let begin = json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}});
                let begin = delta(&json!({"tool_calls": [begin]}));
                sse(&(piece("I add.") + &begin + &call("{\"a\":2") + &call(",\"b\":3}") + &end("tool_calls")))
            }
            "overflow" => json_answer(400, &too_long.to_string()),
            "refuse" => json_answer(500, r#"{"error":{"message":"out of memory"}}"#),
            "break" => sse(&piece("Hi")),
            "nothing at first" if again => sse(&completion("there it is")),
            "nothing at first" => sse(""),
            "nothing" => sse(&end("stop")),
            "never end" => sse(&piece("on and on")),
            echo if echo.starts_with("echo ") => sse(&completion(&echo[5..])),
            _ if last["role"] == "tool" => sse(&completion(&format!("The sum is {text}."))),
            _ => json_answer(400, &Value::from(text).to_string()),
        };
        let _ = stream.write_all(answer.as_bytes());
        if text == "never end" {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            if matches!(stream.read(&mut [0]), Ok(0)) {
                let _ = cancelled.send(());
            }
        }
    })
}

#[track_caller]
fn compare(command: impl Fn(&Sandbox) -> Cmd) {
    let (cancelled, is_cancelled) = mpsc::channel();
    let stub = model(cancelled);
    let gateway = Gateway::new(&stub.url());
    let sandbox = Sandbox::new();
    let output = command(&sandbox).args(&[gateway.url().as_str(), TOKEN]).limit(120).run();
    output.expect(0, EXPECTED, "");
    is_cancelled.recv_timeout(PATIENCE).expect("the server's connection is closed");
    assert!(stub.seen().iter().all(|request| !format!("{request:?}").contains(TOKEN)));
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/clients").join(name)
}

#[test]
fn the_official_python_client() {
    compare(|sandbox| sandbox.cmd(deps().join("api-py/bin/python")).arg("-I").arg(script("cases.py")));
}

#[test]
fn the_official_typescript_client() {
    let sdk = deps().join("api-ts/node_modules/@anthropic-ai/sdk");
    compare(|sandbox| sandbox.cmd(node().join("node")).arg(script("cases.mjs")).arg(&sdk));
}
