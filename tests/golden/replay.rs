//! A recorded case, done again by our binary, with a stub server that says what the fake of the recording said.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::compare::kind;
use super::masks::Masks;
use crate::answer::local;
use crate::support::stub::{Request, Stub, json as json_answer, piece, sse};
use crate::support::{Cmd, wait};

/// How long a call and all that is awaited in it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// More than all buffers between two processes hold: when so much has been written, what came before has been read.
const MORE_THAN_BUFFERS_HOLD: usize = 16 << 20;

/// The same case with what came of it: `exit`, `stdout`, `stderr` and, where something that was awaited did not come,
/// `unmet`.
pub fn replay(recorded: &Value) -> Value {
    let (said, when_said) = mpsc::channel();
    let model = model(recorded["the model says"].as_array().unwrap().clone(), said);
    let mut sandbox = local(&model.url());
    sandbox.set("LOCAL_LLM_MODEL", "local-model");
    sandbox.answers_plainly(&model.url(), "local-model");
    std::fs::create_dir(sandbox.path("work")).unwrap();
    let mut masks = Masks::new(sandbox.home(), model.port(), &recorded["calls"]);
    let calls = recorded["calls"].as_array().unwrap().iter().map(|call| {
        masks.next_call();
        let args: Vec<&str> = call["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let cmd = sandbox.cmd("claude").args(&args).dir(sandbox.path("work"));
        let mut done = match &call["stdin"] {
            Value::Array(items) => converse(cmd, items, &when_said),
            stdin => {
                let cmd = if let Some(text) = stdin.as_str() { cmd.stdin(text) } else { cmd };
                let output = cmd.run();
                Done { code: output.code(), stdout: output.stdout, stderr: output.stderr, unmet: None }
            }
        };
        let stdout = shown(&args, std::mem::take(&mut done.stdout), &mut masks);
        let stderr = masks.text(&String::from_utf8_lossy(&done.stderr));
        json!({"args": args, "exit": done.code, "stdout": stdout, "stderr": stderr, "unmet": done.unmet})
    });
    json!({ "calls": calls.collect::<Vec<_>>() })
}

/// Text, the JSON value, or the list of messages, by the call's format.
fn shown(args: &[&str], stdout: Vec<u8>, masks: &mut Masks) -> Value {
    let text = String::from_utf8(stdout).expect("UTF-8");
    let is_stream = args.contains(&"stream-json");
    if text.is_empty() || !(is_stream || args.contains(&"json")) {
        return masks.text(&text).into();
    }
    assert!(!text.contains(['\u{2028}', '\u{2029}']), "{args:?}: not escaped: {text}");
    let whole = text.strip_suffix('\n').unwrap_or_else(|| panic!("{args:?}: half a line: {text}"));
    let mut parsed = |text| {
        let value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"));
        masks.value(&value, "")
    };
    if is_stream { whole.split('\n').map(parsed).collect() } else { parsed(whole) }
}

/// The server that says this, an item a question and the last for all that follow.
fn model(replies: Vec<Value>, said: Sender<()>) -> Stub {
    let (asked, said) = (AtomicUsize::new(0), Mutex::new(said));
    Stub::new(move |request, stream| {
        if !request.is_chat() {
            let _ = stream.write_all(json_answer(200, r#"{"status":"ok"}"#).as_bytes());
            return;
        }
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let _ = say(&replies[number.min(replies.len() - 1)], request, stream, &said);
    })
}

fn say(reply: &Value, request: &Request, stream: &mut TcpStream, said: &Mutex<Sender<()>>) -> std::io::Result<()> {
    if let Some(status) = reply["status"].as_u64() {
        let error = json!({"error": {"message": reply["message"], "code": status}});
        return stream.write_all(json_answer(status as u16, &error.to_string()).as_bytes());
    }
    assert_eq!(request.json()["stream"], true);
    let pieces = match &reply["structured"] {
        Value::Null => reply["text"].as_array().unwrap().iter().map(|text| piece(text.as_str().unwrap())).collect(),
        structured => piece(&structured.to_string()),
    };
    stream.write_all(sse(&pieces).as_bytes())?;
    match reply["then"].as_str() {
        Some("hold") => {
            let comment = format!(": {}\n\n", "x".repeat(1020)).repeat(1024);
            for _ in 0..MORE_THAN_BUFFERS_HOLD / comment.len() {
                stream.write_all(comment.as_bytes())?;
            }
            let _ = said.lock().unwrap().send(());
            loop {
                thread::sleep(Duration::from_millis(50));
                stream.write_all(b": still here\n\n")?;
            }
        }
        Some(_) => Ok(()),
        None => stream.write_all(end(if reply["stop"] == "max_tokens" { "length" } else { "stop" }).as_bytes()),
    }
}

/// The end of an answer, with the tokens that the fake of the recording counts.
fn end(reason: &str) -> String {
    let choice = json!({"index": 0, "finish_reason": reason, "delta": {}});
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17});
    format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", json!({"choices": [choice]}), json!({"choices": [], "usage": usage}))
}

struct Done {
    code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    unmet: Option<String>,
}

/// Runs a call whose stdin is fed item by item, and then closed.
fn converse(cmd: Cmd, items: &[Value], when_said: &Receiver<()>) -> Done {
    let deadline = Instant::now() + LIMIT;
    let mut child = cmd.spawn();
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    let stdout = Arc::new(Mutex::new(vec![]));
    let kept = stdout.clone();
    let reader = thread::spawn(move || {
        let mut line = vec![];
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            kept.lock().unwrap().extend_from_slice(&line);
            let _ = sender.send(serde_json::from_slice(&line).map(|message| kind(&message)).unwrap_or_default());
            line.clear();
        }
    });
    let errors = thread::spawn(move || {
        let mut bytes = vec![];
        let _ = stderr.read_to_end(&mut bytes);
        bytes
    });
    let mut unmet = None;
    for item in items {
        let left = deadline.saturating_duration_since(Instant::now());
        match item["await"].as_str() {
            Some("model") if when_said.recv_timeout(left).is_ok() => {}
            Some(awaited) if awaited != "model" && comes(awaited, &receiver, deadline) => {}
            Some(awaited) => {
                unmet = Some(awaited.to_string());
                break;
            }
            None => send(&mut stdin, &item["send"]),
        }
    }
    drop(stdin);
    let status = wait(&mut child, LIMIT).unwrap_or_else(|| panic!("{items:?} took longer than {LIMIT:?}"));
    reader.join().unwrap();
    let stdout = std::mem::take(&mut *stdout.lock().unwrap());
    Done { code: status.code().expect("no signal"), stdout, stderr: errors.join().unwrap(), unmet }
}

/// Whether a message of this kind comes.
fn comes(awaited: &str, kinds: &Receiver<String>, deadline: Instant) -> bool {
    loop {
        match kinds.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(kind) if kind == awaited => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

fn send(stdin: &mut ChildStdin, sent: &Value) {
    let line = sent.as_str().map_or_else(|| sent.to_string(), str::to_string);
    // A call that ends before it reads is seen by what it leaves.
    let _ = stdin.write_all(format!("{line}\n").as_bytes());
}
