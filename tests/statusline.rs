//! `llm-failover statusline`: one line from files, in the form of whoever shows it.

use std::fs;

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::play::BREAKER;
use crate::support::stub::Stub;

/// What Claude Code 2.1.330 tells, in part.
const SESSION: &str = r#"{"session_id":"x","cwd":"/elsewhere","model":{"id":"claude-opus-5","display_name":"Opus 5"},
    "workspace":{"current_dir":"/home/me/my project/","project_dir":"/"},"version":"2.1.330",
    "context_window":{"context_window_size":200000,"used_percentage":33.6},"later":[1]}"#;

#[test]
fn each_form_of_each_state() {
    let away = r#"{"conditions":[{"class":"five_hour","since":"2026-01-01T00:00:00Z","until":null,
        "next_probe":"2026-01-01T00:00:00Z","updated":"2026-01-01T00:00:00Z","failures":1}]}"#;
    let model = "mlx-community/Qwen2.5-7B-Instruct-4bit";
    let table = [
        ("claude", "", "claude", "claude"),
        ("local", "", "local qwen2.5-7b", "local"),
        ("auto", "", "auto: claude", "claude"),
        ("auto", away, "auto: local", "local"),
    ];
    for (switch, breaker, words, answers) in table {
        let mut sandbox = Sandbox::new();
        sandbox.set("LOCAL_LLM_MODEL", model);
        sandbox.switch(switch);
        if !breaker.is_empty() {
            sandbox.write(BREAKER, breaker);
        }
        let shows = |args: &[&str], expected: &str| {
            drop(sandbox.cmd("llm-failover").arg("statusline").args(args).run().expect(0, expected, ""))
        };
        let is_local = answers == "local";
        shows(&[], &format!("{words}\n"));
        shows(&["--format", "plain"], &format!("{words}\n"));
        shows(&["--format", "ansi"], &format!("\x1b[{}m{words}\x1b[0m\n", if is_local { 33 } else { 32 }));
        shows(&["--format", "tmux"], &format!("#[fg={}]{words}#[default]\n", if is_local { "yellow" } else { "green" }));
        let look = if is_local { "sfimage=desktopcomputer color=orange" } else { "sfimage=cloud" };
        shows(&["--format", "swiftbar"], &format!("{words} | {look}\n"));
        let json = json!({
            "text": words, "switch": switch, "answers": answers, "local_model": model, "until": null, "session": null,
        });
        shows(&["--format", "json"], &format!("{json}\n"));
    }
    let said = "llm-failover: error parsing option '--format' with value 'html': `html` is none of plain, ansi, json, swiftbar, tmux\n\
                hint: run `llm-failover --help`\n";
    Sandbox::new().cmd("llm-failover").args(&["statusline", "--format", "html"]).run().expect(1, "", said);
}

#[test]
fn the_session_that_claude_code_tells_of() {
    let mut sandbox = Sandbox::new();
    let line = |sandbox: &Sandbox, format: &str, stdin: &str| {
        let output = sandbox.cmd("llm-failover").args(&["statusline", "--format", format]).stdin(stdin).run();
        assert_eq!((output.code(), output.err().as_str()), (0, ""), "{stdin}");
        output.out()
    };
    assert_eq!(line(&sandbox, "plain", SESSION), "claude · Opus 5 · my project · context 34%\n");
    let session = json!({"model": "Opus 5", "folder": "my project", "context_used_percentage": 34});
    assert_eq!(serde_json::from_str::<Value>(&line(&sandbox, "json", SESSION)).unwrap()["session"], session);
    let odd = r##"{"model":{"id":"a|b#c\u001b[2J"},"cwd":"/x"}"##;
    assert_eq!(line(&sandbox, "plain", odd), "claude · a|b#c[2J · x\n");
    assert_eq!(line(&sandbox, "swiftbar", odd), "claude · a/b#c[2J · x | sfimage=cloud\n");
    assert_eq!(line(&sandbox, "tmux", odd), "#[fg=green]claude · a|b##c[2J · x#[default]\n");
    // What is no session, or not of the form that is known.
    for stdin in
        ["", "[]", "7", "{", "\u{ff}", &"x".repeat(100_000), "null", r#"{"model":7,"workspace":[],"context_window":"full"}"#]
    {
        assert_eq!(line(&sandbox, "plain", stdin), "claude\n", "{}", &stdin[..stdin.len().min(60)]);
    }
    // The local model is named once.
    sandbox.switch("local");
    sandbox.set("LOCAL_LLM_MODEL", "some/Tiny-it");
    let session = r#"{"model":{"id":"some/Tiny-it"},"workspace":{"current_dir":"/w"}}"#;
    assert_eq!(line(&sandbox, "plain", session), "local tiny · w\n");
}

/// Neither a pipe that stays silent nor a local server that could be asked.
#[test]
fn it_waits_for_nobody_and_asks_nobody() {
    let stub = Stub::answering("hi");
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    for (switch, expected) in [("claude", "claude\n"), ("local", "local\n"), ("auto", "auto: claude\n")] {
        sandbox.switch(switch);
        sandbox.cmd("llm-failover").arg("statusline").silent_stdin().run().expect(0, expected, "");
        sandbox.cmd("llm-failover").arg("statusline").stdin(SESSION).run();
    }
    assert_eq!(stub.seen().len(), 0);
    // A terminal is not read.
    let (code, shown) = sandbox.at_terminal("llm-failover", &["statusline"]).end();
    assert_eq!((code, shown.trim()), (0, "auto: claude"));
    // The name that a call has found out.
    sandbox.switch("local");
    sandbox.cmd("claude").args(&["-p", "hi"]).run();
    assert!(!stub.seen().is_empty());
    let known =
        json!({"servers": [{"url": stub.url(), "models": {"": {"since": jiff::Timestamp::now(), "id": "org/Found-8bit"}}}]});
    fs::write(sandbox.path(".local/state/claude-failover/servers.json"), known.to_string()).unwrap();
    sandbox.cmd("llm-failover").arg("statusline").run().expect(0, "local found\n", "");
}
