//! How the doctor prints: lines, colours and JSON; its exit codes; and what it does with a message.

use std::fs;

use serde_json::{Value, json};

use super::stub_model::{Fault, Program, model};
use super::{doctor, healthy, lines, without_numbers};
use crate::support::life::python;
use crate::support::play::{Stage, answered, refused};
use crate::support::{Sandbox, free_port};

/// Asks the API that it is given, as Claude Code does, and then plays its part.
const ASKS: &str = r#"
import json, os, sys, urllib.request
prompt = sys.argv[sys.argv.index("-p") + 1]
body = {"tools": [{"name": "Bash"}], "messages": [{"role": "user", "content": prompt}]}
request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(), method="POST")
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError:
    real = os.path.expanduser("~/real/claude")
    os.execv(real, [real] + sys.argv[1:])
"#;

#[test]
fn the_whole_way_is_played_and_all_is_well() {
    let stub = model(Program::Llama(65_536), Fault::Nothing);
    let mut stage = Stage::new(&stub, &refused());
    let claude = stage.script("asks/claude", &format!("#!{}\n{ASKS}", python().display()));
    stage.write("package.json", r#"{"name":"@anthropic-ai/claude-code","version":"2.1.330"}"#);
    stage.set("CLAUDE_BIN", claude);
    let before = stage.switch_word();
    let output = stage.cmd("llm-failover").args(&["doctor", "--quick"]).limit(60).run();
    let drill = lines(&output, &["drill"]).iter().map(|line| without_numbers(line)).collect::<Vec<_>>();
    assert_eq!(drill, ["ok drill a call at a limit was answered locally, N s in all"]);
    let last = output.out().lines().last().map(without_numbers);
    assert_eq!((output.code(), last.as_deref(), output.err().as_str()), (0, Some("N checks, all well"), ""), "{}", output.out());
    assert_eq!((stage.switch_word(), stub.chats().len()), (before, 1));
    stage.play(&answered("Claude's own"));
    let output = stage.cmd("llm-failover").args(&["doctor", "--quick"]).limit(60).run();
    let wrong = "problem drill the drill failed: Claude's own answer came, and should not have: answered by Claude: Claude's own → see \
                 llm-failover drill limit";
    assert_eq!((output.code(), lines(&output, &["drill"])), (1, vec![wrong.to_string()]));
}

#[test]
fn a_drill_that_cannot_be_played_is_left_out() {
    let (stub, mut sandbox) = (model(Program::Llama(65_536), Fault::Nothing), healthy());
    let told = |sandbox: &Sandbox| lines(&doctor(sandbox, &["--quick"]), &["drill"]);
    let left_out = |why: &str| vec![format!("warning drill not played: {why} → mend that, then llm-failover drill limit")];
    sandbox.set("LLM_PORT", free_port().to_string());
    assert_eq!(told(&sandbox), left_out("the local server does not answer"));
    sandbox.set("LLM_SERVER_CMD", "true");
    let quick = "ok drill left out with --quick, since the local server would have to start: llm-failover drill limit";
    assert_eq!(told(&sandbox), [quick]);
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("CLAUDE_BIN", "/no/such/claude");
    assert_eq!(told(&sandbox), left_out("there is no real Claude Code"));
    sandbox.set("LOCAL_LLM_URL", "nonsense://x");
    assert_eq!(told(&sandbox), left_out("the settings of the local server cannot be used"));
}

#[test]
fn the_last_line_counts_and_the_exit_code_is_of_problems_alone() {
    let stub = model(Program::Llama(65_536), Fault::Nothing);
    let mut sandbox = healthy();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LLM_PORTS", "1");
    // What plays Claude Code here cannot play a drill.
    sandbox.set("CLAUDE_BIN", "/no/such/claude");
    let output = doctor(&sandbox, &["--quick"]);
    assert_eq!((output.code(), output.out().lines().last()), (1, Some("1 problem, 2 warnings")), "{output:?}");
}

#[test]
fn colours_come_by_the_variables_and_never_into_json() {
    let mut sandbox = healthy();
    sandbox.set("LLM_SERVER_CMD", "true");
    let colour = |line: &str| line.starts_with("\x1b[");
    for (variables, is_coloured) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "0")], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        let run = |args: &[&str]| {
            let cmd = sandbox.cmd("llm-failover").arg("doctor").arg("--quick").args(args).limit(60);
            variables.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value)).run().out()
        };
        let text = run(&[]);
        assert!(text.lines().filter(|line| colour(line)).count() >= if is_coloured { 10 } else { 0 }, "{text}");
        assert_eq!(text.contains('\x1b'), is_coloured, "{text}");
        assert!(!run(&["--json"]).contains('\x1b'));
    }
}

