//! What the next agent in a folder will begin with is read ahead by the local server, and that is in nobody's way. Claude Code is
//! played: see `stand-ins/agent.py`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::life::{processes_at_home, processes_naming, python, stand_in};
use crate::support::play::{Stage, act, acts, answer, finish, init, say};
use crate::support::stub::{Stub, completion, json as json_answer, sse};
use crate::support::{Output, until};

/// What the user says to the agent, and what must be kept nowhere.
const PROMPT: &str = "the secret of the user";

/// What the agent is told in a folder whose instructions are this.
fn told(instructions: &str) -> String {
    format!("<system-reminder>\n# claudeMd\n{instructions}\n</system-reminder>")
}

/// What an agent asks first there.
fn question(instructions: &str) -> String {
    let text = |text: &str| json!({"type": "text", "text": text});
    let schema = json!({"type": "object", "properties": {"command": {"type": "string"}}});
    let question = json!({
        "model": "tiny", "max_tokens": 100,
        "system": [text("You are Claude Code, Anthropic's official CLI for Claude."), text("You are an interactive agent.")],
        "tools": [{"name": "Bash", "description": "Runs a command.", "input_schema": schema}],
        "messages": [{"role": "user", "content": [text(&told(instructions)), text(PROMPT)]}],
    });
    question.to_string()
}

/// A home with the folders `one` and `two`, in which agents work.
struct Home {
    stage: Stage,
}

impl Home {
    /// Whose local server is this one, and not ours.
    fn new(server: &Stub) -> Home {
        Home::of(Stage::new(server, &[]))
    }

    fn of(mut stage: Stage) -> Home {
        let home = stage.home().display();
        let text = format!("#!/bin/sh\nexec {} {} {home} \"$@\"\n", python().display(), stand_in("agent.py").display());
        let program = stage.script("fake/claude", &text);
        stage.set("CLAUDE_BIN", program);
        for name in ["one/.keep", "two/.keep", "ask", "end"] {
            stage.write(name, "");
        }
        stage.write("question", question("Always write tests."));
        stage.write("flag", "local");
        Home { stage }
    }

    fn agent(&self, folder: &str) -> crate::support::Cmd {
        let cmd = self.stage.cmd("claude").args(&["-p", "hi", "--allowedTools", "Bash"]);
        cmd.dir(self.stage.path(folder)).limit(60)
    }

    #[track_caller]
    fn run_agent(&self, folder: &str) {
        let output = self.agent(folder).run();
        assert_eq!((output.code(), output.out().as_str()), (0, "yes\n"), "{output:?}");
    }

    fn begin_agent(&self, folder: &str) -> Child {
        let mut child = self.agent(folder).spawn();
        drop(child.stdin.take());
        child
    }

    /// `llm-failover local`, and what it starts, to its end.
    #[track_caller]
    fn flip(&self, folder: &str) {
        let output = self.begin_flip(folder);
        assert_eq!(output.code(), 0, "{output:?}");
        self.wait_for_primers();
    }

    fn begin_flip(&self, folder: &str) -> Output {
        self.stage.cmd("llm-failover").args(&["-q", "local"]).dir(self.stage.path(folder)).limit(60).run()
    }

    #[track_caller]
    fn wait_for_primers(&self) {
        until(30, "nobody primes", || primers(self.stage.home()) == 0);
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.stage.path(".local/state/claude-failover/prefixes"));
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

/// How many processes at this home have a server read ahead.
pub fn primers(home: &Path) -> usize {
    let at_home = processes_at_home(home);
    processes_naming(" --prime").iter().filter(|(pid, _)| at_home.contains(pid)).count()
}

fn is_priming(question: &Value) -> bool {
    question["max_tokens"] == 1 && question["messages"].as_array().is_some_and(|messages| messages.len() == 2)
}

/// What the server was asked to read ahead.
fn primed(server: &Stub) -> Vec<Value> {
    server.chats().iter().map(|chat| chat.json()).filter(is_priming).collect()
}

/// What it was asked for an agent.
fn agents(server: &Stub) -> Vec<Value> {
    let is_agents = |question: &Value| question["tools"].is_array() && !is_priming(question);
    server.chats().iter().map(|chat| chat.json()).filter(is_agents).collect()
}

#[test]
fn a_flip_has_the_server_read_what_the_last_agent_in_the_folder_was_told() {
    let server = Stub::answering("yes");
    let home = Home::new(&server);
    home.run_agent("one");
    assert_eq!(primed(&server), Vec::<Value>::new(), "no agent was there before");
    home.flip("one");
    let (primed, agents) = (primed(&server), agents(&server));
    assert_eq!((primed.len(), agents.len()), (1, 1));
    assert_eq!(primed[0]["tools"], agents[0]["tools"]);
    assert_eq!(primed[0]["messages"][0], agents[0]["messages"][0]);
    let read = primed[0]["messages"][1]["content"].as_str().unwrap();
    let asked = agents[0]["messages"][1]["content"].as_str().unwrap();
    assert_eq!((read, asked), (told("Always write tests.").as_str(), format!("{read}\n{PROMPT}").as_str()));

    let files = home.files();
    assert_eq!(files.len(), 1);
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&files[0]), mode(&files[0].parent().unwrap().into())), (0o600, 0o700));
    let kept = fs::read_to_string(&files[0]).unwrap();
    assert!(kept.contains("Always write tests.") && !kept.contains(PROMPT), "{kept}");
}

