//! `LLM_FAILOVER_DEBUG`: a line for each decision, and nothing that is a secret. The ledger's line of an agent. Whole lines at a terminal.

use std::fs;

use serde_json::Value;

use crate::support::life::Life;
use crate::support::play::{Stage, answered, refused};
use crate::support::real::{ECHO, sandbox_with_path};
use crate::support::stub::Stub;
use crate::support::terminal::Terminal;
use crate::support::{Sandbox, until};

const FLAG: &str = "switch (`[HOME]/.local/state/llm-backend`)";

/// A home whose real Claude says `real`, and whose local model answers.
fn home(stub: &Stub) -> Sandbox {
    let mut sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LOCAL_LLM_MODEL", "tiny");
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox.write(".config/claude-failover/config.env", "LLM_PORT=1\nLOCAL_LLM_API_KEY=hidden\nLLM_FAILOVER_DEBUG=1\n");
    sandbox
}

const SETTINGS: &str = "settings: LOCAL_LLM_URL (environment), LOCAL_LLM_MODEL (environment), LOCAL_LLM_API_KEY (line 2), LLM_PORT (line 1), \
                        LLM_SUPERVISOR (environment), LLM_FAILOVER_DEBUG (line 3)";

#[test]
fn each_decision_says_what_was_read_and_why() {
    let stub = Stub::answering("from here");
    let sandbox = home(&stub);
    let real = "real Claude: `[HOME]/real/claude`";
    let line = |route: &str, facts: &str| format!("claude: debug: route {route}; {FLAG} {facts}; {SETTINGS}\n");
    let ask = |args: &[&str]| sandbox.cmd("claude").args(args).run();
    let exec = "exec: becomes the real Claude";
    ask(&["-p", "hidden"]).expect(0, "real [HOME]/real/claude -p hidden\n", &line(exec, &format!("claude; {real}")));
    sandbox.switch("local");
    let known = "local; print mode: yes; asks for a prompt; watched already: no; agents auto";
    ask(&["-p", "hidden"]).expect(
        0,
        "from here\n",
        &line("answer: a plain local one (switch)", &format!("{known}; needs tools: no")),
    );
    ask(&["--version"]).expect(
        0,
        "real [HOME]/real/claude --version\n",
        &line(exec, &format!("local; print mode: yes; asks for nothing of a model; {real}")),
    );
    let output = ask(&["-p", "hidden", "--allowedTools", "Read"]);
    let err = output.err();
    let [first, agent, banner] = err.lines().collect::<Vec<_>>().try_into().unwrap();
    let decision = line("agent: Claude Code on the local model (switch)", &format!("{known}; needs tools: yes; {real}"));
    assert_eq!(format!("{first}\n"), decision);
    let said = "claude: debug: agent on `tiny`: context unknown; instructions full (LOCAL_LLM_AGENT_PROMPT auto); small model `tiny`; gateway on port ";
    assert!(agent.starts_with(said) && agent.ends_with("; Claude Code `[HOME]/real/claude`"), "{agent}");
    assert_eq!(banner, "claude: this session runs on the local model `tiny`");
    assert!(!err.contains("hidden") && !err.contains("local-"), "{err}");
    // Unset, nothing of it is said.
    fs::remove_file(sandbox.path(".config/claude-failover/config.env")).unwrap();
    ask(&["-p", "hi"]).expect(0, "from here\n", "");
}

#[test]
fn a_refusal_and_what_follows_are_told() {
    let stub = Stub::answering("from here");
    let mut stage = Stage::new(&stub, &answered("fine"));
    stage.set("LLM_FAILOVER_DEBUG", "yes");
    stage.set("LLM_FAILOVER_QUIET", "1");
    let lines = |stage: &Stage| {
        let output = stage.cmd("claude").args(&["-p", "hidden"]).run();
        assert_eq!(output.code(), 0, "{output:?}");
        let err = output.err();
        assert!(!err.contains("hidden"), "{err}");
        err.lines().map(|line| line.split("; settings: ").next().unwrap().to_string()).collect::<Vec<_>>()
    };
    let watch = "claude: debug: route watch: the real Claude as a child; switch (`[HOME]/flag`) auto; print mode: yes; asks for a prompt; \
                 watched already: no; place for state: yes; real Claude found: yes; breaker closed, or a probe is due; policy local; \
                 real Claude: ";
    let begins = |lines: &[String]| lines[0].starts_with(watch);
    let seen = lines(&stage);
    assert!(seen.len() == 1 && begins(&seen), "{seen:#?}");
    stage.play(&refused());
    let seen = lines(&stage);
    assert!(seen.len() == 2 && begins(&seen), "{seen:#?}");
    assert!(seen[1].starts_with("claude: debug: Claude is "), "{seen:#?}");
    assert!(seen[1].contains(": route answer: a plain local one ("), "{seen:#?}");
    let seen = lines(&stage);
    assert!(seen.len() == 1 && seen[0].contains("; breaker open: ") && seen[0].contains(" route answer: "), "{seen:#?}");
}

/// The lines of the ledger.
fn ledger(sandbox: &Sandbox) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Without an answer no tokens were spent; who becomes Claude Code does not see its end.
#[test]
fn an_agent_leaves_its_line_when_it_has_ended() {
    let stub = Stub::answering("from here");
    let sandbox = home(&stub);
    sandbox.switch("local");
    sandbox.script("real/claude", "#!/bin/sh\nexit 3\n");
    let output = sandbox.cmd("claude").args(&["-p", "hi", "--allowedTools", "Read"]).run();
    assert_eq!((output.code(), output.out().as_str()), (3, ""));
    let of_print = serde_json::json!(["claude", "agent", "switch", "local", "tiny", 3, null]);
    let row = |entry: &Value| {
        let keys = ["applet", "route", "verdict", "backend", "model", "exit", "input_tokens"];
        keys.iter().map(|key| entry[*key].clone()).collect::<Value>()
    };
    assert_eq!(ledger(&sandbox).iter().map(row).collect::<Vec<_>>(), std::slice::from_ref(&of_print));
    let (code, _) = sandbox.at_terminal("claude", &[]).end();
    assert_eq!(code, 3);
    until(10, "the gateway has written the line", || ledger(&sandbox).len() == 2);
    let at_terminal = serde_json::json!(["claude", "agent", "switch", "local", "tiny", null, null]);
    assert_eq!(ledger(&sandbox).iter().map(row).collect::<Vec<_>>(), [of_print, at_terminal]);
    let table = sandbox.cmd("llm-failover").arg("log").run().out();
    assert_eq!(table.lines().map(|row| row.contains("claude  local  switch  tiny")).collect::<Vec<_>>(), [true, true], "{table}");
}

/// The line that counts the seconds is gone before the next one is written.
#[test]
fn a_flip_at_a_terminal_prints_whole_lines() {
    let life = Life::new("slow");
    let mut cmd = life.cmd_at_terminal("llm-failover").args(&["local"]);
    cmd.command().env("TERM", "xterm");
    let terminal = Terminal::of(cmd);
    terminal.wait_for("… 1 s");
    life.go();
    terminal.wait_for("agent backend now: local");
    let shown = terminal.text();
    assert_eq!(shown.trim(), "agent backend now: local", "{shown}");
    assert_eq!(terminal.end(), 0);
    life.failover(&["-q", "claude"]).expect(0, "", "");
}
