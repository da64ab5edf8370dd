//! Both Agent SDKs, run for real: on our `claude`, and with the same cases and the same outcome on the real one.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::answer::local;
use crate::real_cli::{self, real};
use crate::support::messages_api::{self, Reply};
use crate::support::stub::{Stub, end, json as json_answer, piece, sse};
use crate::support::{Sandbox, deps, node, wait};

/// What is printed in each case: a line `== CASE` or `== CASE [WHO…]`, and the lines below it. WHO is an SDK, `ours` or
/// `real` or `auto`; a section for fewer of them goes before one for more.
const EXPECTED: &str = include_str!("sdk/expected.txt");

/// How long all cases of an SDK may take together, in seconds, on a busy machine.
const LIMIT: u64 = 480;

#[derive(Clone, Copy, PartialEq)]
enum Sdk {
    Python,
    OldPython,
    TypeScript,
    OldTypeScript,
}

impl Sdk {
    fn name(self) -> &'static str {
        match self {
            Sdk::Python => "python",
            Sdk::OldPython => "old-python",
            Sdk::TypeScript => "typescript",
            Sdk::OldTypeScript => "old-typescript",
        }
    }

    /// The cases, if that is not all of them.
    fn cases(self) -> &'static [&'static str] {
        const OLD: &[&str] = &["one_shot", "two_prompts", "partials", "remembers", "system_string", "interrupt", "resume"];
        if matches!(self, Sdk::Python | Sdk::TypeScript) { &[] } else { OLD }
    }

    /// Runs the cases in the folder `work` and gives the lines of each.
    #[track_caller]
    fn run(self, sandbox: &Sandbox, claude: &Path) -> BTreeMap<String, String> {
        self.run_cases(sandbox, claude, self.cases())
    }

    #[track_caller]
    fn run_cases(self, sandbox: &Sandbox, claude: &Path, cases: &[&str]) -> BTreeMap<String, String> {
        let script = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name);
        let python = |venv| sandbox.cmd(deps().join(venv).join("bin/python")).arg(script("cases.py"));
        let typescript = |folder| {
            let module = deps().join(folder).join("node_modules/@anthropic-ai/claude-agent-sdk/sdk.mjs");
            sandbox.cmd(node().join("node")).arg(script("cases.mjs")).arg(module)
        };
        let command = match self {
            Sdk::Python => python("sdk-py"),
            Sdk::OldPython => python("sdk-py-old"),
            Sdk::TypeScript => typescript("sdk-ts"),
            Sdk::OldTypeScript => typescript("sdk-ts-old"),
        };
        let output = command.arg(claude).args(cases).dir(sandbox.path("work")).limit(LIMIT).run();
        assert_eq!(output.code(), 0, "{}{}", output.out(), output.err());
        sections(&output.out())
    }
}

fn sections(text: &str) -> BTreeMap<String, String> {
    let section = |section: &str| section.split_once('\n').map(|(name, lines)| (name.to_string(), lines.trim_end().to_string()));
    format!("\n{text}").split("\n== ").skip(1).filter_map(section).collect()
}

/// Compares what an SDK yielded in each case.
#[track_caller]
fn compare(sdk: Sdk, whose: &str, seen: BTreeMap<String, String>) {
    let all = sections(EXPECTED);
    let holds = |key: &str, case: &str| -> Option<usize> {
        let (name, who) = key.split_once(" [").map_or((key, ""), |(name, who)| (name, who.trim_end_matches(']')));
        let is_ours = name == case && who.split_whitespace().all(|who| who == sdk.name() || who == whose);
        is_ours.then(|| who.split_whitespace().count())
    };
    let expected = |case: &str| {
        let fitting = all.iter().filter_map(|(key, lines)| Some((holds(key, case)?, lines)));
        fitting.max_by_key(|(count, _)| *count).map_or("", |(_, lines)| lines)
    };
    let faults: Vec<String> = seen
        .iter()
        .filter(|(case, lines)| expected(case) != *lines)
        .map(|(case, lines)| format!("== {case} [{} {whose}]\n{lines}\n-- expected\n{}\n", sdk.name(), expected(case)))
        .collect();
    assert!(faults.is_empty(), "{} of {} cases differ:\n{}", faults.len(), seen.len(), faults.concat());
    if whose == "auto" {
        return;
    }
    let wanted = |case: &&str| if sdk.cases().is_empty() { !expected(case).is_empty() } else { sdk.cases().contains(case) };
    let names = all.keys().map(|key| key.split(' ').next().unwrap_or_default());
    let missing: Vec<&str> = names.filter(wanted).filter(|case| !seen.contains_key(*case)).collect();
    assert!(missing.is_empty(), "not run: {missing:?}");
}

