//! Programs that speak and listen in lines: the conversation is taken over where it fails, and goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::play::{
    OVERLOADED, SAID, Stage, act, acts, answer, answered, assistant_line, init, overload, result_line, say, state, tool,
};
use crate::support::stub::Stub;
use crate::support::{until, wait};

const LINES: [&str; 6] = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];

fn user(text: &str) -> String {
    json!({"type": "user", "message": {"role": "user", "content": text}, "parent_tool_use_id": null, "session_id": ""})
        .to_string()
        + "\n"
}

/// What the local model was asked, one question after the other.
fn asked(stub: &Stub) -> Vec<String> {
    let last = |body: Value| body["messages"].as_array().and_then(|all| all.last()?["content"].as_str().map(str::to_string));
    stub.chats().iter().filter_map(|chat| last(chat.json())).collect()
}

/// The kinds of the lines, with the results' texts.
fn kinds(stdout: &str) -> Vec<String> {
    let kind = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        match line["type"].as_str() {
            Some("result") => format!("result {}", line["result"].as_str().unwrap_or_default()),
            Some("system") => line["subtype"].as_str().unwrap_or_default().to_string(),
            kind => kind.unwrap_or_default().to_string(),
        }
    };
    stdout.lines().map(kind).collect()
}

/// A conversation that is under way.
struct Talk {
    call: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Talk {
    fn new(stage: &Stage) -> Talk {
        let mut call = stage.cmd("claude").args(&LINES).spawn();
        let (stdin, stdout) = (call.stdin.take(), BufReader::new(call.stdout.take().unwrap()));
        Talk { call, stdin, stdout }
    }

    fn say(&mut self, line: &str) {
        self.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Reads on to the next result, and gives its text.
    fn result(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "no result");
            if let Some(text) = kinds(&line)[0].strip_prefix("result ") {
                return text.into();
            }
        }
    }

    /// Ends it: the exit code, what else came on stdout, stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        drop(self.stdin.take());
        let status = wait(&mut self.call, Duration::from_secs(20)).expect("an end");
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.call.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (status.code(), out, err)
    }
}

#[test]
fn a_limit_in_the_first_turn_and_all_that_comes_after_is_answered_here() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &acts(&[&act("line"), &init(), &overload(), &act("line"), &act("exit 1")]));
    let output = stage.cmd("claude").args(&LINES).stdin(user("one") + &user("two")).run();
    assert_eq!((output.code(), output.err().as_str()), (0, SAID));
    let told = kinds(&output.out());
    assert_eq!(told, ["init", "init", "assistant", "result from here", "init", "assistant", "result from here"]);
    assert_eq!(asked(&stub), ["one", "two"]);
    assert_eq!(stage.runs(), 1);
}

#[test]
fn a_limit_in_the_second_turn_leaves_the_first_answer() {
    let stub = Stub::answering("from here");
    let play = acts(&[&act("line"), &init(), &answer("eins"), &act("line"), &init(), &overload(), &act("read"), &act("exit 1")]);
    let stage = Stage::new(&stub, &play);
    let output = stage.cmd("claude").args(&LINES).stdin(user("one") + &user("two")).run();
    assert_eq!((output.code(), output.err().as_str()), (0, SAID));
    let told: Vec<String> = kinds(&output.out()).into_iter().filter(|kind| kind.starts_with("result")).collect();
    assert_eq!(told, ["result eins", "result from here"]);
    assert_eq!(asked(&stub), ["two"]);
}

#[test]
fn a_conversation_goes_on_here_and_ends_with_its_input() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &acts(&[&act("line"), &init(), &overload(), &act("read"), &act("exit 1")]));
    let mut talk = Talk::new(&stage);
    for (number, text) in ["one", "two", "three"].into_iter().enumerate() {
        talk.say(&user(text));
        assert_eq!(talk.result(), "from here");
        assert_eq!(asked(&stub).len(), number + 1);
    }
    assert_eq!(talk.end(), (Some(0), String::new(), SAID.into()));
    assert_eq!(asked(&stub), ["one", "two", "three"]);
    let last = stub.chats()[2].json()["messages"].as_array().unwrap().len();
    assert_eq!(last, 5, "it remembers");
    stage.assert_nothing_runs();
}

const INITIALIZE: &str = "{\"type\":\"control_request\",\"request_id\":\"r1\",\"request\":{\"subtype\":\"initialize\"}}\n";

fn initialized() -> Vec<String> {
    act(say(&json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r1", "response": {}}})))
}

#[test]
fn a_request_that_claude_has_answered_is_not_answered_again() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &acts(&[&act("line"), &initialized(), &act("line"), &init(), &overload(), &act("read")]));
    let output = stage.cmd("claude").args(&LINES).stdin(INITIALIZE.to_string() + &user("one")).run();
    assert_eq!((output.code(), output.err().as_str()), (0, SAID));
    let told = kinds(&output.out());
    assert_eq!(told.iter().filter(|kind| *kind == "control_response").count(), 1, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("result from here"));
}

