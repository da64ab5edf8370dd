//! The real Claude Code, with a fake Messages API: behind the shim it behaves as without it, and what we say in its
//! place it would have said in the same words.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use claude_failover::options::{OPTIONS, Opt};

use crate::support::messages_api::{answering, never_ending, questions, refusing};
use crate::support::stub::Stub;
use crate::support::{Cmd, Output, Sandbox, deps, until};

/// How long the real CLI may take to begin and to end, in seconds, on a busy machine.
const LIMIT: u64 = 120;

/// The real Claude Code.
pub fn real() -> PathBuf {
    deps().join("claude/node_modules/.bin/claude")
}

/// A sandbox whose Claude asks `api`.
pub fn sandbox(api: &Stub) -> Sandbox {
    let mut sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("work")).expect("a folder");
    sandbox.set("CLAUDE_BIN", real());
    sandbox.set("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", api.port()));
    sandbox.set("ANTHROPIC_API_KEY", "sk-none");
    sandbox.set("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    sandbox.set("CLAUDE_CODE_MAX_RETRIES", "0");
    sandbox.set("DISABLE_AUTOUPDATER", "1");
    // Whatever else it may want to ask on the net ends here.
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY"] {
        sandbox.set(proxy, format!("http://127.0.0.1:{}", api.port()));
    }
    sandbox.set("NO_PROXY", "127.0.0.1");
    sandbox.set("TERM", "xterm");
    // What Node.js has compiled of an older version is kept from test to test.
    sandbox.set("NODE_COMPILE_CACHE", deps().join("node-cache"));
    sandbox
}

/// Runs the same call without the shim and through each of its names, in a fresh home each, and compares all that was
/// printed, as `shown` shows it, and what the API was asked. Gives what the direct call left.
#[track_caller]
fn same(api: impl Fn() -> Stub, prepare: impl Fn(Cmd) -> Cmd, shown: impl Fn(&Output) -> (i32, String, String)) -> Output {
    let run = |program: &str| {
        let api = api();
        let sandbox = sandbox(&api);
        let output = prepare(sandbox.cmd(program).dir(sandbox.path("work")).limit(LIMIT)).run();
        let mut asked: Vec<String> = questions(&api).iter().map(|question| last_message(question, &sandbox)).collect();
        // How often the real CLI repeats a question that was refused differs from run to run.
        asked.dedup();
        (shown(&output), asked, output)
    };
    let (expected, expected_asked, output) = run(&real().to_string_lossy());
    for shim in ["claude", "agent-llm"] {
        let (seen, asked, _) = run(shim);
        assert_eq!((seen, asked), (expected.clone(), expected_asked.clone()), "{shim}");
    }
    output
}

/// What the user said, without the home's path, which differs from run to run.
fn last_message(question: &Value, sandbox: &Sandbox) -> String {
    let users = question["messages"].as_array().into_iter().flatten().rfind(|message| message["role"] == "user");
    users.map(|message| message["content"].to_string()).unwrap_or_default().replace(&*sandbox.home().to_string_lossy(), "[HOME]")
}

fn whole(output: &Output) -> (i32, String, String) {
    (output.code(), output.out(), output.err())
}

#[test]
fn text_answers() {
    let api = || answering("An answer.\nOf two lines");
    same(api, |cmd| cmd.args(&["-p", "a question"]), whole).expect(0, "An answer.\nOf two lines\n", "");
    same(api, |cmd| cmd.arg("-p").stdin("from stdin \u{e9}\r\n"), whole).expect(0, "An answer.\nOf two lines\n", "");
    same(api, |cmd| cmd.args(&["-p", "é漢\n--x"]).stdin(b"\xff raw"), whole).expect(0, "An answer.\nOf two lines\n", "");
}