/// The model in both worlds: it says what it was told, and does a few things on command.
#[derive(Default)]
struct Model {
    asked: Mutex<HashSet<String>>,
}

impl Model {
    /// `said` are who spoke and what, oldest first.
    fn reply(&self, system: &str, said: &[(String, String)]) -> Reply {
        let is_new = |text: &str| self.asked.lock().unwrap().insert(text.to_string());
        let first = said.first().map_or("", |(_, text)| text);
        let last = said.last().map_or("", |(_, text)| text);
        if let Some((before, json)) = first.split_once("json ") {
            let is_wrong = before.starts_with("wrong first") && is_new(first);
            return Reply::Text(if is_wrong { r#"{"answer":1}"#.into() } else { json.into() });
        }
        match last {
            "never end" => Reply::Begin("beginning".into()),
            "refuse this" => Reply::Refuse(400),
            "say much" => Reply::Text((0..50_000).map(|number| format!("{number:06}漢")).collect()),
            "say separators" => Reply::Text("a\u{2028}b\u{2029}c\u{85}d\u{a0}e\rf\u{0}g\u{feff}h\u{1f980}".into()),
            _ => {
                let marks = system.split("<<").skip(1).filter_map(|rest| rest.split_once(">>"));
                let told: String = marks.map(|(mark, _)| format!("told to {mark}; ")).collect();
                let heard: Vec<String> = said.iter().map(|(who, text)| format!("{who}: {text}")).collect();
                Reply::Text(format!("{told}heard {}: {}", said.len(), heard.join(" | ")))
            }
        }
    }
}

/// Who spoke and what. What the real CLI adds by itself is left out.
fn said(messages: &Value) -> Vec<(String, String)> {
    let mut said = Vec::new();
    for message in messages.as_array().into_iter().flatten() {
        let who = message["role"].as_str().unwrap_or_default();
        for text in texts(&message["content"]) {
            if !text.starts_with("<system-reminder>") && who != "system" {
                // Two that follow each other are put apart by it.
                said.push((who.to_string(), text.trim_end_matches('\n').to_string()));
            }
        }
    }
    said
}

/// The texts of a message's content, or of a system prompt.
fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks.iter().filter_map(|block| Some(block["text"].as_str()?.to_string())).collect(),
        _ => vec![],
    }
}

/// The model behind a fake Messages API.
fn anthropic() -> Stub {
    let model = Model::default();
    messages_api::replying(move |question| {
        let reply = model.reply(&texts(&question["system"]).join("\n"), &said(&question["messages"]));
        let tools = question["tools"].as_array().into_iter().flatten();
        let is_structured = tools.into_iter().any(|tool| tool["name"] == "StructuredOutput");
        match reply {
            Reply::Text(text) if is_structured => Reply::Use("StructuredOutput".into(), text.parse().expect("JSON")),
            reply => reply,
        }
    })
}