#[test]
fn a_terminal_has_colours_unless_it_is_dumb() {
    let mut sandbox = healthy();
    for (term, is_coloured) in [("xterm-256color", true), ("dumb", false)] {
        sandbox.set("TERM", term);
        let (code, shown) = sandbox.at_terminal("llm-failover", &["doctor", "--quick"]).end();
        let begins = |line: &&str| line.starts_with("\x1b[32mok") && line.contains("\x1b[0m  links ");
        assert_eq!((code, shown.lines().any(|line| begins(&line))), (1, is_coloured), "{shown:?}");
        assert_eq!(shown.contains("\x1b["), is_coloured, "{shown:?}");
    }
}

#[test]
fn json_has_all_that_the_lines_say() {
    let stub = model(Program::Llama(65_536), Fault::CallsNothing);
    let mut sandbox = healthy();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("CLAUDE_BIN", "/no/such/claude");
    let output = doctor(&sandbox, &["--json"]);
    assert_eq!((output.code(), output.err().as_str(), output.out().lines().count()), (1, "", 1));
    let told: Value = serde_json::from_str(&output.out()).unwrap();
    assert_eq!((&told["problems"], &told["warnings"]), (&json!(2), &json!(1)));
    let checks = told["checks"].as_array().unwrap();
    let check = |id: &str| checks.iter().find(|check| check["id"] == id).unwrap();
    let tools = json!({
        "id": "tools",
        "state": "problem",
        "text": "the model calls no tool: agents can only talk",
        "mend": "start llama-server with --jinja, and take a model whose template knows tools, such as Qwen2.5-7B-Instruct"
    });
    assert_eq!(check("tools"), &tools);
    assert!(checks.iter().all(|check| (check["state"] == "ok") == check["mend"].is_null()), "{checks:?}");
    for (id, figures) in [
        ("speed", &["read_per_second", "written_per_second", "first_word_seconds"][..]),
        ("first-turn", &["seconds", "tokens"]),
        ("context", &["told", "read"]),
        ("memory", &["left_gib"]),
    ] {
        assert!(figures.iter().all(|figure| check(id)["figures"][figure].as_f64() >= Some(0.0)), "{}", check(id));
    }
}

#[test]
fn a_message_goes_to_the_users_program_and_comes_back_with_its_end() {
    let mut sandbox = healthy();
    let told = |sandbox: &Sandbox, args: &[&str]| lines(&doctor(sandbox, args), &["notify"]);
    assert_eq!(told(&sandbox, &["--quick"]), [""; 0]);
    let unset = "problem notify LLM_NOTIFY_CMD is not set, so no message goes out → set LLM_NOTIFY_CMD to the absolute path of a program \
                 that takes the message as its argument";
    assert_eq!(told(&sandbox, &["--quick", "--notify"]), [unset]);
    sandbox.set("LOCAL_LLM_API_KEY", "sk-secret");
    let table = [
        ("good", "echo \"$1 $LOCAL_LLM_API_KEY\" > ~/told", "ok notify `~/good` took a message and ended with exit code 0"),
        ("talks", "echo a word >&2", "ok notify `~/talks` took a message and ended with exit code 0, and said: a word"),
        (
            "bad",
            "echo 'no such\nroom' >&2; exit 7",
            "problem notify `~/bad` ended with exit code 7, and said: no such room → mend `~/bad`, or set LLM_NOTIFY_CMD to \
             another program",
        ),
    ];
    for (name, script, line) in table {
        let program = sandbox.script(name, &format!("#!/bin/sh\n{script}\n"));
        sandbox.set("LLM_NOTIFY_CMD", program);
        assert_eq!(told(&sandbox, &["--quick", "--notify"]), [line]);
    }
    let message = "claude-failover: a test message of `llm-failover doctor --notify` \n";
    assert_eq!(fs::read_to_string(sandbox.path("told")).unwrap(), message);
    fs::remove_file(sandbox.path("told")).unwrap();
    sandbox.set("LLM_NOTIFY_CMD", sandbox.path("good"));
    assert_eq!(told(&sandbox, &["--quick"]), ["ok notify messages go to `~/good`; llm-failover doctor --notify tries it"]);
    assert!(!sandbox.path("told").exists());
    sandbox.set("LLM_NOTIFY_CMD", "/no/such/program");
    let missing = "problem notify LLM_NOTIFY_CMD `/no/such/program` cannot be run: no such file or directory → mend `/no/such/program`, or \
                   set LLM_NOTIFY_CMD to another program";
    assert_eq!(told(&sandbox, &["--quick", "--notify"]), [missing]);
}