#[test]
fn a_conversation_goes_back_and_forth_between_claude_and_the_local_model() {
    const ID: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";
    let (api, local) = (answering("from Claude"), Stub::answering("from here"));
    let mut sandbox = sandbox(&api);
    sandbox.set("LOCAL_LLM_URL", local.url());
    // Otherwise a session of Claude's goes on with its tools.
    sandbox.set("LOCAL_LLM_AGENT", "never");
    let ask = |backend: &str, args: &[&str]| {
        sandbox.switch(backend);
        let output = sandbox.cmd("claude").arg("-p").args(args).dir(sandbox.path("work")).limit(LIMIT).run();
        output.expect(0, if backend == "local" { "from here\n" } else { "from Claude\n" }, "");
    };
    let asked = || {
        let body = local.chats().last().expect("a question").json();
        let messages = body["messages"].as_array().expect("messages").clone();
        messages.iter().map(|message| message["content"].as_str().expect("text").to_string()).collect::<Vec<_>>()
    };
    ask("claude", &["one", "--session-id", ID, "--name", "My Name"]);
    ask("local", &["two", "--continue"]);
    assert_eq!(asked(), ["one", "from Claude", "two"]);
    ask("claude", &["three", "--resume", ID]);
    let question = questions(&api).pop().expect("a question")["messages"].to_string();
    assert!(question.contains("\"one\"") && question.contains("\"three\""), "{question}");
    ask("local", &["four", "--resume", "my name"]);
    assert_eq!(asked(), ["one", "from Claude", "two", "from here", "three", "from Claude", "four"]);
    sandbox.switch("local");
    let output = sandbox.cmd("claude").args(&["-p", "q", "--session-id", ID]).dir(sandbox.path("work")).run();
    output.expect(1, "", &format!("Error: Session ID {ID} is already in use.\n"));
}

#[test]
fn answers_as_json() {
    let masked = |output: &Output| {
        let mut lines = Vec::new();
        for line in output.out().lines() {
            let mut value: Value = serde_json::from_str(line).expect("JSON");
            mask(&mut value);
            lines.push(value.to_string());
        }
        (output.code(), lines.join("\n"), output.err())
    };
    let object = same(|| answering("fine"), |cmd| cmd.args(&["-p", "q", "--output-format", "json"]), masked);
    assert_eq!(serde_json::from_slice::<Value>(&object.stdout).unwrap()["result"], "fine");
    let args = ["-p", "q", "--output-format", "stream-json", "--verbose"];
    let stream = same(|| answering("fine"), |cmd| cmd.args(&args), masked);
    assert!(stream.out().lines().count() > 2, "{}", stream.out());
}

/// Takes out what differs between any two runs: ids, times, costs of time.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let is_own = key.ends_with("_id")
                    || key == "uuid"
                    || key.contains("_ms")
                    || key.contains("time")
                    || key == "memory_paths"
                    || key.ends_with("_path");
                if is_own { *field = Value::Null } else { mask(field) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

#[test]
fn failures_and_commands() {
    let lines: &[&[&str]] = &[
        &["-p", "--no-such-option"],
        &["-p", "q", "--output-format", "xml"],
        &["-p"],
        &["--version"],
        &["--help"],
        &["-p", "--help"],
        &["mcp", "list"],
        &["mcp", "--help"],
        &["mcp", "no-such"],
        &["mcpp"],
    ];
    for args in lines {
        let output = same(|| answering("never asked"), |cmd| cmd.args(args), whole);
        assert!(!output.stdout.is_empty() || output.code() == 1, "{output:?}");
    }
    let refused = same(|| refusing(400), |cmd| cmd.args(&["-p", "q"]), whole);
    assert_eq!((refused.code(), refused.out().as_str()), (1, "API Error: 400 refused\n"));
}

#[test]
fn signals_in_the_middle_of_an_answer() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let ends = [real().to_string_lossy().into_owned(), "claude".into()].map(|program| {
            let api = never_ending();
            let sandbox = sandbox(&api);
            let mut child = sandbox.cmd(program).args(&["-p", "q"]).spawn();
            drop(child.stdin.take());
            until(LIMIT, "the question is asked", || !questions(&api).is_empty());
            // The answer's first words are on their way; there is nothing to be seen of them in text mode.
            thread::sleep(Duration::from_millis(500));
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            let status = crate::support::wait(&mut child, Duration::from_secs(LIMIT)).expect("an end");
            let output = child.wait_with_output().unwrap();
            // At some moments the real CLI ends without these words.
            let stdout = String::from_utf8(output.stdout).unwrap().replace("Execution error", "");
            (status, stdout, String::from_utf8(output.stderr).unwrap())
        });
        let code = if signal == Signal::SIGINT { 0 } else { 143 };
        assert_eq!((ends[0].0.code(), ends[0].1.as_str()), (Some(code), ""), "{signal}");
        assert_eq!(ends[1], ends[0], "{signal}");
    }
}

#[test]
fn at_a_terminal() {
    let run = |program: &str| {
        let api = answering("An answer");
        let sandbox = sandbox(&api);
        let end = sandbox.at_terminal(program, &["-p", "q"]).end();
        assert_eq!(questions(&api).len(), 1);
        end
    };
    let direct = run(&real().to_string_lossy());
    assert!(direct.1.contains("An answer\n"), "{direct:?}");
    assert_eq!(run("claude"), direct);
}

