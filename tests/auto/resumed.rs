//! A refusal in the middle of the work: the same session goes on with the local model, and nothing is done twice.

use std::path::Path;

use serde_json::{Value, json};

use super::{Format, LIMIT, TODAY, Version, clock, each, in_two_hours, same, sandbox, sign_in};
use crate::strict_parsers;
use crate::support::messages_api::{self, is_of_the_call, questions_of_the_call, replying};
use crate::support::script::{Manner, Reply, Script, calls, says};
use crate::support::stub::Stub;
use crate::support::{Output, Sandbox, deps};

const MODEL: &str = "tiny";

/// Versions whose sessions go on.
const VERSIONS: [Version; 4] = [(1, 0, 128), (2, 0, 76), (2, 1, 110), TODAY];

/// Claude has tools write a word each, and refuses the third time.
fn api() -> Stub {
    replying(|question| {
        let done = question["messages"].to_string().matches("\"tool_result\"").count();
        match done {
            _ if !is_of_the_call(question) => messages_api::Reply::Text("aside".into()),
            0 => messages_api::Reply::Use("Bash".into(), write("one")),
            1 => messages_api::Reply::Use("Bash".into(), write("two")),
            _ => messages_api::limit("five_hour", in_two_hours().as_second()),
        }
    })
}

/// Without what 2.1.330 says of the model, too.
#[test]
fn a_quiet_session_goes_on() {
    let tried = run(TODAY, Format::Json, &[], |sandbox| sandbox.set("LLM_FAILOVER_QUIET", "1"), local());
    assert_eq!((tried.output.code(), tried.output.err(), tried.work().as_str()), (0, String::new(), "one\ntwo\nthree\n"));
}

fn write(word: &str) -> Value {
    json!({"command": format!("echo {word} >> work.txt"), "description": "writes a word"})
}

/// The local model writes a word of its own.
fn local() -> Script {
    Script::new(Manner::Pieces, 65_536, [calls(&[("Bash", write("three"))]), says("All of it is done.")])
}

struct Tried {
    output: Output,
    sandbox: Sandbox,
    local: Script,
}

impl Tried {
    /// What the tools have done, each word as often as its tool ran.
    fn work(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("work").join("work.txt")).unwrap_or_default()
    }
}

fn run(version: Version, format: Format, more: &[&str], change: impl FnOnce(&mut Sandbox), local: Script) -> Tried {
    let api = api();
    let mut sandbox = sandbox(version, &api, &Stub::answering("never asked"));
    sandbox.set("LOCAL_LLM_URL", local.url());
    sandbox.set("LOCAL_LLM_MODEL", MODEL);
    // Root may not skip permissions anywhere else.
    sandbox.set("IS_SANDBOX", "1");
    sign_in(&mut sandbox);
    change(&mut sandbox);
    let args = [&["-p", "Do the work.", "--dangerously-skip-permissions"], format.args(), more].concat();
    let output = sandbox.cmd("claude").args(&args).dir(sandbox.path("work")).limit(LIMIT).run();
    assert!(questions_of_the_call(&api).len() >= 3, "{}", output.err());
    Tried { output, sandbox, local }
}

fn said() -> String {
    let until = clock(in_two_hours());
    format!("claude: Claude is at its 5-hour limit until {until}; the local model `{MODEL}` goes on with the session\n")
}

/// Stderr without what 2.1.330 says of each model that is not Claude's.
fn stderr(output: &Output) -> String {
    output.err().split_inclusive('\n').filter(|line| !line.starts_with("[claude-code:unrecognized_model] ")).collect()
}