/// Claude is asked after all, and told again what it has to know.
#[test]
fn a_request_that_we_have_answered_is_not_answered_again() {
    let stub = Stub::raw("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
    let play =
        acts(&[&act("line"), &initialized(), &act("line"), &init(), &answer("eins"), &act("line"), &init(), &answer("zwei")]);
    let stage = Stage::new(&stub, &play);
    stage.open_breaker(false);
    let mut talk = Talk::new(&stage);
    talk.say(INITIALIZE);
    let mut reply = String::new();
    talk.stdout.read_line(&mut reply).unwrap();
    assert_eq!(kinds(&reply), ["control_response"]);
    talk.say(&user("one"));
    assert_eq!(talk.result(), "eins");
    talk.say(&user("two"));
    assert_eq!(talk.result(), "zwei");
    let why = "claude: no local answer: the local server refused: HTTP 500 and no reason; what follows is Claude's\n";
    assert_eq!(talk.end(), (Some(0), String::new(), why.into()));
    assert_eq!(stage.left("stdin.1"), INITIALIZE.to_string() + &user("one") + &user("two"));
}

#[test]
fn if_nobody_answers_here_claude_goes_on() {
    let stub = Stub::raw("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
    let stage =
        Stage::new(&stub, &acts(&[&act("line"), &init(), &overload(), &act("line"), &init(), &answer("zwei"), &act("exit 7")]));
    let mut talk = Talk::new(&stage);
    talk.say(&user("one"));
    assert_eq!(talk.result(), OVERLOADED);
    talk.say(&user("two"));
    assert_eq!(talk.result(), "zwei");
    let why = "claude: no local answer: the local server refused: HTTP 500 and no reason; what follows is Claude's\n";
    assert_eq!(talk.end(), (Some(7), String::new(), why.into()));
    assert_eq!(stage.left("stdin.1"), user("one") + &user("two"));
}

#[test]
fn a_reader_who_goes_early_stops_nobody() {
    let stage = Stage::bare();
    let many: Vec<String> = (0..2000).map(|_| say(&assistant_line("again and again"))).collect();
    stage.play(&acts(&[&init(), &many, &answered("fine"), &act("make done"), &act("exit 7")]));
    let script = "claude -p hi --output-format stream-json --verbose | head -1 >/dev/null; echo ${PIPESTATUS[0]}";
    stage.cmd("/bin/bash").args(&["-c", script]).run().expect(0, "7\n", "");
    stage.wait_for("done");
}

#[test]
fn lines_arrive_byte_for_byte_whatever_they_are() {
    let stage = Stage::bare();
    let odd = "\u{2028}\u{2029}\u{1f600}\\u2028\\ud83d";
    let long = "long ".repeat(1 << 20);
    let lines = [
        "plain text".to_string(),
        String::new(),
        "{broken".into(),
        "5".into(),
        "null".into(),
        "[1,2]".into(),
        "{\"type\":5}".into(),
        "{\"type\":\"result\"".into(),
        format!("{{\"type\":\"system\",\"subtype\":\"new in some version\",\"text\":\"{odd}\"}}"),
        assistant_line(odd).to_string(),
        assistant_line(&long).to_string(),
        result_line(&format!("{odd}{long}")).to_string(),
    ];
    let says: Vec<String> = lines.iter().map(|line| format!("say {line}")).collect();
    stage.play(&acts(&[&init()[..1], &says]));
    let first = &init()[0][4..];
    let expected: String = [first].into_iter().chain(lines.iter().map(String::as_str)).map(|line| format!("{line}\n")).collect();
    let output = stage.cmd("claude").args(&["-p", "hi", "--output-format", "stream-json", "--verbose"]).run();
    assert!(output.out() == expected && output.code() == 0 && output.stderr.is_empty());
    // What is no line of the stream reaches the caller in each format.
    let text = lines[..8].join("\n");
    stage.ask("hi").expect(0, &format!("{text}\n{odd}{long}\n"), "");
    let output = stage.cmd("claude").args(&["-p", "hi", "--output-format", "json"]).run();
    assert!(output.out() == format!("{text}\n{}\n", lines.last().unwrap()));
}

#[test]
fn a_caller_who_says_nothing_gets_nothing() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &act("read"));
    stage.cmd("claude").args(&LINES).stdin("").run().expect(0, "", "");
    stage.open_breaker(false);
    stage.cmd("claude").args(&LINES).stdin("").run().expect(0, "", "");
    assert_eq!(asked(&stub).len(), 0);
}

