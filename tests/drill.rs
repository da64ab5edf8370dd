//! `llm-failover drill`: the whole way with the real Claude Code and a played Anthropic, and nothing of the user's touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::real_cli::real;
use crate::support::life::Life;
use crate::support::stub::Stub;
use crate::support::{BINARY, Cmd, Output, Sandbox, until, wait};

const PROMPT: &str = "a script asks: claude -p \"Say hello in one word.\"\n";
const AS_MEANT: &str = "answered locally, as it should be\n";

/// How long a drill may take on a busy machine, in seconds.
const LIMIT: u64 = 180;

/// Adds what makes a drill in this home: the real Claude, and a user who is signed in with `anthropic`.
fn prepare(sandbox: &mut Sandbox, anthropic: &Stub) {
    sandbox.set("CLAUDE_BIN", real());
    sandbox.set("TZ", "UTC");
    sandbox.set("LOCAL_LLM_MODEL", "small-model");
    sandbox.set("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", anthropic.port()));
    sandbox.set("ANTHROPIC_API_KEY", "sk-of-the-user");
    sandbox.set("ANTHROPIC_MODEL", "no-such-model");
    sandbox.set("CLAUDE_CODE_MAX_RETRIES", "0");
    let proxy = format!("http://127.0.0.1:{}", anthropic.port());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        sandbox.set(name, &proxy);
    }
    let tmp = sandbox.path("tmp");
    fs::create_dir(&tmp).expect("a folder");
    sandbox.set("TMPDIR", tmp);
    sandbox.set("LLM_NOTIFY_CMD", sandbox.script("tell", "#!/bin/sh\necho \"$1\" >> ~/told\n"));
}

/// Nobody may ask it anything.
fn nobody_asks() -> Stub {
    Stub::new(|_, _| {})
}

/// What lies in a home but for what is known of it, with the words in it.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() && !path.is_symlink() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.to_string_lossy().into_owned(), fs::read(&path).unwrap_or_default())),
        }
    }
    found
}

fn drill(sandbox: &Sandbox, trouble: &str) -> Cmd {
    sandbox.cmd("llm-failover").args(&["drill", trouble]).limit(LIMIT)
}

/// The steps without their times, and with `TIME` for when a limit ends.
fn steps(output: &Output) -> String {
    let text = output.out().replace(&*real().to_string_lossy(), "[CLAUDE]");
    let step = |line: &str| {
        let told = line.split_once(" s  ").filter(|(time, _)| time.trim().parse::<f64>().is_ok()).map_or(line, |(_, text)| text);
        let (before, until) = told.split_once(" until ").unwrap_or((told, ""));
        let after = until.split_once(';').map_or("", |(_, rest)| rest);
        match (until, after) {
            ("", _) => format!("{told}\n"),
            (_, "") => format!("{before} until TIME\n"),
            _ => format!("{before} until TIME;{after}\n"),
        }
    };
    text.lines().map(step).collect()
}

