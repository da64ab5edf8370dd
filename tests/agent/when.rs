//! Which calls get tools, and what becomes of them where something is missing.

use std::path::PathBuf;

use super::{CONTEXT, DONE, FREE, Home, VERSIONS, done, stderr};
use crate::auto::{TODAY, each, same};
use crate::support::real::{ECHO, sandbox_with_path};
use crate::support::script::{Manner, calls, results, text, tools};
use crate::support::stub::Stub;
use crate::support::{Sandbox, free_port};

/// A home whose real Claude says `real`, and whose local model says `from here`.
fn stage(model: &Stub) -> Sandbox {
    let mut sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    sandbox.switch("local");
    sandbox.set("LOCAL_LLM_URL", model.url());
    sandbox.set("LOCAL_LLM_MODEL", "tiny");
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox.set("LLM_FAILOVER_QUIET", "1");
    // Root may not skip permissions anywhere else.
    sandbox.set("IS_SANDBOX", "1");
    sandbox
}

/// Who answers a call: `real` with the agent way.
fn answered_by(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.cmd("claude").args(args).run();
    assert_eq!((output.code(), output.err()), (0, String::new()), "{args:?}");
    let text = output.out();
    text.split(' ').next().unwrap_or_default().to_string()
}

#[test]
fn calls_that_ask_for_hands_get_them() {
    let model = Stub::answering("from here");
    let sandbox = stage(&model);
    let hands: [&[&str]; 13] = [
        &["--allowedTools", "Read"],
        &["--allowed-tools=Read"],
        &["--tools", "Read"],
        &["--tools", "default"],
        &["--permission-mode", "plan"],
        &["--permission-mode=acceptEdits"],
        &["--dangerously-skip-permissions"],
        &["--permission-prompt-tool", "mcp__a__b"],
        &["--mcp-config", "{\"mcpServers\":{}}"],
        &["--agents", "{}"],
        &["--agent", "reviewer"],
        &["--add-dir", "."],
        &["--plugin-dir", "."],
    ];
    for args in hands {
        assert_eq!(answered_by(&sandbox, &[&["-p", "a question"], args].concat()), "real", "{args:?}");
    }
    assert_eq!(answered_by(&sandbox, &["-p", "/review this"]), "real");
    let none: [&[&str]; 7] = [
        &[],
        &["--tools", ""],
        &["--permission-mode", "default"],
        &["--model", "opus"],
        &["--append-system-prompt", "be kind"],
        &["--output-format", "text"],
        &["--disallowedTools", "Bash"],
    ];
    for args in none {
        assert_eq!(answered_by(&sandbox, &[&["-p", "a question"], args].concat()), "from", "{args:?}");
    }
    assert_eq!(answered_by(&sandbox, &["-p", "/etc/hosts has what?"]), "from");
    assert!(model.chats().iter().all(|chat| chat.json()["tools"].is_null()));
}

#[test]
fn the_user_decides() {
    let model = Stub::answering("from here");
    let mut sandbox = stage(&model);
    sandbox.set("LOCAL_LLM_AGENT", "never");
    assert_eq!(answered_by(&sandbox, &["-p", "a question", FREE]), "from");
    sandbox.set("LOCAL_LLM_AGENT", " Always ");
    assert_eq!(answered_by(&sandbox, &["-p", "a question"]), "real");
    sandbox.set("LOCAL_LLM_AGENT", "nonsense");
    let warning = "claude: warning: LOCAL_LLM_AGENT is `nonsense`: expected auto, always or never; using auto\n";
    sandbox.cmd("claude").args(&["-p", "a question"]).run().expect(0, "from here\n", "");
    sandbox.unset("LLM_FAILOVER_QUIET");
    sandbox.cmd("claude").args(&["-p", "a question"]).run().expect(0, "from here\n", warning);
    let output = sandbox.cmd("claude").args(&["-p", "a question", FREE]).run();
    let banner = "claude: this session runs on the local model `tiny`\n";
    assert_eq!((output.code(), output.err()), (0, format!("{warning}{banner}")));
    assert!(output.out().starts_with("real "), "{}", output.out());
}

