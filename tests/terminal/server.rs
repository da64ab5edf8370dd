//! The local server has to be started before the session can go over.

use std::fs;

use super::person::{Person, Process, processes};
use super::{ASKS, Home, VERSIONS};
use crate::auto::{TODAY, Version, each_of_a_share, in_two_hours, same};
use crate::support::life::{processes_at_home, python, signal, stand_in};
use crate::support::{free_port, until};

const WAITS: &str = "claude: waiting for the local server to start";

/// A home whose server is started when it is needed, and its port: see `model_server.py`.
fn home(version: Version, mode: &str) -> (Home, u16) {
    let (mut home, port) = (Home::new(version), free_port());
    let command =
        format!("{} {} {mode} {}", python().display(), stand_in("model_server.py").display(), home.sandbox.home().display());
    home.sandbox.set("LLM_PORT", port.to_string());
    home.sandbox.set("LOCAL_LLM_URL", format!("http://127.0.0.1:{port}"));
    home.sandbox.set("LLM_SUPERVISOR", "child");
    home.sandbox.set("LLM_SERVER_CMD", command);
    (home, port)
}

/// Goes as far as to `local`.
fn wants_local(home: &Home) -> Person<'_> {
    let person = home.session("claude --permission-mode default");
    asks_for_local(home, &person);
    person
}

fn asks_for_local(home: &Home, person: &Person) {
    home.claude_is_at_its_limit(in_two_hours());
    person.is_refused("Of pears.");
    same("servers that were started", "", &events(home)).unwrap();
    person.is_asked("Of plums.", ASKS);
    person.answers("Of plums.", "local");
}

fn events(home: &Home) -> String {
    fs::read_to_string(home.sandbox.path("events")).unwrap_or_default()
}

/// Ends the session, and then the server, with nothing left.
fn ends(home: &Home, person: &Person) -> Result<(), String> {
    person.says("/exit");
    until(60, "an end", || person.exit_code().is_some());
    let output = home.sandbox.cmd("llm-failover").arg("claude").limit(60).run();
    same("the switch", 0, output.code())?;
    person.has_left(0)
}

#[test]
fn the_session_waits_for_it() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let (home, port) = home(version, "slow");
        let person = wants_local(&home);
        person.terminal.wait_for(&format!("claude: waiting for the local server to start (port {port}) \u{2026} "));
        home.sandbox.write("go", "");
        person.reads("echo:");
        same("questions", 1, events(&home).matches("Of plums.").count())?;
        same("the line is gone", false, person.terminal.text().contains("waiting for the local server"))?;
        ends(&home, &person)
    });
}

#[test]
fn ctrl_c_goes_back() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let (home, port) = home(version, "slow");
        let person = wants_local(&home);
        person.terminal.wait_for(&format!("claude: waiting for the local server to start (port {port}) \u{2026} "));
        person.terminal.key("C-c");
        person.terminal.wait_for("The local model was not waited for.");
        person.terminal.wait_for(ASKS);
        home.claude_says("An answer of Claude.");
        person.answers("Of plums.", "wait");
        person.reads("An answer of Claude.");
        let said = home.asked_of_claude().last().map(|said| said.join("/")).unwrap_or_default();
        same(&said, 1, said.matches("Of pears.").count())?;
        same("asked locally", false, events(&home).contains("asked"))?;
        ends(&home, &person)
    });
}

#[test]
fn suspended_while_it_waits() {
    let (home, _) = home(TODAY, "slow");
    let person = home.in_bash("claude --permission-mode default");
    asks_for_local(&home, &person);
    person.terminal.wait_for(WAITS);
    person.is_suspended_and_goes_on();
    person.terminal.wait_for(WAITS);
    home.sandbox.write("go", "");
    person.reads("echo:");
    assert_eq!(events(&home).matches("Of plums.").count(), 1);
}

/// The prompt is on the screen, and the session in Claude Code's files.
#[test]
fn we_are_killed_while_it_waits() {
    let (home, _) = home(TODAY, "slow");
    let person = wants_local(&home);
    person.terminal.wait_for(WAITS);
    signal(person.ours().unwrap(), "KILL");
    until(20, "an end", || person.exit_code() == Some(137));
    until(20, "the settings of the terminal", || !person.setting("after").is_empty());
    assert_eq!(person.setting("before"), person.setting("after"));
    assert_eq!(person.terminal.modes(), "0 0 1");
    // The server loads on, for whoever calls next.
    let is_server = |process: &Process| ["model_server.py", "claude-failover "].iter().any(|name| process.args.contains(name));
    until(5, "nothing else runs", || {
        let here = processes_at_home(home.sandbox.home());
        let may_run = |process: &Process| process.pid == person.terminal.pid() || is_server(process);
        let is_left =
            |process: &Process| here.contains(&process.pid) && !may_run(process) || person.helpers.contains(&process.pid);
        !processes().iter().any(is_left)
    });
}

#[test]
fn one_that_fails_leaves_the_session_with_claude() {
    let (home, _) = home(TODAY, "dies");
    let person = wants_local(&home);
    person.terminal.wait_for("The local model cannot answer: ");
    person.terminal.wait_for(ASKS);
    home.claude_says("An answer of Claude.");
    person.adds("Of plums.", "");
    person.reads("An answer of Claude.");
    let said = home.asked_of_claude().last().map(|said| said.join("/")).unwrap_or_default();
    assert_eq!((said.matches("Of pears.").count(), said.matches("Of plums.").count()), (1, 1), "{said}");
    ends(&home, &person).unwrap();
}
