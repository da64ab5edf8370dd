//! Sessions with the Python SDK, as its own end-to-end tests hold them: `/clear` and other commands, session stores,
//! origins, settings, hooks, resuming at a point. The same program has the same to say on the real Claude Code with a
//! played API, on a plain answer, and on Claude Code with the local model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::real_cli::{self, real};
use crate::support::messages_api::{self, questions};
use crate::support::script::{self, Manner};
use crate::support::stub::Stub;
use crate::support::{Sandbox, deps, node};

/// How long all cases of a program may take together, in seconds, on a busy machine.
const LIMIT: u64 = 480;

/// The local model's context, in tokens: there is room for everything.
const CONTEXT: u32 = 262_144;

/// A program, and what it prints: a line `== CASE` or `== CASE [WHO…]`, and the lines below it. A section that names
/// who it is for goes before one that does not.
struct Program {
    name: &'static str,
    expected: &'static str,
}

const SESSIONS: Program = Program { name: "sessions.py", expected: include_str!("sdk/sessions.txt") };
const AGENTS: Program = Program { name: "agent_sessions.py", expected: include_str!("sdk/agent_sessions.txt") };

/// What a session talks to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Real,
    Plain,
    Agent,
}

impl Who {
    fn word(self) -> &'static str {
        match self {
            Who::Real => "real",
            Who::Plain => "plain",
            Who::Agent => "agent",
        }
    }
}

impl Program {
    /// Runs these cases, or else all of them, and gives the lines of each.
    #[track_caller]
    fn run(&self, sandbox: &Sandbox, claude: &Path, cases: &[&str]) -> BTreeMap<String, String> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(self.name);
        let python = sandbox.cmd(deps().join("sdk-py/bin/python")).env("PYTHONDONTWRITEBYTECODE", "1").arg(program);
        let output = python.arg(claude).args(cases).dir(sandbox.path("work")).limit(LIMIT).run();
        assert_eq!(output.code(), 0, "{}{}", output.out(), output.err());
        sections(&output.out())
    }

    /// Compares what these cases, or else all that are expected, have printed.
    #[track_caller]
    fn compare(&self, who: Who, cases: &[&str], seen: &BTreeMap<String, String>) {
        let mut expected = BTreeMap::new();
        // A section that names nobody is before those that do.
        for (key, lines) in sections(self.expected) {
            let (name, whose) = key.trim_end_matches(']').split_once(" [").unwrap_or((&key, who.word()));
            if whose.split(' ').any(|one| one == who.word()) && (cases.is_empty() || cases.contains(&name)) {
                expected.insert(name.to_string(), lines);
            }
        }
        let names: BTreeSet<&String> = seen.keys().chain(expected.keys()).collect();
        let differing = names.into_iter().filter(|name| seen.get(*name) != expected.get(*name));
        let shown = |lines: Option<&String>| lines.map_or("(no such case)".to_string(), String::clone);
        let faults: Vec<String> = differing
            .map(|name| {
                format!("== {name} [{}]\n{}\n-- expected\n{}\n\n", who.word(), shown(seen.get(name)), shown(expected.get(name)))
            })
            .collect();
        assert!(faults.is_empty(), "{} cases differ:\n{}", faults.len(), faults.concat());
    }

    #[track_caller]
    fn check(&self, who: Who, cases: &[&str]) {
        let seen = match who {
            Who::Real => {
                let api = messages_api::replying(|question| reply(question).into_api());
                self.run(&real_cli::sandbox(&api), &real(), cases)
            }
            Who::Plain | Who::Agent => {
                let api = messages_api::answering("never asked");
                let model = script::replying(Manner::Pieces, CONTEXT, |question| reply(question).into_script());
                let sandbox = local(&api, &model.url(), if who == Who::Plain { "never" } else { "auto" });
                let seen = self.run(&sandbox, &sandbox.path("bin/claude"), cases);
                assert_eq!(questions(&api).len(), 0, "asked of Anthropic");
                seen
            }
        };
        self.compare(who, cases, &seen);
    }
}

fn sections(text: &str) -> BTreeMap<String, String> {
    let section = |section: &str| section.split_once('\n').map(|(name, lines)| (name.to_string(), lines.trim_end().to_string()));
    format!("\n{text}").split("\n== ").skip(1).filter_map(section).collect()
}

fn local(api: &Stub, url: &str, agent: &str) -> Sandbox {
    let mut sandbox = real_cli::sandbox(api);
    sandbox.set_path(&[sandbox.path("bin"), node(), "/usr/bin".into(), "/bin".into()]);
    sandbox.set("LOCAL_LLM_URL", url);
    sandbox.set("LOCAL_LLM_MODEL", "tiny");
    sandbox.set("LOCAL_LLM_AGENT", agent);
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox.set("LLM_FAILOVER_QUIET", "1");
    sandbox.switch("local");
    sandbox
}