/// Plays `trouble` with a local model that answers, and expects these steps and this end; all else is as it was.
#[track_caller]
fn plays(trouble: &str, expected: &[&str], code: i32, stderr: &str) {
    let (anthropic, local) = (nobody_asks(), Stub::answering("Hello from here."));
    let mut sandbox = Sandbox::new();
    prepare(&mut sandbox, &anthropic);
    sandbox.set("LOCAL_LLM_URL", local.url());
    sandbox.switch("claude\n");
    sandbox.write(".claude/settings.json", r#"{"env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:9"}}"#);
    let before = files(sandbox.home());
    let output = drill(&sandbox, trouble).run();
    let begin = ["real claude: [CLAUDE]\n", "local server: runs\n", PROMPT].concat();
    let told = (output.code(), steps(&output), output.err());
    assert_eq!(told, (code, begin + &expected.concat(), stderr.to_string()));
    let questions: Vec<String> = local.chats().iter().map(|chat| chat.json()["messages"][0]["content"].to_string()).collect();
    let is_local = expected.contains(&AS_MEANT);
    assert_eq!(questions, vec!["\"Say hello in one word.\""; usize::from(is_local)]);
    assert!(anthropic.seen().is_empty(), "{:?}", anthropic.seen());
    assert_eq!(files(sandbox.home()), before);
}

const LOCAL: &str = "answered locally by small-model: Hello from here.\n";
const ENDS_WELL: &str = "the call ends with exit code 0\n";

#[test]
fn a_limit_is_answered_locally_after_one_request() {
    for (trouble, name) in [("limit", "5-hour"), ("weekly", "weekly")] {
        let asked = format!("Anthropic is asked, and says 429: {name} limit, until TIME\n");
        let said = format!("stderr: claude: Claude is at its {name} limit until TIME; the local model answers\n");
        plays(trouble, &[&asked, &said, LOCAL, ENDS_WELL, AS_MEANT], 0, "");
    }
}

#[test]
fn an_outage_is_answered_locally_after_two_retries() {
    for (trouble, does, is) in
        [("overload", "says 529: overloaded", "is overloaded"), ("down", "cuts the connection", "cannot be reached")]
    {
        let asked = format!("Anthropic is asked, and {does}\n");
        let said = format!("stderr: claude: Claude {is}; the local model answers\n");
        plays(trouble, &[&asked, &asked, &asked, &said, LOCAL, ENDS_WELL, AS_MEANT], 0, "");
    }
}

#[test]
fn silence_is_answered_locally() {
    let asked = "Anthropic is asked, and says nothing\n";
    let said = "stderr: claude: Claude cannot be reached; the local model answers\n";
    plays("hang", &[asked, said, LOCAL, ENDS_WELL, AS_MEANT], 0, "");
}

#[test]
fn a_short_throttle_is_waited_out_by_claude_code() {
    let throttled = "Anthropic is asked, and says 429: too many requests, again in 1 s\n";
    let expected =
        [throttled, throttled, throttled, "Anthropic is asked, and answers\n", "answered by Claude: Hello.\n", ENDS_WELL];
    let why = "llm-failover: not answered locally, as it should be: Claude Code waits out a short throttle by itself\n";
    plays("throttle", &expected, 1, why);
}

#[test]
fn a_sign_in_that_has_expired_is_told() {
    let asked = "Anthropic is asked, and says 401: the sign-in has expired\n";
    let failed = "Claude fails: Failed to authenticate. API Error: 401 OAuth token has expired. Please obtain a new token or \
                  refresh your existing token.\n";
    let why = "llm-failover: not answered locally, as it should be: who is not signed in has to be told\n";
    let hint = "stderr: hint: sign in with `claude` and `/login`, or with `claude setup-token` for scripts; `llm-failover local` \
                answers meanwhile\n";
    plays("signin", &[asked, asked, hint, failed, "the call ends with exit code 1\n"], 1, why);
}

#[test]
fn a_server_that_was_down_is_started_and_stopped_again() {
    let anthropic = nobody_asks();
    let mut life = Life::new("ok");
    prepare(&mut life, &anthropic);
    // `claude` is left to Claude Code here.
    fs::create_dir(life.path("links")).expect("a folder");
    symlink(*BINARY, life.path("links/agent-llm")).expect("a link");
    let links = life.path("links");
    life.set_path(&[links.as_path(), Path::new("/usr/bin"), Path::new("/bin")]);
    let output = drill(&life, "limit").run();
    let told = steps(&output);
    assert!(told.starts_with("real claude: [CLAUDE]\nlocal server: down (lazy)\n"), "{told}");
    assert!(told.contains("a script asks: agent-llm -p "), "{told}");
    assert!(told.contains(&format!("stderr: {}", life.waiting("agent-llm"))), "{told}");
    assert!(told.ends_with(&format!("{ENDS_WELL}local server: stopped again\n{AS_MEANT}")), "{told}");
    assert_eq!((output.code(), output.err().as_str()), (0, ""), "{told}");
    assert_eq!(life.started().len(), 1);
    life.assert_nothing_runs();
}

#[test]
fn without_a_local_answer_the_drill_fails() {
    let anthropic = nobody_asks();
    let mut sandbox = Sandbox::new();
    prepare(&mut sandbox, &anthropic);
    sandbox.set("LOCAL_LLM_URL", "http://127.0.0.1:9");
    let output = drill(&sandbox, "limit").run();
    let told = steps(&output);
    assert!(told.contains("Claude fails: You've hit your 5-hour limit · resets "), "{told}");
    assert_eq!((output.code(), output.err().as_str()), (1, "llm-failover: the drill failed: the call failed\n"), "{told}");
}

#[test]
fn a_drill_needs_a_real_claude_and_a_trouble_that_there_is() {
    let sandbox = Sandbox::new();
    let output = drill(&sandbox, "limit").run();
    assert_eq!((output.code(), output.out()), (127, String::new()), "{}", output.err());
    let why = "`fire` is none of limit, weekly, overload, down, hang, throttle, signin";
    let hint = "hint: run `llm-failover --help`\n";
    let said = format!("llm-failover: error parsing positional argument 'trouble' with value 'fire': {why}\n{hint}");
    drill(&sandbox, "fire").run().expect(1, "", &said);
}

#[test]
fn an_interrupted_drill_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        interrupt_a_drill(signal);
    }
}

fn interrupt_a_drill(signal: Signal) {
    let anthropic = nobody_asks();
    let mut life = Life::new("slow");
    prepare(&mut life, &anthropic);
    let steps = life.path("steps");
    let log = fs::File::create(&steps).expect("a file");
    let mut cmd = drill(&life, "limit");
    let mut child = cmd.command().stdout(log).spawn().expect("it runs");
    let told = || fs::read_to_string(&steps).unwrap_or_default();
    until(LIMIT, "the server is waited for", || told().contains("waiting for the local server"));
    life.wait_for_start();
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("a signal");
    let status = wait(&mut child, Duration::from_secs(LIMIT)).expect("an end");
    assert_eq!(status.signal(), Some(signal as i32), "{status} {}", told());
    assert!(fs::read_dir(life.path("tmp")).expect("a folder").next().is_none());
    life.assert_nothing_runs();
}
