//! `--session-mirror`, without an SDK: which calls print the lines of their transcript, and when.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::real_cli::{self, real};
use crate::support::Sandbox;
use crate::support::messages_api::answering;
use crate::support::stub::Stub;

const LIMIT: u64 = 120;

/// The calls, each in a session of its own.
const CALLS: &[&[&str]] = &[
    &["-p", "one", "--session-mirror"],
    &["-p", "one", "--session-mirror", "--output-format", "json"],
    &["-p", "one", "--session-mirror", "--output-format", "json", "--verbose"],
    &["-p", "one", "--output-format", "stream-json", "--verbose"],
    &["-p", "one", "--session-mirror", "--output-format", "stream-json", "--verbose"],
    &["-p", "one", "--session-mirror", "--output-format", "stream-json", "--verbose", "--include-partial-messages"],
    &["-p", "one", "--session-mirror", "--output-format", "stream-json", "--verbose", "--no-session-persistence"],
];

/// What each call mirrors of what was said.
const EXPECTED: &[&[&str]] =
    &[&[], &[], &[], &[], &["user: one", "assistant: fine", "result"], &["user: one", "assistant: fine", "result"], &["result"]];

/// What those who read a transcript ask of each message.
const FIELDS: &[&str] =
    &["parentUuid", "isSidechain", "type", "message", "uuid", "timestamp", "userType", "cwd", "sessionId", "version"];

fn check(sandbox: &Sandbox, claude: &Path) {
    for (args, expected) in CALLS.iter().zip(EXPECTED) {
        let output = sandbox.cmd(claude).args(args).dir(sandbox.path("work")).limit(LIMIT).run();
        assert_eq!((output.code(), output.err()), (0, String::new()), "{args:?}");
        let lines: Vec<Value> =
            output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let is_mirrored = args.contains(&"stream-json") && args.contains(&"--session-mirror");
        let mut seen = Vec::new();
        for line in &lines {
            match line["type"].as_str() {
                Some("transcript_mirror") => seen.extend(mirrored(sandbox, line, &lines)),
                Some("result") if is_mirrored => seen.push("result".to_string()),
                _ => {}
            }
        }
        assert_eq!(seen, *expected, "{args:?}");
    }
}

/// What a frame has of what was said, after a look at the frame itself.
fn mirrored(sandbox: &Sandbox, frame: &Value, lines: &[Value]) -> Vec<String> {
    let session = lines.iter().find_map(|line| line["session_id"].as_str()).expect("a session");
    let folder: String = work(sandbox).to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let file = sandbox.path(".claude/projects").join(folder).join(format!("{session}.jsonl"));
    let path = frame["filePath"].as_str().expect("a path");
    assert_eq!(fs::canonicalize(sandbox.home()).unwrap().join(file.strip_prefix(sandbox.home()).unwrap()), real_path(path));
    let keys: Vec<&String> = frame.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["type", "filePath", "entries"]);
    let entries = frame["entries"].as_array().expect("entries");
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry["type"].is_string()), "{frame}");
    let messages = entries.iter().filter(|entry| ["user", "assistant"].contains(&entry["type"].as_str().unwrap()));
    let said = messages.map(|entry| {
        let missing: Vec<&&str> = FIELDS.iter().filter(|field| entry.get(**field).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?} of {entry}");
        assert_eq!(
            (&entry["sessionId"], &entry["isSidechain"], &entry["userType"]),
            (&session.into(), &false.into(), &"external".into())
        );
        assert_eq!(Path::new(entry["cwd"].as_str().unwrap()), work(sandbox));
        assert_eq!(entry["message"]["role"], entry["type"]);
        if entry["type"] == "assistant" {
            let streamed = lines.iter().find(|line| line["type"] == "assistant").expect("an answer");
            assert_eq!((&entry["uuid"], &entry["message"]["id"]), (&streamed["uuid"], &streamed["message"]["id"]));
        }
        let content = &entry["message"]["content"];
        let text = content.as_str().or_else(|| content[0]["text"].as_str()).expect("text");
        format!("{}: {text}", entry["type"].as_str().unwrap())
    });
    said.collect()
}

fn work(sandbox: &Sandbox) -> PathBuf {
    fs::canonicalize(sandbox.path("work")).unwrap()
}

/// The file need not be there.
fn real_path(path: &str) -> PathBuf {
    let path = Path::new(path);
    let existing = path.ancestors().find(|folder| folder.exists()).expect("the root");
    fs::canonicalize(existing).unwrap().join(path.strip_prefix(existing).unwrap())
}

#[test]
fn the_real_one() {
    let api = answering("fine");
    check(&real_cli::sandbox(&api), &real());
}

#[test]
fn plain_answers() {
    let (api, local) = (answering("never asked"), Stub::answering("fine"));
    let mut sandbox = real_cli::sandbox(&api);
    sandbox.set("LOCAL_LLM_URL", local.url());
    sandbox.set("LOCAL_LLM_AGENT", "never");
    sandbox.switch("local");
    check(&sandbox, &sandbox.path("bin/claude"));
}