/// What the model does in all worlds.
enum Reply {
    Text(String),
    /// Begins with this and never ends.
    Begin(String),
    Bash(String),
    Refuse,
}

impl Reply {
    fn into_api(self) -> messages_api::Reply {
        match self {
            Reply::Text(text) => messages_api::Reply::Text(text),
            Reply::Begin(text) => messages_api::Reply::Begin(text),
            Reply::Bash(command) => messages_api::Reply::Use("Bash".into(), json!({"command": command, "description": "d"})),
            Reply::Refuse => messages_api::Reply::Refuse(400),
        }
    }

    fn into_script(self) -> script::Reply {
        match self {
            Reply::Text(text) => script::says(text),
            Reply::Begin(text) => script::Reply::Begins(text),
            Reply::Bash(command) => script::calls(&[("Bash", json!({"command": command, "description": "d"}))]),
            Reply::Refuse => script::Reply::Refuses(400, json!({"error": {"message": "refused"}}).to_string()),
        }
    }
}

/// What the model says to a question in either API's form: what it heard, most of the time.
fn reply(question: &Value) -> Reply {
    let messages = question["messages"].as_array().cloned().unwrap_or_default();
    let said: Vec<String> = messages.iter().filter_map(heard).collect();
    let last = said.last().map_or("", String::as_str);
    let is_after_tool = messages.iter().any(is_tool_result);
    // What a hook adds, and the instructions for a summary.
    let mark = |text: String| text.split_once("<<").and_then(|(_, rest)| Some(rest.split_once(">>")?.0.to_string()));
    let marked = |messages: &[Value]| {
        mark(Value::from(messages.to_vec()).to_string()).map_or(String::new(), |mark| format!("; told: {mark}"))
    };
    let is_summary = |text: &str| text.len() > 200 && text.to_lowercase().contains("summary");
    match last {
        _ if is_after_tool => Reply::Text(format!("done{}", marked(&messages))),
        "never end" => Reply::Begin("the beginning".into()),
        "refuse this" => Reply::Refuse,
        // The whole instruction, which Claude Code and this program word in their own ways.
        _ if is_summary(last) => {
            let told = marked(&messages[messages.len() - 1..]);
            Reply::Text(format!("<analysis>thoughts</analysis>\n<summary>all of {}{told}</summary>", said.len() - 1))
        }
        _ if last.starts_with("run: ") => Reply::Bash(last["run: ".len()..].into()),
        _ => Reply::Text(format!("heard {}", said.join(" | "))),
    }
}

/// What was said. What Claude Code adds by itself is left out, and of a summary only its own text is left.
fn heard(message: &Value) -> Option<String> {
    let who = message["role"].as_str().filter(|who| ["user", "assistant"].contains(who))?;
    let text = match &message["content"] {
        Value::String(text) => clean(text),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| Some(clean(block["text"].as_str()?)));
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" + ")
        }
        _ => String::new(),
    };
    // What the model said itself, it repeated; the rest is what it heard.
    let text = if who == "assistant" && text.starts_with("heard ") { "…".to_string() } else { text };
    (!text.is_empty()).then_some(text)
}

fn clean(text: &str) -> String {
    const ADDED: [&str; 8] = [
        "system-reminder",
        "local-command-caveat",
        "local-command-stdout",
        "local-command-stderr",
        "command-name",
        "command-message",
        "command-args",
        "analysis",
    ];
    let mut text = text.to_string();
    for tag in ADDED {
        let (opening, closing) = (format!("<{tag}>"), format!("</{tag}>"));
        while let Some((before, rest)) = text.split_once(&opening) {
            let Some((_, after)) = rest.split_once(&closing) else { break };
            text = format!("{before}{after}");
        }
    }
    if text.contains("This session is being continued") {
        let begin = text.find("all of ").unwrap_or_default();
        let summary = text[begin..].lines().next().unwrap_or_default();
        let after = text.lines().next_back().unwrap_or_default();
        text = if after.len() < 20 { format!("(summary: {summary}) + {after}") } else { format!("(summary: {summary})") };
    }
    text.trim().to_string()
}

fn is_tool_result(message: &Value) -> bool {
    let blocks = message["content"].as_array().into_iter().flatten();
    message["role"] == "tool" || blocks.into_iter().any(|block| block["type"] == "tool_result")
}

/// So that what is expected of ours is what the real one does.
#[test]
#[ignore = "drives the real Claude Code alone: for when a new version of it, or of an SDK, is taken"]
fn the_real_one() {
    SESSIONS.check(Who::Real, &[]);
}

#[test]
fn plain_answers() {
    SESSIONS.check(Who::Plain, &[]);
}

#[test]
#[ignore = "drives the real Claude Code alone: for when a new version of it, or of an SDK, is taken"]
fn agents_of_the_real_one() {
    AGENTS.check(Who::Real, &[]);
}

#[test]
fn agents() {
    AGENTS.check(Who::Agent, &[]);
}
