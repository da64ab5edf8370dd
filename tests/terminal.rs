//! A person at a terminal, in `auto`: the session goes on with the local model, and back, in the same window.

#[path = "terminal/answers.rs"]
mod answers;
#[path = "terminal/as_without_us.rs"]
mod as_without_us;
#[path = "terminal/command_lines.rs"]
mod command_lines;
#[path = "terminal/deaths.rs"]
mod deaths;
#[path = "terminal/others.rs"]
mod others;
#[path = "terminal/person.rs"]
mod person;
#[path = "terminal/refusals.rs"]
mod refusals;
#[path = "terminal/server.rs"]
mod server;
#[path = "terminal/whole_way.rs"]
mod whole_way;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::auto::{self, TODAY, Version, sign_in};
use crate::support::Sandbox;
use crate::support::life::{processes_at_home, signal};
use crate::support::messages_api::{self, Reply, is_of_the_call, limit, questions_of_the_call};
use crate::support::play::BREAKER;
use crate::support::script::{self, Manner, Script, text};
use crate::support::stub::Stub;
use crate::support::terminal::Terminal;
use person::{Person, Process, processes};

/// The oldest version that has both hooks, and today's.
const VERSIONS: [Version; 2] = [(2, 1, 78), TODAY];

/// The local model's context, in tokens: there is room for everything.
const CONTEXT: u32 = 65_536;

/// What is asked when Claude has refused.
const ASKS: &str = "Type `local` to go on in this session with the local model `tiny`, or `wait` to stay.";

/// What is asked when Claude is back.
const ASKS_BACK: &str = "Type `claude` to go back to it in this session, or send it again to stay with the local model `tiny`.";

/// What Claude Code shows of a prompt that was held.
const HELD: &str = "operation blocked by hook";

type Mood = Arc<Mutex<Box<dyn Fn(&Value) -> Reply + Send>>>;

/// A home with a Claude Code of this version on PATH, whose switch says `auto`, and a user who is signed in.
struct Home {
    sandbox: Sandbox,
    version: Version,
    /// Where Claude is asked.
    api: Stub,
    mood: Mood,
}

impl Home {
    fn new(version: Version) -> Home {
        let mood: Mood = Arc::new(Mutex::new(Box::new(|_| Reply::Text("An answer of Claude.".into()))));
        let now = mood.clone();
        let api = messages_api::replying(move |question| match is_of_the_call(question) {
            true => now.lock().expect("no panic")(question),
            false => Reply::Text("aside".into()),
        });
        let mut sandbox = auto::sandbox(version, &api, &Stub::answering("another"));
        sign_in(&mut sandbox);
        sandbox.set("LOCAL_LLM_MODEL", "tiny");
        sandbox.set("TERM", "xterm-256color");
        sandbox.set("SHELL", "/bin/bash");
        // Questions that nobody has asked.
        sandbox.set("CLAUDE_CODE_ENABLE_PROMPT_SUGGESTION", "false");
        sandbox.set("LLM_NOTIFY_CMD", sandbox.script("tell", "#!/bin/sh\necho \"$1\" >> ~/told\n"));
        let work = sandbox.path("work").canonicalize().expect("a folder");
        let project = json!({"hasTrustDialogAccepted": true, "allowedTools": [], "hasCompletedProjectOnboarding": true});
        let state = json!({"hasCompletedOnboarding": true, "lastOnboardingVersion": "99.0.0", "theme": "dark",
                           "projects": {work.to_string_lossy(): project}});
        sandbox.write(".claude.json", state.to_string());
        Home { sandbox, version, api, mood }
    }

    /// What Claude does from now on.
    fn claude(&self, reply: impl Fn(&Value) -> Reply + Send + 'static) {
        *self.mood.lock().expect("no panic") = Box::new(reply);
    }

    fn claude_says(&self, text: &'static str) {
        self.claude(move |_| Reply::Text(text.into()));
    }

    fn claude_is_at_its_limit(&self, resets: Timestamp) {
        self.claude(move |_| limit("five_hour", resets.as_second()));
    }

    /// The local model replies in this order.
    fn plays(&mut self, replies: impl IntoIterator<Item = script::Reply>) -> Script {
        let model = Script::new(Manner::Pieces, CONTEXT, replies);
        self.sandbox.set("LOCAL_LLM_URL", model.url());
        model
    }

    fn work(&self) -> PathBuf {
        self.sandbox.path("work").canonicalize().expect("a folder")
    }

