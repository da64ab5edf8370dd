//! A home whose switch says `auto` and whose real Claude plays what a test has written for it: see `claude.c`.

use std::fs;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::life::Life;
use super::stub::Stub;
use super::{copy, real, until, wait};

/// The home.
pub struct Stage(Life);

/// A run of the real Claude.
pub struct Run {
    /// Its number.
    pub pid: i32,
    /// Its parent's: ours.
    pub parent: i32,
    /// Its arguments.
    pub args: Vec<String>,
}

impl Stage {
    /// A home without a local server.
    pub fn bare() -> Stage {
        static CLAUDE: OnceLock<PathBuf> = OnceLock::new();
        let mut life = Life::bare();
        let package = r#"{"name":"@anthropic-ai/claude-code","version":"2.1.330"}"#;
        life.write("real/package.json", package);
        copy(CLAUDE.get_or_init(|| real::compiled("claude")), life.path("real/claude"));
        let path = ["bin", "real"].map(|dir| life.path(dir)).into_iter().chain(["/usr/bin".into(), "/bin".into()]);
        let path: Vec<PathBuf> = path.collect();
        life.set_path(&path);
        let flag = life.write("flag", "auto\n");
        life.set("LLM_BACKEND_FLAG", flag);
        life.set("LLM_SUPERVISOR", "none");
        life.set("TZ", "UTC");
        Stage(life)
    }

    /// A home whose local server is `stub`, and a Claude that plays this.
    pub fn new(stub: &Stub, play: &[String]) -> Stage {
        let mut stage = Stage::bare();
        stage.set("LOCAL_LLM_URL", stub.url());
        stage.play(play);
        stage
    }

    /// A home whose local server is started when it is needed, by a supervisor of ours: see `model_server.py`.
    pub fn with_server(mode: &str, play: &[String]) -> Stage {
        let mut stage = Stage::bare();
        stage.unset("LLM_SUPERVISOR");
        let command = stage.server_command(mode);
        stage.set("LLM_SERVER_CMD", command);
        stage.play(play);
        stage
    }

    /// What all runs do.
    pub fn play(&self, lines: &[String]) {
        self.write("real/play", lines.join("\n") + "\n");
    }

    /// What the run of this number does.
    pub fn play_in(&self, number: usize, lines: &[String]) {
        self.write(&format!("real/play.{number}"), lines.join("\n") + "\n");
    }

    /// What a run has left in a file of this name.
    pub fn left(&self, name: &str) -> String {
        fs::read_to_string(self.path("real").join(name)).unwrap_or_default()
    }

    /// Makes the file that a run waits for.
    pub fn make(&self, name: &str) {
        self.write(&format!("real/{name}"), "");
    }

    /// How often Claude was asked.
    pub fn runs(&self) -> usize {
        (1..).take_while(|number| self.path(&format!("real/run.{number}")).exists()).count()
    }

    /// The run of this number, once it has begun.
    #[track_caller]
    pub fn run(&self, number: usize) -> Run {
        let name = format!("run.{number}");
        until(20, "Claude is asked", || self.left(&name).ends_with("\0\n"));
        let text = self.left(&name);
        let mut words = text.strip_suffix("\0\n").expect("an end").split('\0').map(str::to_string);
        let ids = words.next().expect("numbers");
        let (pid, parent) = ids.split_once(' ').expect("two numbers");
        Run { pid: pid.parse().expect("a number"), parent: parent.parse().expect("a number"), args: words.collect() }
    }

    /// Waits until a run has made this file.
    #[track_caller]
    pub fn wait_for(&self, name: &str) {
        until(20, &format!("Claude makes {name}"), || self.path("real").join(name).exists());
    }

    /// Waits until the first run has said so, and is watched and guarded.
    #[track_caller]
    pub fn wait_for_watch(&self) -> Run {
        self.wait_for("ready");
        let run = self.run(1);
        until(20, "it is guarded", || guard_of(run.parent).is_some());
        run
    }