#[test]
fn each_folder_has_its_own() {
    let server = Stub::answering("yes");
    let home = Home::new(&server);
    home.run_agent("one");
    home.flip("two");
    assert_eq!(primed(&server).len(), 0, "no agent was in that one");
    home.stage.write("question", question("Speak French."));
    home.run_agent("two");
    for (folder, instructions) in [("two", "Speak French."), ("one", "Always write tests.")] {
        home.flip(folder);
        let last = primed(&server).pop().unwrap();
        assert_eq!(last["messages"][1]["content"], told(instructions).as_str());
    }
    assert_eq!((primed(&server).len(), home.files().len()), (2, 2));
    home.stage.write("question", question("Speak Latin."));
    home.run_agent("two");
    home.flip("two");
    assert_eq!(primed(&server).pop().unwrap()["messages"][1]["content"], told("Speak Latin.").as_str());
    assert_eq!(home.files().len(), 2);
}

#[test]
fn plain_answers_leave_nothing_to_read_ahead() {
    let server = Stub::answering("yes");
    let home = Home::new(&server);
    home.stage.cmd("claude").args(&["-p", "hi"]).dir(home.stage.path("one")).run().expect(0, "yes\n", "");
    home.flip("one");
    let chats: Vec<Value> = server.chats().iter().map(|chat| chat.json()["messages"][0]["content"].clone()).collect();
    assert_eq!((chats.len(), &chats[1], home.files().len()), (2, &json!("Hi"), 0), "{chats:?}");
}

#[test]
fn nothing_is_kept_or_read_ahead_if_the_user_does_not_want_that() {
    let server = Stub::answering("yes");
    let mut home = Home::new(&server);
    home.stage.set("LOCAL_LLM_PRIME", "0");
    home.run_agent("one");
    assert_eq!(home.files().len(), 0);
    home.stage.unset("LOCAL_LLM_PRIME");
    home.run_agent("one");
    assert_eq!(home.files().len(), 1);
    home.stage.set("LOCAL_LLM_PRIME", "0");
    home.flip("one");
    assert_eq!(primed(&server).len(), 0);
}