    /// A shell at a terminal.
    fn shell(&self) -> Person<'_> {
        Person::new(self, Terminal::new(&self.sandbox, &self.work()), true)
    }

    /// A program at a terminal of its own.
    fn program(&self, program: &str, args: &[&str]) -> Person<'_> {
        let terminal = Terminal::of(self.sandbox.cmd_at_terminal(program).args(args).dir(self.work()));
        Person::new(self, terminal, program.ends_with("sh"))
    }

    /// A shell with job control, with a session in it.
    fn in_bash(&self, command: &str) -> Person<'_> {
        self.sandbox.write(".bashrc", "PS1='bash> '\n");
        let mut person = self.program("/bin/bash", &["-i"]);
        person.terminal.wait_for("bash>");
        person.terminal.enter(command);
        person.is_at_box();
        person.helpers.extend(person.helper("--guard"));
        person
    }

    /// A shell with a session in it that waits for the first prompt.
    fn session(&self, command: &str) -> Person<'_> {
        let mut person = self.shell();
        person.begins(command);
        person
    }

    /// What Claude was asked in sessions, each with all that was said before.
    fn asked_of_claude(&self) -> Vec<Vec<String>> {
        questions_of_the_call(&self.api).iter().map(conversation).collect()
    }

    /// The answers that Claude Code has written down, refusals too.
    fn answers(&self) -> Vec<String> {
        let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let files = entries(self.sandbox.path(".claude/projects")).flat_map(entries);
        let transcripts = files.filter(|file| file.extension().is_some_and(|end| end == "jsonl"));
        let text: String = transcripts.map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["type"] == "assistant").map(|line| line["message"]["content"].to_string()).collect()
    }

    /// What people were told in the background.
    fn told(&self) -> Vec<String> {
        fs::read_to_string(self.sandbox.path("told")).unwrap_or_default().lines().map(str::to_string).collect()
    }

    fn ledger(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.sandbox.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// What `llm-failover status` says of Claude.
    fn status(&self) -> String {
        let output = self.sandbox.cmd("llm-failover").arg("status").run();
        output.out().lines().find_map(|line| line.strip_prefix("claude: ")).unwrap_or_default().to_string()
    }

    /// Whether it is known that Claude is at its limit.
    fn is_limited(&self) -> bool {
        self.status().contains("is at its 5-hour limit")
    }

    /// Lets the limits pass that are known.
    fn lets_limits_pass(&self) {
        let path = self.sandbox.path(BREAKER);
        let mut state: Value = serde_json::from_slice(&fs::read(&path).expect("a breaker")).expect("JSON");
        let ago = |minutes: i64| json!((Timestamp::now() - minutes.minutes()).to_string());
        for condition in state["conditions"].as_array_mut().expect("conditions") {
            for (field, minutes) in [("since", 60), ("updated", 30), ("until", 1), ("next_probe", 1)] {
                condition[field] = ago(minutes);
            }
        }
        self.sandbox.write(BREAKER, state.to_string());
    }

    /// The settings and sockets of sessions that run.
    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.sandbox.path(".local/state/claude-failover/agents"));
        files.into_iter().flatten().flatten().map(|file| file.path()).collect()
    }

    /// Fails if a process is left after so many seconds, but for this one. `helpers`: processes that do not tell by their environment
    /// where they belong.
    fn nothing_runs(&self, seconds: u64, but: Option<i32>, helpers: &[i32]) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let here = processes_at_home(self.sandbox.home());
            let is_left =
                |process: &Process| (here.contains(&process.pid) || helpers.contains(&process.pid)) && Some(process.pid) != but;
            let left: Vec<String> = processes()
                .into_iter()
                .filter(is_left)
                .map(|process| format!("{} {} {}", process.pid, process.state, process.args))
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(seconds) {
                return Err(format!("left behind: {left:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Home {
    /// A test that has failed has left something.
    fn drop(&mut self) {
        for pid in processes_at_home(self.sandbox.home()) {
            signal(pid, "KILL");
        }
    }
}

/// What was said, without what Claude Code says beside it.
fn conversation(question: &Value) -> Vec<String> {
    let messages = question["messages"].as_array().into_iter().flatten();
    messages.filter(|message| message["role"] != "system").map(said).filter(|said| !said.is_empty()).collect()
}

fn said(message: &Value) -> String {
    let text = text(message);
    let lines: Vec<&str> = text
        .split("<system-reminder>")
        .enumerate()
        .map(|(at, part)| match at {
            0 => part,
            _ => part.split_once("</system-reminder>").map_or("", |(_, rest)| rest),
        })
        .collect();
    lines.concat().split_whitespace().collect::<Vec<_>>().join(" ")
}