    /// Waits until Claude has got these signals, and fails if there were others.
    #[track_caller]
    pub fn wait_for_signals(&self, names: &str) {
        until(20, &format!("{names:?} after {:?}", self.left("signals")), || self.left("signals").len() >= names.len());
        assert_eq!(self.left("signals"), names);
    }

    /// What the breaker's file holds.
    pub fn breaker(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.path(BREAKER)).ok()?).ok()
    }

    /// Opens the breaker for an outage that was met some minutes ago. `due`: Claude may be asked again.
    pub fn open_breaker(&self, due: bool) {
        let now = jiff::Timestamp::now();
        let ago = |minutes| now - jiff::SignedDuration::from_mins(minutes);
        let condition = json!({
            "class": "overload", "since": ago(10), "until": null, "next_probe": if due { ago(1) } else { ago(-10) },
            "updated": ago(5), "failures": 1,
        });
        self.write(BREAKER, json!({ "conditions": [condition] }).to_string());
    }
}

/// The breaker's file.
pub const BREAKER: &str = ".local/state/claude-failover/breaker.json";

impl Deref for Stage {
    type Target = Life;

    fn deref(&self) -> &Life {
        &self.0
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Life {
        &mut self.0
    }
}

/// What a process that was left running has come to: its exit code, stdout and stderr.
#[track_caller]
pub fn finish(mut child: Child) -> (i32, String, String) {
    let status = wait(&mut child, Duration::from_secs(30)).expect("an end");
    let output = child.wait_with_output().expect("its output");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("an end");
    (code, text(output.stdout), text(output.stderr))
}

/// The first line on stderr of a call that runs.
pub fn first_words(call: &mut Child) -> String {
    let mut line = Vec::new();
    let stderr = call.stderr.as_mut().expect("a pipe");
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).expect("more");
        line.extend(byte);
    }
    String::from_utf8(line).expect("text")
}

/// The state of a process in one letter; none if there is no such process, or only what is left of one.
pub fn state(pid: i32) -> Option<char> {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().expect("ps");
    String::from_utf8_lossy(&output.stdout).trim().chars().next().filter(|state| *state != 'Z')
}

/// Waits until a process is gone.
#[track_caller]
pub fn wait_for_end(pid: i32) {
    until(15, &format!("{pid} is gone"), || state(pid).is_none());
}

/// The first process that `us` has started to end Claude should we die.
pub fn guard_of(us: i32) -> Option<i32> {
    guards_of(us).first().copied()
}

/// All of them.
pub fn guards_of(us: i32) -> Vec<i32> {
    let output = Command::new("ps").args(["-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="]).output().expect("ps");
    let of_us = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, parent) = (words.next()?.parse().ok()?, words.next()?.parse::<i32>().ok()?);
        (parent == us && words.any(|word| word == "--guard")).then_some(pid)
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(of_us).collect()
}

/// A line of its stream.
pub fn say(line: &Value) -> String {
    format!("say {line}")
}

/// Several acts, one after the other.
pub fn acts(groups: &[&[String]]) -> Vec<String> {
    groups.concat()
}

/// Acts by their words.
pub fn act(line: impl Into<String>) -> Vec<String> {
    vec![line.into()]
}

/// The session's id in all that is played.
pub const SESSION: &str = "574f7174-d3e1-4f20-89ae-6a109bd3d1b3";

/// The beginning of a turn, as a value.
pub fn init_line() -> Value {
    json!({"type": "system", "subtype": "init", "session_id": SESSION, "tools": [], "model": "claude-opus-5-5",
           "claude_code_version": "2.1.330", "uuid": "00000000-0000-4000-8000-000000000001"})
}

/// The beginning of a turn.
pub fn init() -> Vec<String> {
    let status = json!({"type": "system", "subtype": "status", "status": "requesting", "session_id": SESSION});
    vec![say(&init_line()), say(&status)]
}

fn event(event: &Value) -> Value {
    json!({"type": "stream_event", "event": event, "session_id": SESSION, "parent_tool_use_id": null})
}

/// The frame of an answer.
pub fn opening() -> Vec<String> {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": []});
    vec![
        say(&event(&json!({"message": message, "type": "message_start"}))),
        say(&event(&json!({"index": 0, "content_block": {"type": "text", "text": ""}, "type": "content_block_start"}))),
    ]
}

