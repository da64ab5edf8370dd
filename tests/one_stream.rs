//! Programs that start us with `> file 2>&1` and parse the file, and people who want nothing on stderr.

use serde_json::Value;

use crate::support::life::Life;
use crate::support::play::{SAID, Stage, act, acts, answered, init, overload, refused, tool};
use crate::support::stub::{Stub, json as json_answer};
use crate::support::{Cmd, Sandbox, free_port, run_into_one};

/// How a program asks for JSON. Each value of the last word is one line or more.
pub const FORMATS: [&[&str]; 4] = [
    &["--output-format", "json"],
    &["--output-format", "json", "--verbose"],
    &["--verbose", "--output-format=stream-json"],
    &["--output-format", "text", "--output-format", "stream-json", "--verbose", "--include-partial-messages"],
];

/// Every line is JSON, and the last one ends with a result, which is given.
#[track_caller]
pub fn parse(text: &str) -> Value {
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?} in {text}")))
        .collect();
    let last = lines.last().unwrap_or_else(|| panic!("nothing: {text:?}"));
    let result = last.as_array().and_then(|array| array.last()).unwrap_or(last);
    assert_eq!(result["type"], "result", "{text}");
    result.clone()
}

/// In every format, with both streams in one file or pipe, there is JSON alone; in two, this is on stderr, and nothing is if the
/// user wants it so.
#[track_caller]
fn compare(sandbox: &mut Sandbox, args: &[&str], code: i32, said: &str) {
    for format in FORMATS {
        for is_pipe in [false, true] {
            let mut cmd = sandbox.cmd("claude").args(&["-p", "hi"]).args(args).args(format).limit(60);
            let (ended, text) = run_into_one(&mut cmd, is_pipe);
            assert_eq!(ended, code, "{text}");
            assert_eq!(parse(&text)["is_error"], code != 0, "{text}");
        }
    }
    let call = |sandbox: &Sandbox, format: &[&str]| -> Cmd {
        sandbox.cmd("claude").args(&["-p", "hi"]).args(args).args(format).limit(60)
    };
    for format in [FORMATS[0], &[]] {
        let output = call(sandbox, format).run();
        assert_eq!((output.code(), output.err().as_str()), (code, said), "{}", output.out());
    }
    // Text is for people, who read both.
    let (_, text) = run_into_one(&mut call(sandbox, &[]), false);
    let text = text.replace(&*sandbox.home().to_string_lossy(), "[HOME]");
    assert!(said.lines().all(|line| text.lines().any(|other| other == line)), "{text:?} without {said:?}");
    sandbox.set("LLM_FAILOVER_QUIET", "1");
    for format in [FORMATS[0], FORMATS[2], &[]] {
        let output = call(sandbox, format).run();
        assert_eq!((output.code(), output.err().as_str()), (code, ""), "{}", output.out());
    }
    sandbox.unset("LLM_FAILOVER_QUIET");
}

const JUNK: &str =
    "claude-failover: warning: `[HOME]/.config/claude-failover/config.env` line 1 is not KEY=VALUE and is ignored\n";

fn junk(sandbox: &Sandbox) {
    sandbox.write(".config/claude-failover/config.env", "junk\n");
}

#[test]
fn a_plain_answer() {
    let stub = Stub::answering("from here");
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.switch("local");
    compare(&mut sandbox, &[], 0, "");
    junk(&sandbox);
    compare(&mut sandbox, &[], 0, JUNK);
    // Without the tools that it asks for.
    let said = format!("{JUNK}claude: no real Claude Code on this machine: answered without its tools\n");
    compare(&mut sandbox, &["--allowedTools", "Bash"], 0, &said);
}

/// The answer that had begun is told on stderr, beside the error.
#[test]
fn a_plain_answer_that_breaks_off() {
    use crate::support::stub::{piece, sse};
    let stub = Stub::raw(sse(&piece("half an")));
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.switch("local");
    for is_pipe in [false, true] {
        let (code, text) = run_into_one(&mut sandbox.cmd("claude").args(&["-p", "hi"]).args(FORMATS[0]), is_pipe);
        assert_eq!((code, &parse(&text)["is_error"]), (1, &true.into()), "{text}");
    }
    let output = sandbox.cmd("claude").args(&["-p", "hi"]).args(FORMATS[0]).run();
    assert_eq!(output.err(), "claude: this much of the answer had come:\nhalf an\n");
}