/// A server with one slot: it answers a question only once whoever it reads ahead for has gone.
fn with_one_slot() -> (Stub, Arc<AtomicBool>) {
    let (begun, is_taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let has_begun = begun.clone();
    let stub = Stub::new(move |request, stream| {
        if !request.is_chat() {
            let _ = stream.write_all(json_answer(200, r#"{"status":"ok"}"#).as_bytes());
            return;
        }
        if is_priming(&request.json()) {
            is_taken.store(true, SeqCst);
            begun.store(true, SeqCst);
            // Until the connection is closed.
            let _ = stream.read(&mut [0]);
            is_taken.store(false, SeqCst);
            return;
        }
        let asked = Instant::now();
        while is_taken.load(SeqCst) && asked.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(5));
        }
        let said = if is_taken.load(SeqCst) { "too late" } else { "yes" };
        let _ = stream.write_all(sse(&completion(said)).as_bytes());
    });
    (stub, has_begun)
}

#[test]
fn a_question_ends_the_reading_ahead() {
    for asks_plainly in [true, false] {
        let (server, has_begun) = with_one_slot();
        let home = Home::new(&server);
        home.run_agent("one");
        assert_eq!(home.begin_flip("one").code(), 0);
        until(30, "it reads ahead", || has_begun.load(SeqCst));
        match asks_plainly {
            true => drop(home.stage.cmd("claude").args(&["-p", "hi"]).limit(60).run().expect(0, "yes\n", "")),
            false => home.run_agent("two"),
        }
        home.wait_for_primers();
    }
}

#[test]
fn the_flip_back_ends_it() {
    let (server, has_begun) = with_one_slot();
    let home = Home::new(&server);
    home.run_agent("one");
    assert_eq!(home.begin_flip("one").code(), 0);
    until(30, "it reads ahead", || has_begun.load(SeqCst));
    home.stage.cmd("llm-failover").args(&["-q", "claude"]).run().expect(0, "", "");
    home.wait_for_primers();
}

/// Its place in the server's cache is its own, also between its turns.
#[test]
fn nothing_is_read_ahead_while_an_agent_is_at_work() {
    let server = Stub::answering("yes");
    let home = Home::new(&server);
    home.run_agent("one");
    fs::remove_file(home.stage.path("end")).unwrap();
    let agent = home.begin_agent("two");
    until(30, "it has asked", || home.files().len() == 2);
    home.flip("one");
    assert_eq!(primed(&server).len(), 0);
    home.stage.write("end", "");
    assert_eq!(finish(agent).0, 0);
    home.flip("one");
    assert_eq!(primed(&server).len(), 1);
}

#[test]
fn a_server_that_fails_at_it_changes_nothing() {
    let failures = [json_answer(500, r#"{"error":{"message":"no room"}}"#), String::new(), "nonsense".into()];
    for failure in failures {
        let server = Stub::new(move |request, stream| {
            let _ = match request.is_chat() {
                true if is_priming(&request.json()) => stream.write_all(failure.as_bytes()),
                true => stream.write_all(sse(&completion("yes")).as_bytes()),
                false => stream.write_all(json_answer(200, r#"{"status":"ok"}"#).as_bytes()),
            };
        });
        let home = Home::new(&server);
        home.run_agent("one");
        home.flip("one");
        home.flip("one");
        assert_eq!(primed(&server).len(), 2, "once each time");
        home.run_agent("one");
    }
}

#[test]
fn a_file_that_cannot_be_understood_is_none() {
    let server = Stub::answering("yes");
    let home = Home::new(&server);
    home.run_agent("one");
    let file = home.files().pop().unwrap();
    for text in ["", "{", r#"{"messages":1}"#] {
        fs::write(&file, text).unwrap();
        home.flip("one");
    }
    assert_eq!(primed(&server).len(), 0);
    home.run_agent("one");
    home.flip("one");
    assert_eq!(primed(&server).len(), 1);
}

/// What our server has read ahead.
fn events(home: &Home) -> Vec<String> {
    let begins = |line: &String| line.starts_with("started ") || line.starts_with("asked ");
    let word = |line: String| match line.as_str() {
        "asked <system-reminder>" => "asked something".to_string(),
        line => line.split(' ').take(2).filter(|word| word.parse::<i32>().is_err()).collect::<Vec<_>>().join(" "),
    };
    home.stage.events().into_iter().filter(begins).map(word).collect()
}

#[test]
fn a_server_that_is_started_for_an_agent_reads_ahead() {
    let home = Home::of(Stage::with_server("ok", &[]));
    let echo = home.agent("one").run();
    assert!(echo.code() == 0 && echo.out().contains(PROMPT), "{echo:?}");
    assert_eq!(events(&home), ["started", "asked something"]);
    home.stage.failover(&["-q", "stop"]).expect(0, "", "");
    fs::remove_file(home.stage.path("ask")).unwrap();
    let agent = home.begin_agent("one");
    until(30, "it has read ahead", || events(&home).len() == 4);
    assert!(!fs::read_to_string(home.stage.path("events")).unwrap().rsplit("started").next().unwrap().contains(PROMPT));
    home.wait_for_primers();
    home.stage.write("ask", "");
    let (code, out, _) = finish(agent);
    assert!(code == 0 && out.contains(PROMPT), "{code} {out}");
    assert_eq!(events(&home), ["started", "asked something", "started", "asked something", "asked something"]);
    // It is up now.
    assert_eq!(home.agent("one").run().code(), 0);
    home.wait_for_primers();
    assert_eq!(events(&home).len(), 6);
    home.stage.failover(&["-q", "claude"]).expect(0, "", "");
    home.stage.assert_nothing_runs();
}

#[test]
fn a_server_that_is_started_ahead_of_a_limit_reads_ahead() {
    let warning = json!({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning", "rateLimitType": "five_hour",
                         "utilization": 0.93}});
    let play = acts(&[&init(), &act(say(&warning)), &answer("fine")]);
    let mut home = Home::of(Stage::with_server("ok", &play));
    assert_eq!(home.agent("one").run().code(), 0);
    home.stage.failover(&["-q", "stop"]).expect(0, "", "");
    home.stage.unset("CLAUDE_BIN");
    home.stage.write("flag", "auto");
    home.stage.set("LLM_PREWARM", "yes");
    let ask =
        |folder: &str| home.stage.cmd("claude").args(&["-p", "hi"]).dir(home.stage.path(folder)).run().expect(0, "fine\n", "");
    ask("two");
    until(30, "it is up", || home.stage.failover(&[]).out().contains("local server: UP"));
    home.wait_for_primers();
    assert_eq!(events(&home), ["started", "asked something", "started"], "no agent was in that folder");
    home.stage.failover(&["-q", "stop"]).expect(0, "", "");
    ask("one");
    until(30, "it has read ahead", || events(&home).len() == 5);
    assert_eq!(events(&home)[3..], ["started", "asked something"]);
    let last = fs::read_to_string(home.stage.path("events")).unwrap();
    assert!(!last.rsplit("started").next().unwrap().contains(PROMPT), "{last}");
    home.stage.failover(&["-q", "claude"]).expect(0, "", "");
}