/// The model behind a local server.
fn openai() -> Stub {
    let model = Model::default();
    Stub::new(move |request, stream| {
        let _ = match request.is_chat() {
            true => chat(&model, &request.json(), stream),
            false => stream.write_all(json_answer(200, r#"{"status":"ok"}"#).as_bytes()),
        };
    })
}

fn chat(model: &Model, question: &Value, stream: &mut TcpStream) -> io::Result<()> {
    let messages = &question["messages"];
    let system: Vec<String> = messages
        .as_array()
        .into_iter()
        .flatten()
        .filter(|message| message["role"] == "system")
        .flat_map(|message| texts(&message["content"]))
        .collect();
    let words = |text: &str| text.split_inclusive([' ', '漢']).map(piece).collect::<String>();
    match model.reply(&system.join("\n"), &said(messages)) {
        Reply::Text(text) => stream.write_all(sse(&(words(&text) + &end("stop"))).as_bytes()),
        Reply::Begin(text) => {
            stream.write_all(sse(&words(&text)).as_bytes())?;
            loop {
                thread::sleep(Duration::from_millis(50));
                stream.write_all(b": still there\n\n")?;
            }
        }
        _ => stream.write_all(json_answer(400, r#"{"error":{"message":"refused","type":"invalid_request_error"}}"#).as_bytes()),
    }
}

#[track_caller]
fn ours(sdk: Sdk) {
    let stub = openai();
    let mut sandbox = local(&stub.url());
    sandbox.set("LOCAL_LLM_MODEL", "tiny");
    fs::create_dir(sandbox.path("work")).unwrap();
    compare(sdk, "ours", sdk.run(&sandbox, &sandbox.path("bin/claude")));
}

/// Claude answers the first question of a conversation and is overloaded at the second: the same answers come all the
/// same, from the local model, which knows what was said before.
#[track_caller]
fn taken_over(sdk: Sdk) {
    let model = Model::default();
    let api = messages_api::replying(move |question| match said(&question["messages"]) {
        said if said.len() > 1 => Reply::Refuse(529),
        said => model.reply(&texts(&question["system"]).join("\n"), &said),
    });
    let stub = openai();
    let mut sandbox = real_cli::sandbox(&api);
    sandbox.switch("auto");
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LOCAL_LLM_MODEL", "tiny");
    let seen = sdk.run_cases(&sandbox, &sandbox.path("bin/claude"), &["remembers"]);
    compare(sdk, "auto", seen);
    assert_eq!(stub.chats().len(), 2, "the second question and the third");
    assert_eq!(messages_api::questions(&api).iter().filter(|question| said(&question["messages"]).len() > 1).count(), 1);
}

/// What Claude Code says where several share a HOME and one is just writing its `.claude.json` (2.1.330).
const OF_ITS_FILE: [&str; 3] = [
    "stderr: Claude configuration file not found at: ",
    "stderr: A backup file exists at: ",
    "stderr: You can manually restore it by running: ",
];

/// So that what is expected of ours is what the real one does.
#[track_caller]
fn real_one(sdk: Sdk) {
    let api = anthropic();
    let sandbox = real_cli::sandbox(&api);
    let is_of_its_file = |line: &str| OF_ITS_FILE.iter().any(|begin| line.starts_with(begin));
    let without = |lines: String| lines.lines().filter(|line| !is_of_its_file(line)).collect::<Vec<_>>().join("\n");
    compare(sdk, "real", sdk.run(&sandbox, &real()).into_iter().map(|(case, lines)| (case, without(lines))).collect());
}

/// The Python SDK says nothing but that the process was gone, if it finds it so when it says its first words.
#[test]
fn a_session_that_cannot_begin_lets_the_caller_say_its_first_words() {
    let sandbox = local("http://127.0.0.1:9/");
    let formats = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
    for fault in [["--resume", "11111111-1111-4111-8111-111111111111"], ["--json-schema", "[]"]] {
        let mut child = sandbox.cmd("claude").args(&formats).args(&fault).spawn();
        thread::sleep(Duration::from_millis(300));
        child.stdin.take().unwrap().write_all(b"{}\n").expect("it still listens");
        let status = wait(&mut child, Duration::from_secs(30)).expect("an end");
        assert_eq!(status.code(), Some(1));
    }
}

#[test]
fn python() {
    ours(Sdk::Python);
}

#[test]
#[ignore = "drives the real Claude Code alone: for when a new version of it, or of an SDK, is taken"]
fn python_on_the_real_one() {
    real_one(Sdk::Python);
}

#[test]
fn typescript() {
    ours(Sdk::TypeScript);
}

#[test]
#[ignore = "drives the real Claude Code alone: for when a new version of it, or of an SDK, is taken"]
fn typescript_on_the_real_one() {
    real_one(Sdk::TypeScript);
}

#[test]
fn python_is_taken_over() {
    taken_over(Sdk::Python);
}

#[test]
fn typescript_is_taken_over() {
    taken_over(Sdk::TypeScript);
}

#[test]
fn old_python() {
    ours(Sdk::OldPython);
}

#[test]
#[ignore = "drives the real Claude Code alone: for when a new version of it, or of an SDK, is taken"]
fn old_python_on_the_real_one() {
    real_one(Sdk::OldPython);
}

#[test]
fn old_typescript() {
    ours(Sdk::OldTypeScript);
}

#[test]
#[ignore = "drives the real Claude Code alone: for when a new version of it, or of an SDK, is taken"]
fn old_typescript_on_the_real_one() {
    real_one(Sdk::OldTypeScript);
}