/// A caller who thinks is no stall, and a stall in a later turn is one.
#[test]
fn a_silence_of_the_callers_is_no_stall() {
    let stub = Stub::answering("from here");
    let play = acts(&[&act("line"), &init(), &answer("eins"), &act("line"), &init(), &act("wait never")]);
    let mut stage = Stage::new(&stub, &play);
    stage.set("LLM_FAILOVER_STALL", "1");
    let mut talk = Talk::new(&stage);
    std::thread::sleep(Duration::from_millis(1500));
    talk.say(&user("one"));
    assert_eq!(talk.result(), "eins");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(asked(&stub).len(), 0);
    talk.say(&user("two"));
    assert_eq!(talk.result(), "from here");
    let said = "claude: Claude cannot be reached; the local model answers\n";
    assert_eq!(talk.end(), (Some(0), String::new(), said.into()));
    assert_eq!(asked(&stub), ["two"]);
    stage.assert_nothing_runs();
}

/// Input that nobody can read is refused as Claude would have refused it.
#[test]
fn a_line_that_is_no_line_is_claudes_to_refuse() {
    let stub = Stub::answering("from here");
    let said = "Error parsing streaming input line (type=unknown, 3 chars): SyntaxError";
    let stage = Stage::new(&stub, &acts(&[&act("read"), &act(format!("err {said}")), &act("exit 1")]));
    stage.cmd("claude").args(&LINES).stdin("xyz\n").run().expect(1, "", &format!("{said}\n"));
    stage.open_breaker(false);
    stage.cmd("claude").args(&LINES).stdin("xyz\n").run().expect(1, "", &format!("{said}\n"));
}

/// What is said while a tool runs, Claude Code hears with the tool's result, and answers in the same turn.
#[test]
fn what_was_said_while_a_tool_ran_is_not_answered_again() {
    let stub = Stub::answering("from here");
    let play = acts(&[
        &act("line"),
        &init(),
        &act("wait said"),
        &act("line"),
        &tool(),
        &answer("eins und zwei"),
        &act("line"),
        &init(),
        &overload(),
        &act("read"),
    ]);
    let stage = Stage::new(&stub, &play);
    let mut talk = Talk::new(&stage);
    talk.say(&user("one"));
    talk.say(&user("two"));
    stage.make("said");
    assert_eq!(talk.result(), "eins und zwei");
    talk.say(&user("three"));
    assert_eq!(talk.result(), "from here");
    assert_eq!(talk.end(), (Some(0), String::new(), SAID.into()));
    assert_eq!(asked(&stub), ["three"]);
    let told = stub.chats()[0].json()["messages"].to_string();
    assert!(told.contains("eins und zwei"), "it remembers: {told}");
}

/// Up to 2.1.20 an interrupted turn ends as one whose stream was cut.
#[test]
fn an_interrupt_is_no_outage() {
    let stub = Stub::answering("from here");
    let text = json!([{"type": "text", "text": "[Request interrupted by user]"}]);
    let said = json!({"type": "user", "message": {"role": "user", "content": text}, "parent_tool_use_id": null});
    let end = json!({"type": "result", "subtype": "error_during_execution", "is_error": false, "num_turns": 2, "errors": []});
    let stage = Stage::new(&stub, &acts(&[&act("line"), &init(), &[say(&said), say(&end)]]));
    let output = stage.cmd("claude").args(&LINES).stdin(user("one")).run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""));
    assert_eq!(kinds(&output.out()), ["init", "user", "result "]);
    assert_eq!((stub.chats().len(), stage.breaker()), (0, None));
}

/// With a line in its queue it would go on by itself, beside the local answer to the same line.
#[test]
fn a_refused_claude_does_not_go_on_with_what_waits() {
    let mut stage = Stage::bare();
    let stub = Stub::waiting(stage.path("real/go"), "from here");
    stage.set("LOCAL_LLM_URL", stub.url());
    stage.play(&acts(&[&act("line"), &act("line"), &init(), &overload(), &act("wait go"), &act("make effect")]));
    let mut talk = Talk::new(&stage);
    talk.say(&(user("one") + &user("two")));
    until(20, "the local model is asked", || !stub.chats().is_empty());
    let claude = stage.run(1).pid;
    until(20, "it is stopped", || state(claude) == Some('T'));
    stage.make("go");
    assert_eq!(talk.result(), "from here");
    assert_eq!(talk.result(), "from here");
    assert_eq!(talk.end().0, Some(0));
    assert!(!stage.path("real/effect").exists());
}

/// It compacts the conversation, and says so.
#[test]
fn work_before_an_answer_is_no_stall() {
    let stub = Stub::answering("from here");
    let busy = json!({"type": "system", "subtype": "status", "status": "compacting", "session_id": "s"});
    let play = acts(&[&act("line"), &init(), &[say(&busy)], &act("sleep 1800"), &answer("eins")]);
    let mut stage = Stage::new(&stub, &play);
    stage.set("LLM_FAILOVER_STALL", "1");
    let mut talk = Talk::new(&stage);
    talk.say(&user("one"));
    assert_eq!(talk.result(), "eins");
    assert_eq!(talk.end(), (Some(0), String::new(), String::new()));
    assert_eq!(stub.chats().len(), 0);
}
