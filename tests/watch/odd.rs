//! Odd surroundings: wrappers, calls within calls, no home, and what is no text.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::support::play::{OVERLOADED, SAID, Stage, act, acts, answer, answered, init, init_line, refused, result_line, say};
use crate::support::stub::Stub;
use crate::support::until;

/// Puts another folder between ours and the real one on PATH.
fn with_wrapper(stub: &Stub, play: &[String], script: &str) -> Stage {
    let mut stage = Stage::new(stub, play);
    stage.script("wrap/claude", script);
    let path = ["bin", "wrap", "real"].map(|dir| stage.path(dir));
    let path: Vec<_> = path.into_iter().chain(["/usr/bin".into(), "/bin".into()]).collect();
    stage.set_path(&path);
    stage
}

const WRAPPERS: [&str; 3] = [
    "#!/bin/sh\nexec claude \"$@\"\n",
    "#!/bin/sh\n\"$HOME/real/claude\" \"$@\"\n",
    "#!/bin/sh\nexport WRAPPED=1\nexec \"$HOME/real/claude\" \"$@\"\n",
];

#[test]
fn a_wrapper_changes_nothing() {
    for script in WRAPPERS {
        let stub = Stub::answering("from here");
        let stage = with_wrapper(&stub, &acts(&[&act("read"), &init(), &answer("fine"), &act("exit 7")]), script);
        stage.cmd("claude").args(&["-p", "hi"]).stdin("input").run().expect(7, "fine\n", "");
        assert_eq!((stage.runs(), stage.left("stdin.1").as_str()), (1, "input"), "{script}");
        stage.play(&refused());
        stage.ask("hi").expect(0, "from here\n", SAID);
        assert_eq!((stage.runs(), stub.chats().len()), (2, 1), "{script}");
        stage.assert_nothing_runs();
    }
}

#[test]
fn a_call_within_a_call_is_a_call() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &[]);
    stage.play_in(1, &acts(&[&act("sh claude -p inner >$0/inner 2>&1"), &answered("outer")]));
    stage.play_in(2, &answered("inner"));
    stage.ask("hi").expect(0, "outer\n", "");
    assert_eq!((stage.left("inner").as_str(), stage.runs()), ("inner\n", 2));
    // The inner one is refused.
    stage.play_in(3, &acts(&[&act("sh claude -p inner >$0/inner 2>&1"), &answered("outer")]));
    stage.play_in(4, &refused());
    stage.ask("hi").expect(0, "outer\n", "");
    assert_eq!((stage.left("inner"), stage.runs()), (format!("{SAID}from here\n"), 4));
}

#[test]
fn one_that_is_ourselves_is_not_the_real_one() {
    let mut stage = Stage::bare();
    stage.play(&answered("fine"));
    let ours = stage.path("bin/claude");
    stage.set("CLAUDE_BIN", ours);
    stage.ask("hi").expect(0, "fine\n", "claude: warning: CLAUDE_BIN cannot be used; running `[HOME]/real/claude`\n");
}

#[test]
fn without_a_real_one_the_local_model_answers() {
    let stub = Stub::answering("from here");
    let mut stage = Stage::new(&stub, &[]);
    let path = [stage.path("bin"), "/usr/bin".into(), "/bin".into()];
    stage.set_path(&path);
    stage.ask("hi").expect(0, "from here\n", "");
}

#[test]
fn without_a_home_claude_is_as_it_is() {
    let mut stage = Stage::bare();
    stage.set("HOME", "no/home");
    // It is not asked for its stream, and says so.
    let said = |what: &str| {
        format!(
            "claude: warning: {what}, so the switch's `auto` has no place for what it knows: using claude\nnot asked for its stream\n"
        )
    };
    stage.ask("hi").expect(99, "", &said("HOME is no absolute path"));
    let gone = stage.path("no/home");
    stage.set("HOME", gone);
    stage.ask("hi").expect(99, "", &said("HOME `[HOME]/no/home` is no folder"));
    assert!(!stage.path("no").exists(), "and none is made");
    let status = stage.failover(&["status"]);
    let warning = "llm-failover: warning: HOME `[HOME]/no/home` is no folder, so the switch's `auto` has no place for what it knows: using claude\n";
    assert_eq!((status.code(), status.err().as_str()), (0, warning));
}