/// A piece of an answer.
pub fn piece(text: &str) -> Vec<String> {
    act(say(&event(&json!({"index": 0, "delta": {"type": "text_delta", "text": text}, "type": "content_block_delta"}))))
}

/// A whole message of the assistant's, as a value.
pub fn assistant_line(text: &str) -> Value {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
                         "content": [{"type": "text", "text": text}]});
    json!({"type": "assistant", "message": message, "parent_tool_use_id": null, "session_id": SESSION})
}

/// The end of a turn that went well, as a value.
pub fn result_line(text: &str) -> Value {
    json!({"is_error": false, "num_turns": 1, "subtype": "success", "result": text, "type": "result",
           "session_id": SESSION, "usage": {"input_tokens": 10, "output_tokens": 7}})
}

/// An answer and its end.
pub fn answer(text: &str) -> Vec<String> {
    acts(&[&opening(), &piece(text), &[say(&assistant_line(text)), say(&result_line(text))]])
}

/// The use of a tool, and what came of it.
pub fn tool() -> Vec<String> {
    let using = json!({"type": "assistant", "message": {"model": "claude-opus-5-5", "role": "assistant",
                       "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}]},
                       "parent_tool_use_id": null, "session_id": SESSION});
    let used = json!({"type": "user", "message": {"role": "user", "content": [
                      {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}]},
                      "parent_tool_use_id": null, "session_id": SESSION});
    vec![say(&using), say(&used)]
}

/// A retry that it announces.
pub fn retry(attempt: u32) -> Vec<String> {
    act(say(&json!({"type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 10, "retry_delay_ms": 500,
                    "error_status": 529, "error": "overloaded", "session_id": SESSION})))
}

/// What Claude Code says itself when its servers are overloaded.
pub const OVERLOADED: &str = "API Error: 529 Overloaded. This is a server-side issue, usually temporary — try again in a moment.";

/// What it says at the end of a plan's limit.
pub const LIMITED: &str = "You've hit your 5-hour limit";

fn refusal(text: &str, status: u16, error: &str) -> [Value; 2] {
    let message = json!({"model": "<synthetic>", "role": "assistant", "content": [{"type": "text", "text": text}]});
    [
        json!({"type": "assistant", "message": message, "parent_tool_use_id": null, "session_id": SESSION, "error": error,
               "is_api_error_message": true, "api_error_status": status}),
        json!({"is_error": true, "num_turns": 1, "subtype": "success", "api_error_status": status, "result": text,
               "type": "result", "session_id": SESSION, "usage": {"input_tokens": 0, "output_tokens": 0}}),
    ]
}

/// The two lines of a turn that Anthropic's servers refuse, overloaded.
pub fn overload_lines() -> [Value; 2] {
    refusal(OVERLOADED, 529, "overloaded")
}

/// The end of a turn that they refuse.
pub fn overload() -> Vec<String> {
    overload_lines().iter().map(say).collect()
}

/// The lines of a turn that a plan's limit ends.
pub fn limit_lines() -> [Value; 3] {
    let rejected = json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour",
                          "isUsingOverage": false}, "session_id": SESSION});
    let [said, end] = refusal(LIMITED, 429, "rate_limit");
    [rejected, said, end]
}

/// The end of a turn at a plan's limit.
pub fn limit() -> Vec<String> {
    limit_lines().iter().map(say).collect()
}

/// A whole call that is refused.
pub fn refused() -> Vec<String> {
    acts(&[&init(), &overload(), &act("exit 1")])
}

/// A whole call that is answered.
pub fn answered(text: &str) -> Vec<String> {
    acts(&[&init(), &answer(text)])
}

/// What we say on stderr when the local model answers a call that was refused so.
pub const SAID: &str = "claude: Claude is overloaded; the local model answers\n";

/// What we say when Claude ends with exit code 0 and without an answer.
pub const NO_ANSWER: &str = "claude: `[HOME]/real/claude` ended without an answer, with exit code 0\nhint: `llm-failover claude` runs it \
                             without this program between; see what it prints then\n";