#[test]
fn a_server_that_is_started_first() {
    for is_quiet in [false, true] {
        let mut life = Life::new("ok");
        life.switch("local\n");
        if is_quiet {
            life.set("LLM_FAILOVER_QUIET", "1");
            life.cmd("claude").args(&["-p", "hi"]).limit(60).run().expect(0, "echo: hi\n", "");
        } else {
            let (code, text) = run_into_one(&mut life.cmd("claude").args(&["-p", "hi"]).args(FORMATS[2]).limit(60), false);
            assert_eq!((code, &parse(&text)["result"]), (0, &"echo: hi".into()), "{text}");
        }
        life.unset("LLM_FAILOVER_QUIET");
        life.flip_to_claude();
    }
}

#[test]
fn a_call_that_the_local_model_takes_over() {
    let stub = Stub::answering("from here");
    let mut stage = Stage::new(&stub, &refused());
    stage.set("LLM_FAILOVER_RETRIES", "0");
    junk(&stage);
    compare(&mut stage, &[], 0, &format!("{JUNK}{SAID}"));
}

#[test]
fn a_call_that_no_local_model_takes_over() {
    let mut stage = Stage::bare();
    stage.play(&refused());
    let url = format!("http://127.0.0.1:{}/v1/chat/completions", free_port());
    stage.set("LOCAL_LLM_URL", &url);
    let output = stage.cmd("claude").args(&["-p", "hi"]).args(FORMATS[0]).run();
    let said = output.err();
    assert!(said.contains("no local answer: ") && said.ends_with("; what follows is Claude's\n"), "{said}");
    compare(&mut stage, &[], 1, &said);
}

/// The next call would go to the local model at once.
#[test]
fn a_refusal_after_the_work_has_begun() {
    let stub = Stub::answering("never asked");
    let stage = |quiet: &str| {
        let mut stage = Stage::new(&stub, &acts(&[&init(), &tool(), &overload(), &act("exit 1")]));
        stage.set("LLM_FAILOVER_RESUME", "never");
        stage.set("LLM_FAILOVER_QUIET", quiet);
        stage
    };
    for format in FORMATS {
        let (code, text) = run_into_one(&mut stage("").cmd("claude").args(&["-p", "hi"]).args(format), false);
        assert_eq!((code, &parse(&text)["is_error"]), (1, &true.into()), "{text}");
    }
    for (quiet, is_said) in [("", true), ("1", false)] {
        let output = stage(quiet).cmd("claude").args(&["-p", "hi"]).args(FORMATS[0]).run();
        assert_eq!(output.err().contains("this call is not answered again locally"), is_said, "{}", output.err());
        assert_eq!(output.err().is_empty(), !is_said);
    }
    assert!(stub.chats().is_empty());
}

#[test]
fn claudes_own_answer() {
    let stub = Stub::raw(json_answer(404, "{}"));
    let mut stage = Stage::new(&stub, &answered("fine"));
    junk(&stage);
    compare(&mut stage, &[], 0, JUNK);
}

/// What ends the call is told all the same, as Claude Code tells it.
#[test]
fn errors_stay() {
    let mut sandbox = Sandbox::new();
    sandbox.switch("local");
    let unknown = "error: unknown option '--nonsense'\n";
    for quiet in ["0", "1"] {
        sandbox.set("LLM_FAILOVER_QUIET", quiet);
        sandbox.cmd("claude").args(&["-p", "hi", "--nonsense"]).run().expect(1, "", unknown);
        let mut call = sandbox.cmd("claude").args(&["-p", "hi", "--nonsense"]).args(FORMATS[2]);
        assert_eq!(run_into_one(&mut call, false), (1, unknown.into()));
        sandbox.switch("claude");
        let output = sandbox.cmd("claude").args(&["-p", "hi"]).run();
        assert_eq!(output.code(), 127);
        assert!(output.err().starts_with("claude: the real Claude Code was not found\n"), "{}", output.err());
        sandbox.switch("local");
    }
}