#[test]
fn the_other_name_and_the_settings_file_do_the_same() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &refused());
    let call = |name: &str| stage.cmd(name).args(&["-p", "hi"]).run();
    call("agent-llm").expect(0, "from here\n", &SAID.replace("claude:", "agent-llm:"));
    stage.write(".config/claude-failover/config.env", "LLM_FAILOVER_POLICY=fail\n");
    call("claude").expect(75, &format!("{OVERLOADED}\n"), "");
}

#[test]
fn what_is_no_text_arrives_as_it_is() {
    let stage = Stage::bare();
    stage.play(&acts(&[&act("sh env >$0/environment"), &answered("fine")]));
    let odd = OsStr::from_bytes(b"\xff\xfe=\n x");
    let cmd = stage.cmd("claude").arg("-p").arg(odd).arg("").arg("--model").arg("caf\u{e9}");
    let names = ["ODD", "ANTHROPIC_MODEL", "LLM_FAILOVER_QUIET", "CLAUDE_CODE_SESSION"];
    names.iter().fold(cmd, |cmd, name| cmd.env(name, odd)).run().expect(0, "fine\n", "");
    let record = fs::read(stage.path("real/run.1")).unwrap();
    let args: Vec<&[u8]> = record.split(|byte| *byte == 0).skip(1).collect();
    let added: [&[u8]; 4] = [b"--output-format", b"stream-json", b"--verbose", b"--include-partial-messages"];
    let own: [&[u8]; 6] = [b"-p", odd.as_bytes(), b"", b"--model", "caf\u{e9}".as_bytes(), b"\n"];
    assert_eq!(args, [&added[..], &own].concat());
    let environment = fs::read(stage.path("real/environment")).unwrap();
    for name in names {
        let entry = [name.as_bytes(), b"=", odd.as_bytes(), b"\n"].concat();
        assert!(memchr::memmem::find(&environment, &entry).is_some(), "{name}");
    }
}

#[test]
fn settings_that_are_no_text_are_named() {
    let mut stage = Stage::bare();
    stage.play(&answered("fine"));
    for (key, rest) in [("LLM_FAILOVER_RETRIES", "2"), ("LLM_FAILOVER_STALL", "120")] {
        stage.set(key, OsStr::from_bytes(b"\xff"));
        let said = format!("claude: warning: {key} is `…`: expected UTF-8 text; using {rest}\n");
        stage.ask("hi").expect(0, "fine\n", &said);
        stage.unset(key);
    }
}

#[test]
fn nothing_is_added_to_what_claude_has_open() {
    let stage = Stage::bare();
    stage
        .play(&acts(&[&act("sh for n in 3 4 5 6 7 8 9; do (: <&$n) 2>/dev/null && echo $n >>$0/open; done"), &answered("fine")]));
    let script = "exec 3>&- 4>&- 5</dev/null 6>&- 7>&- 8>&- 9>&-; exec claude -p hi </dev/null";
    stage.cmd("/bin/sh").args(&["-c", script]).run().expect(0, "fine\n", "");
    assert_eq!(stage.left("open"), "5\n");
}

#[test]
fn long_arguments_arrive_and_too_long_ones_are_refused_as_ever() {
    let stage = Stage::bare();
    stage.play(&answered("fine"));
    let long = "x".repeat(120_000);
    stage.cmd("claude").arg("-p").args(&[&long; 8]).run().expect(0, "fine\n", "");
    let run = stage.run(1);
    assert!(run.args[5..] == vec![long; 8], "{} arguments", run.args.len());
    // Such as a stray file that is no program.
    let stage = Stage::bare();
    stage.script("real/claude", "#!/no/such/interpreter\n");
    let said = "claude: cannot run `[HOME]/real/claude`: its interpreter `/no/such/interpreter` is missing\n";
    stage.ask("hi").expect(126, "", said);
    stage.assert_nothing_runs();
}