#[test]
fn no_claude_code_on_the_machine() {
    let model = Stub::answering("from here");
    let mut sandbox = stage(&model);
    sandbox.unset("LLM_FAILOVER_QUIET");
    let path: [PathBuf; 3] = [sandbox.path("bin"), "/usr/bin".into(), "/bin".into()];
    sandbox.set_path(&path);
    let line = "claude: no real Claude Code on this machine: answered without its tools\n";
    sandbox.cmd("claude").args(&["-p", "a question", FREE]).run().expect(0, "from here\n", line);
    // A command line that is wrong is answered by nobody.
    let output = sandbox.cmd("claude").args(&["-p", "a question", FREE, "--nonsense"]).run();
    output.expect(1, "", "error: unknown option '--nonsense'\n");
    let (code, shown) = sandbox.at_terminal("claude", &[]).end();
    assert_eq!(code, 127, "{shown:?}");
    assert!(shown.starts_with("claude: the real Claude Code was not found\n"), "{shown:?}");
    assert_eq!(shown.matches("claude: ").count(), 1, "{shown:?}");
}

#[test]
fn no_local_server() {
    let model = Stub::answering("from here");
    let mut sandbox = stage(&model);
    sandbox.unset("LOCAL_LLM_URL");
    sandbox.unset("LLM_SUPERVISOR");
    let port = free_port().to_string();
    sandbox.set("LLM_PORT", port);
    let plain = sandbox.cmd("claude").args(&["-p", "a question"]).run();
    assert_ne!(plain.code(), 0);
    let output = sandbox.cmd("claude").args(&["-p", "a question", FREE]).run();
    output.expect(plain.code(), &plain.out(), &plain.err());
    let (code, shown) = sandbox.at_terminal("claude", &[]).end();
    assert_eq!(code, 2, "{shown:?}");
    assert!(shown.starts_with("claude: ") && shown.matches("claude: ").count() == 1, "{shown:?}");
}

#[test]
fn a_server_that_does_not_start() {
    let mut home = Home::new(TODAY);
    let port = free_port().to_string();
    home.sandbox.set("LLM_PORT", port);
    home.sandbox.unset("LLM_SUPERVISOR");
    home.sandbox.set("LLM_SERVER_CMD", "echo it is broken >&2; exit 3");
    let output = home.ask("do it", &[FREE]).run();
    assert_eq!(output.code(), 1, "{}{}", output.out(), output.err());
    assert!(output.out().starts_with("API Error: "), "{}", output.out());
    assert_eq!(output.out().lines().count(), 1, "{}", output.out());
    home.is_left_clean().unwrap();
}

const NARROW: u32 = 8192;

#[test]
fn a_narrow_context_gets_a_lean_request() {
    each(&[VERSIONS[0], TODAY], |&version| {
        let mut home = Home::new(version);
        let bash = calls(&[("Bash", serde_json::json!({"command": "echo made > made; cat made"}))]);
        let model = home.plays_in(NARROW, Manner::Pieces, [bash, done()]);
        let output = home.ask("do it", &[FREE, "--append-system-prompt", "Be kind to whales."]).run();
        same("end", (0, format!("{DONE}\n")), (output.code(), output.out()))?;
        let said = stderr(&output);
        let lines: Vec<&str> = said.lines().collect();
        let [session, lean] = lines[..] else { return Err(format!("stderr: {said}")) };
        let session_said = "claude: this session runs on the local model `tiny`; its context of 8192 tokens ";
        same("a session with short instructions", true, session.starts_with(session_said)).map_err(|_| said.clone())?;
        let warning = "claude-failover: warning: the whole request does not fit the local model's context of 8192 tokens: ";
        same("a lean request", true, lean.starts_with(warning)).map_err(|_| said.clone())?;
        let questions = model.questions();
        same("questions that fit", 2, questions.len())?;
        same("results", vec!["made".to_string()], results(&questions[1]))?;
        for question in &questions {
            let system = text(&question["messages"][0]);
            same("short instructions", true, system.len() < 2000 && system.contains("Be kind to whales.")).map_err(|_| system)?;
            let tools = tools(question);
            same("the tools of the trade", true, ["Bash", "Read", "Edit", "Write"].iter().all(|tool| tools.contains(tool)))?;
            same("no others", true, !tools.contains(&"Task") && !tools.contains(&"Agent") && !tools.contains(&"WebFetch"))?;
        }
        home.is_left_clean()
    });
}

#[test]
fn what_is_too_long_all_the_same_is_said_to_be() {
    let items = [(VERSIONS[0], NARROW), (TODAY, NARROW), (TODAY, CONTEXT)];
    each(&items, |&(version, n_ctx)| {
        let mut home = Home::new(version);
        let model = home.plays_in(n_ctx, Manner::Pieces, [done()]);
        let much = "many words ".repeat(n_ctx as usize / 2);
        let output = home.ask("do it", &[FREE]).stdin(much).run();
        same("exit code", 1, output.code())?;
        same("said", true, output.out().starts_with("Prompt is too long")).map_err(|_| output.out())?;
        same("questions that fit", 0, model.questions().len())
    });
}