#[test]
fn a_session_at_a_terminal() {
    for (program, switch) in [(&*real().to_string_lossy(), "claude"), ("claude", "claude"), ("agent-llm", "local")] {
        let api = answering("An answer");
        let mut sandbox = sandbox(&api);
        sandbox.set("LOCAL_LLM_AGENT", "never");
        sandbox.switch(switch);
        let trusted = json!({sandbox.home().to_string_lossy(): {"hasTrustDialogAccepted": true}});
        let keys = json!({"approved": ["sk-none"], "rejected": []});
        let state = json!({"hasCompletedOnboarding": true, "theme": "dark", "customApiKeyResponses": keys, "projects": trusted});
        sandbox.write(".claude.json", state.to_string());
        let mut pty = sandbox.at_terminal(program, &[]);
        pty.wait_for("❯");
        pty.send("why");
        pty.wait_for("why");
        pty.send("\r");
        pty.wait_for("answer");
        // The second key must follow the first one soon.
        until(LIMIT, "the session ends", || {
            pty.send("\u{3}");
            thread::sleep(Duration::from_millis(200));
            pty.has_ended()
        });
        let (code, shown) = pty.end();
        assert_eq!(code, 0, "{shown:?}");
        assert!(shown.contains("claude --resume "), "{shown:?}");
        let mut asked: Vec<String> = questions(&api).iter().map(|question| last_message(question, &sandbox)).collect();
        // How often the real CLI repeats a question that was refused differs from run to run.
        asked.dedup();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].contains("why"), "{asked:?}");
    }
}

#[test]
fn every_option_that_help_shows_is_known() {
    let api = answering("");
    let help = sandbox(&api).cmd(real()).arg("--help").limit(LIMIT).run();
    let text = help.out();
    let options = text.split("\nOptions:\n").nth(1).unwrap().split("\nCommands:\n").next().unwrap();
    let shown: Vec<&str> = options.lines().filter_map(flags).collect();
    assert!(shown.len() > 50, "{text}");
    let known = |flags: &&str| OPTIONS.iter().any(|option: &Opt| option.flags == *flags && !option.is_hidden);
    let missing: Vec<&str> = shown.iter().copied().filter(|flags| !known(flags) && *flags != "-h, --help").collect();
    assert_eq!(missing, Vec::<&str>::new(), "options that our table lacks");
    let gone: Vec<&str> =
        OPTIONS.iter().filter(|option| !option.is_hidden && !shown.contains(&option.flags)).map(|option| option.flags).collect();
    assert_eq!(gone, Vec::<&str>::new(), "options that only our table has");
}

/// The flags of a line of help: two spaces, the flags, two spaces or the end.
fn flags(line: &str) -> Option<&str> {
    let text = line.strip_prefix("  ").filter(|text| text.starts_with('-'))?;
    Some(text.split("  ").next().unwrap_or(text))
}

#[test]
fn every_command_that_help_shows_is_the_real_ones() {
    let api = answering("");
    let real_sandbox = sandbox(&api);
    let help = real_sandbox.cmd(real()).arg("--help").limit(LIMIT).run().out();
    let commands = help.split("\nCommands:\n").nth(1).unwrap().lines();
    let words: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ").filter(|text| text.starts_with(|c: char| c.is_ascii_lowercase())))
        .flat_map(|text| text.split(' ').next().unwrap_or_default().split('|'))
        .collect();
    assert!(words.len() > 10, "{help}");
    let mut sandbox = Sandbox::new();
    sandbox.switch("local");
    sandbox.set("CLAUDE_BIN", sandbox.script("real", "#!/bin/sh\necho \"real $*\"\n"));
    for word in words {
        sandbox.cmd("claude").args(&[word, "x"]).run().expect(0, &format!("real {word} x\n"), "");
    }
}