#[test]
fn a_full_disk_is_told() {
    let stage = Stage::bare();
    for code in [0, 7] {
        stage.play(&acts(&[&init(), &answer("fine"), &act(format!("exit {code}"))]));
        for format in ["text", "json"] {
            let script = format!("exec claude -p hi --output-format {format} </dev/null >/dev/full");
            let output = stage.cmd("/bin/sh").args(&["-c", &script]).run();
            output.expect(code.max(1), "", "claude: cannot write `stdout`: no space left on device\n");
        }
    }
}

#[test]
fn closed_streams_harm_nothing() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &[]);
    for (play, stdout, stderr) in [(answered("fine"), "fine\n", ""), (refused(), "from here\n", SAID)] {
        stage.play(&play);
        for (redirection, stdout, stderr) in [(">&-", "", stderr), ("2>&-", stdout, ""), ("<&- >&- 2>&-", "", "")] {
            let script = format!("exec 2>&2 {redirection}; exec claude -p hi");
            stage.cmd("/bin/sh").args(&["-c", &script]).run().expect(0, stdout, stderr);
        }
    }
}

#[test]
fn a_server_is_started_ahead_if_the_user_wants_that() {
    let warning = json!({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning", "rateLimitType": "five_hour",
                         "utilization": 0.93}});
    let play = acts(&[&init(), &act(say(&warning)), &act("wait go"), &answer("fine")]);
    let mut stage = Stage::with_server("ok", &play);
    stage.make("go");
    stage.ask("hi").expect(0, "fine\n", "");
    for value in ["0", "False", "no", " off ", ""] {
        stage.set("LLM_PREWARM", value);
        stage.ask("hi").expect(0, "fine\n", "");
    }
    stage.set("LLM_PREWARM", "soon");
    let warning = "claude: warning: LLM_PREWARM is `soon`: expected 1/true/yes/on or 0/false/no/off; using no\n";
    stage.ask("hi").expect(0, "fine\n", warning);
    for (times, value) in ["1", "True", "yes", " on "].into_iter().enumerate() {
        assert_eq!(stage.started().len(), times, "before {value}");
        fs::remove_file(stage.path("real/go")).unwrap();
        stage.set("LLM_PREWARM", value);
        let call = stage.begin("claude", &["-p", "hi"]);
        until(20, "it is up", || stage.failover(&[]).out().contains("local server: UP"));
        stage.make("go");
        assert_eq!(crate::support::play::finish(call), (0, "fine\n".into(), String::new()));
        assert_eq!(stage.started().len(), times + 1, "after {value}");
        stage.failover(&["stop"]);
    }
}

/// Nothing may stand behind a variadic option that was not there before.
#[test]
fn a_prompt_behind_the_format_stays_a_prompt() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &answer("fine")]));
    let args = ["-p", "--allowedTools", "Read", "--output-format", "text", "what is this"];
    stage.cmd("claude").args(&args).run().expect(0, "fine\n", "");
    let given = stage.run(1).args;
    let expected = ["-p", "--allowedTools", "Read", "--verbose", "what is this"];
    assert_eq!(given[given.len() - expected.len()..], expected);
}

/// The kernel tells nobody of the end of our child, if whoever started us does not want to know of theirs.
#[test]
fn a_caller_who_ignores_the_ends_of_children_gets_its_answer() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &answer("fine"), &act("exit 7")]));
    let script = "trap '' CHLD; exec claude -p hi";
    stage.cmd("/bin/bash").args(&["-c", script]).run().expect(7, "fine\n", "");
}

/// Claude Code 2.0.76 prints what a slash command says as a line of the user's, and marks it as repeated.
#[test]
fn what_a_slash_command_says_is_passed_on() {
    let said = json!({"type": "user", "isReplay": true, "message": {"role": "user", "content": "<local-command-stdout>none"}});
    let (init, result) = (init_line(), result_line(""));
    let stage = Stage::new(&Stub::answering("from here"), &[say(&init), say(&said), say(&result)]);
    let args = ["-p", "/cost", "--verbose", "--output-format"];
    let expected = format!("{init}\n{said}\n{result}\n");
    stage.cmd("claude").args(&args).arg("stream-json").run().expect(0, &expected, "");
    stage.cmd("claude").args(&args).arg("json").run().expect(0, &format!("[{init},{said},{result}]\n"), "");
    stage.cmd("claude").args(&args).arg("text").run().expect(0, "\n", "");
}