#[test]
fn the_session_goes_on_and_nothing_is_done_twice() {
    let mut cases: Vec<(Version, Format)> = vec![(TODAY, Format::Json), (TODAY, Format::Partials)];
    let formats = [Format::Text, Format::Json, Format::Stream, Format::Text];
    cases.extend(VERSIONS.into_iter().zip(formats));
    each(&cases, |(version, format)| {
        let tried = run(*version, *format, &[], |_| {}, local());
        same("exit code", 0, tried.output.code())?;
        same("stderr", said(), stderr(&tried.output))?;
        same("work", "one\ntwo\nthree\n".to_string(), tried.work())?;
        let questions = tried.local.questions();
        same("questions", 2, questions.len())?;
        let messages = questions[0]["messages"].to_string();
        same("tools that ran before are known", true, messages.contains("echo one") && messages.contains("echo two"))?;
        same("why", true, messages.contains("in the middle of this work"))?;
        let secrets = tried.local.seen().iter().any(|request| format!("{request:?}").contains("sk-ant"));
        same("secrets reached the local server", false, secrets)?;
        if *format == Format::Text {
            return same("stdout", "All of it is done.\n".to_string(), tried.output.out());
        }
        let out = tried.output.out();
        if matches!(format, Format::Stream | Format::Partials) {
            strict_parsers::check(&out)?;
        }
        let results: Vec<Value> = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let results: Vec<&Value> = results.iter().filter(|line| line["type"] == "result").collect();
        same("results", 1, results.len())?;
        let mark = json!({"backend": "local", "reason": "five_hour", "until": in_two_hours().to_string(), "resumed": true});
        same("mark", &mark, &results[0]["failover"])?;
        same("provider", &json!("local"), &results[0]["modelUsage"][MODEL]["provider"])?;
        same("result", &json!("All of it is done."), &results[0]["result"])?;
        same("is_error", &json!(false), &results[0]["is_error"])?;
        same("names the refusal", false, out.contains("hit your"))
    });
}

/// What the model's server says to everything that is longer than its context.
fn narrow() -> Script {
    let body = r#"{"error":{"message":"request (12822 tokens) exceeds the available context size (8192 tokens)","n_prompt_tokens":12822,"n_ctx":8192}}"#;
    Script::new(Manner::Pieces, 8192, (0..40).map(|_| Reply::Refuses(400, body.into())))
}

#[test]
fn a_session_of_an_sdk_keeps_its_hooks() {
    let goes_on = "hook echo one >> work.txt\nhook echo two >> work.txt\nhook echo three >> work.txt\nAll of it is done.\nYes.\n";
    // The next prompt is Claude's again, which still refuses; there is no tool in that turn, and a local answer fails.
    let cannot = "hook echo one >> work.txt\nhook echo two >> work.txt\nfailure\nfailure\n";
    let replies = || [calls(&[("Bash", write("three"))]), says("All of it is done."), says("Yes.")];
    for (local, expected) in [(Script::new(Manner::Pieces, 65_536, replies()), goes_on), (narrow(), cannot)] {
        let api = api();
        let mut sandbox = sandbox(TODAY, &api, &Stub::answering("never asked"));
        sandbox.set("LOCAL_LLM_URL", local.url());
        sandbox.set("LOCAL_LLM_MODEL", MODEL);
        sandbox.set("IS_SANDBOX", "1");
        sign_in(&mut sandbox);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/resumed.py");
        let cmd = sandbox.cmd(deps().join("sdk-py/bin/python")).arg(script).arg(sandbox.path("bin/claude"));
        let output = cmd.dir(sandbox.path("work")).limit(LIMIT).run();
        assert_eq!(output.out(), expected, "{}", output.err());
        let work = std::fs::read_to_string(sandbox.path("work").join("work.txt")).expect("some work");
        assert_eq!(work, if expected == goes_on { "one\ntwo\nthree\n" } else { "one\ntwo\n" });
    }
}

#[test]
fn where_it_cannot_go_on_the_failure_is_claudes() {
    let never = |sandbox: &mut Sandbox| {
        sandbox.set("LLM_FAILOVER_RESUME", "never");
    };
    let as_before = |tried: &Tried| {
        assert_eq!(tried.output.code(), 1, "{}", tried.output.err());
        let result: Value = serde_json::from_str(&tried.output.out()).expect("a result");
        assert_eq!((&result["is_error"], &result["failover"]), (&json!(true), &Value::Null), "{result}");
        assert_eq!(tried.work(), "one\ntwo\n");
    };

    let off = run(TODAY, Format::Json, &[], never, local());
    as_before(&off);
    assert!(
        off.output.err().contains("tools have run, so this call is not answered again locally; go on later"),
        "{}",
        off.output.err()
    );
    assert_eq!(off.local.questions().len(), 0);

    let forgetful = run(TODAY, Format::Json, &["--no-session-persistence"], |_| {}, local());
    as_before(&forgetful);
    assert_eq!(forgetful.local.questions().len(), 0);

    let narrow = run(TODAY, Format::Json, &[], |_| {}, narrow());
    as_before(&narrow);
    assert!(stderr(&narrow.output).contains("claude: no local answer: Prompt is too long"), "{}", narrow.output.err());
}