/// Calls that the real CLI refuses, or answers with a warning, without asking anyone.
const ERRORS: &[&[&str]] = &[
    &["-p", "--bogus"],
    &["-p", "--verbos", "hi"],
    &["-p", "--verbose=x"],
    &["-p", "--modle", "x"],
    &["-p", "--permission", "x"],
    &["-p", "--helpp"],
    &["-p", "--add-di", "x"],
    &["-p", "--max-turn", "1"],
    &["-pfoo"],
    &["-p=x"],
    &["--print=x"],
    &["-p", "-x", "-y"],
    &["-p", "- item"],
    &["-p", "-V"],
    &["-p", "--model"],
    &["-p", "hi", "-n"],
    &["-p", "--allowedTools"],
    &["-p", "--system-prompt"],
    &["-p", "--output-format", "xml"],
    &["-p", "--output-format="],
    &["-p", "--output-format", "xml", "--output-format", "text"],
    &["-p", "--input-format", "json"],
    &["-p", "--permission-mode", "zzz"],
    &["-p", "--max-turns", "abc"],
    &["-p", "--max-turns", "1,00"],
    &["-p", "--max-budget-usd", "0"],
    &["-p", "--task-budget", "1.5"],
    &["-p", "--thinking", "x"],
    &["-p", "--prompt-suggestions", "maybe"],
    &["-p", "hi", "--session-id", "x"],
    &["-p", "hi", "-c", "--session-id", "123e4567-e89b-12d3-a456-426614174000"],
    &["-p", "hi", "--settings", "/nowhere.json"],
    &["-p", "hi", "--settings", "{bad"],
    &["-p", "hi", "--setting-sources", "user,x"],
    &["-p", "hi", "--system-prompt-file", "/nowhere"],
    &["-p", "hi", "--system-prompt-file", "."],
    &["-p", "hi", "--append-system-prompt-file", "nowhere"],
    &["-p", "hi", "--input-format", "stream-json"],
    &["-p", "hi", "--replay-user-messages"],
    &["-p", "hi", "--include-partial-messages"],
    &["-p", "hi", "--forward-subagent-text"],
    &["-p", "--input-format", "stream-json", "--replay-user-messages"],
    &["-p", "--bogus", "--output-format", "xml"],
    &["-p", "--bogus", "--session-id", "x"],
    &["-p", "--session-id", "x", "--system-prompt-file", "/nowhere"],
    &["-p", "--settings", "/nowhere", "--bogus"],
    &["-p", "--output-format", "xml", "--settings", "/a", "--settings=/b"],
    &["-p", "--settings", "."],
    &["-p", "--settings", "{}", "--settings", "", "--bogus"],
    &["-p", "--settings", "[]", "--setting-sources", "x"],
    &["-p", "--setting-sources", "x", "--setting-sources= user,", "--bogus"],
    &["-p", "--settings"],
    &["-p"],
    &["-p", ""],
    &["-p", " \t\n"],
    &["-p", "\u{feff}\u{3000}"],
    &["-p", "code"],
    &["-p", "--"],
    &["-p", "--allowedTools", "Read", "my prompt"],
    &["-p", "--tools", "Read", "a prompt that is longer than the forty columns"],
    &["-p", "--add-dir", "a", "h\u{e9}llo"],
    &["mcpp"],
    &["Mcp"],
    &["doctorr", "x"],
    &["--", "mpc"],
    &["--model", "haiku", "updat"],
    &[""],
    &["code"],
];

#[test]
fn errors_about_stdin_are_in_the_real_ones_words() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("empty", vec![]),
        ("white space", b" \t\r\n\xc2\xa0\xe2\x80\xa8\xef\xbb\xbf".to_vec()),
        ("over 10 MB", vec![b'x'; (10 << 20) + 1]),
        ("over 10 MB in characters of two units", "\u{1f980}".repeat((5 << 20) + 1).into_bytes()),
    ];
    for (what, bytes) in cases {
        println!("{what}");
        same_refusal(|cmd| cmd.arg("-p").stdin(bytes)).unwrap();
    }
    same_refusal(|cmd| cmd.arg("-p").silent_stdin()).unwrap();
}

/// Runs a call that the real CLI refuses, and the same call where we answer in its place: the same must be printed.
pub fn same_refusal(prepare: impl Fn(Cmd) -> Cmd) -> Result<(), String> {
    let api = answering("asked");
    let mut sandbox = sandbox(&api);
    let expected = prepare(sandbox.cmd(real()).limit(LIMIT)).run();
    sandbox.unset("CLAUDE_BIN");
    sandbox.switch("local");
    let stub = Stub::answering("asked");
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LLM_SUPERVISOR", "none");
    let seen = prepare(sandbox.cmd("claude").limit(LIMIT)).run();
    let is_refused = expected.code() == 1 && questions(&api).is_empty() && stub.seen().is_empty();
    match is_refused && whole(&seen) == whole(&expected) {
        true => Ok(()),
        false => Err(format!("real {:?}\n  ours {:?}\n", whole(&expected), whole(&seen))),
    }
}

#[test]
fn errors_are_in_the_real_ones_words() {
    let next = AtomicUsize::new(0);
    let faults = std::sync::Mutex::new(Vec::new());
    let work = || {
        while let Some(args) = ERRORS.get(next.fetch_add(1, Ordering::SeqCst)) {
            if let Err(fault) = same_refusal(|cmd| cmd.args(args)) {
                faults.lock().unwrap().push(format!("{args:?}:\n  {fault}"));
            }
        }
    };
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), ERRORS.len(), faults.concat());
}
