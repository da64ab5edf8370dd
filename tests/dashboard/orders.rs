//! The page's orders: their lines as they come, one of a kind at a time, and what becomes of them when somebody leaves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::caller::{Dashboard, chunk, reply};
use crate::support::life::{Life, signal};
use crate::support::{Sandbox, until, wait};

const LOCAL: &str = r#"{"backend":"local"}"#;

/// The lines without the memory that was given back.
fn said(order: (Vec<String>, Value)) -> (Vec<String>, Value) {
    let without = |line: String| match line.strip_prefix("local server stopped: ") {
        Some(_) => "local server stopped".to_string(),
        None => line,
    };
    (order.0.into_iter().map(without).collect(), order.1)
}

#[test]
fn flips_and_starts_do_what_the_command_does_and_say_the_same() {
    let life = Life::new("ok");
    let dashboard = Dashboard::of(&life);
    let waiting = life.waiting("llm-failover").trim_end().to_string();
    let table = [
        ("server", r#"{"state":"start"}"#, vec![waiting.clone(), format!("local server: UP (port {})", life.port)], "", true),
        ("server", r#"{"state":"stop"}"#, vec!["local server stopped".into()], "", false),
        ("server", r#"{"state":"stop"}"#, vec!["local server: down (lazy)".into()], "", false),
        ("switch", LOCAL, vec![waiting, "agent backend now: local".into()], "local\n", true),
        ("switch", r#"{"backend":"auto"}"#, vec!["agent backend now: auto".into()], "auto\n", true),
        (
            "switch",
            r#"{"backend":"claude"}"#,
            vec!["agent backend now: claude".into(), "local server stopped".into()],
            "claude\n",
            false,
        ),
    ];
    for (kind, body, lines, word, runs) in table {
        assert_eq!(said(dashboard.order(kind, body)), (lines, json!(0)), "{kind} {body}");
        assert_eq!(
            (life.switch_word(), dashboard.get("/api/status").json()["local_server"]["state"] == "up"),
            (word.into(), runs)
        );
    }
    assert_eq!(dashboard.end(), (143, String::new()));
    life.assert_nothing_runs();
}

#[test]
fn an_order_that_fails_says_why_and_its_exit_code() {
    let life = Life::new("ok");
    let mut bare = Sandbox::new();
    bare.set("LLM_LAUNCHAGENT", "nobody");
    let dashboard = Dashboard::of(&bare);
    let (lines, code) = dashboard.order("switch", LOCAL);
    assert_eq!((lines[0].as_str(), code), ("llm-failover: no local server is installed", json!(2)));
    let (lines, code) = dashboard.order("drill", r#"{"trouble":"limit"}"#);
    assert_eq!((lines[0].as_str(), code), ("llm-failover: the real Claude Code was not found", json!(127)));
    drop(life);
}

/// A start that waits for the test, and the connection that has ordered it.
fn waiting_start(life: &Life, dashboard: &Dashboard) -> TcpStream {
    let stream = dashboard.begin_order("switch", LOCAL);
    life.wait_for_start();
    stream
}

#[test]
fn a_flip_goes_on_without_the_one_who_ordered_it_and_is_alone() {
    let life = Life::new("slow");
    let dashboard = Dashboard::of(&life);
    let stream = waiting_start(&life, &dashboard);
    let busy = (409, "another one is not at its end yet".to_string());
    assert_eq!(reply(dashboard.begin_order("switch", LOCAL)).error(), busy);
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    assert_eq!(reply(dashboard.begin_order("switch", LOCAL)).error(), busy);
    life.go();
    until(20, "the flip is done", || life.switch_word() == "local\n");
    until(20, "the next order is taken", || {
        let reply = reply(dashboard.begin_order("switch", r#"{"backend":"claude"}"#));
        assert!([200, 409].contains(&reply.status), "{}", reply.body);
        reply.status == 200
    });
    assert_eq!(life.switch_word(), "claude\n");
    assert_eq!(dashboard.end(), (143, String::new()));
    life.assert_nothing_runs();
}

#[test]
fn a_flip_in_the_middle_ends_with_the_dashboard_and_leaves_nothing() {
    let life = Life::new("slow");
    let dashboard = Dashboard::of(&life);
    let stream = waiting_start(&life, &dashboard);
    assert_eq!(dashboard.end(), (143, String::new()));
    drop(stream);
    assert_eq!(life.switch_word(), "");
    life.assert_nothing_runs();
}

/// A home whose Claude says that it has begun, and then nothing.
fn silent_claude() -> (Life, PathBuf) {
    let mut life = Life::new("ok");
    let begun = life.path("begun");
    let claude = life.script(
        "silent/claude",
        &format!(
            "#!/bin/sh\n[ \"$1\" != --version ] || exec echo 2.1.330\n: >{}\nwhile :; do sleep 0.1; done\n",
            begun.display()
        ),
    );
    life.set("CLAUDE_BIN", claude);
    let temporary = life.path("temporary");
    fs::create_dir(&temporary).unwrap();
    life.set("TMPDIR", temporary);
    (life, begun)
}

#[test]
fn a_drill_tells_its_steps_as_they_come_and_ends_with_its_page() {
    let (life, begun) = silent_claude();
    let dashboard = Dashboard::of(&life);
    let stream = dashboard.begin_order("drill", r#"{"trouble":"hang"}"#);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let first = String::from_utf8(chunk(&mut reader).expect("a line while it runs")).unwrap();
    let line: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert!(line["line"].as_str().unwrap().contains("s  real claude: "), "{first}");
    until(20, "Claude is asked", || begun.exists());
    stream.shutdown(Shutdown::Both).unwrap();
    drop((reader, stream));
    until(20, "the drill has ended", || processes_but(&life, dashboard.pid()).is_empty());
    assert_eq!(fs::read_dir(life.path("temporary")).unwrap().count(), 0, "its folder is gone");
    assert_eq!(life.switch_word(), "");
    assert_eq!(dashboard.end(), (143, String::new()));
}

#[test]
fn a_drill_ends_with_the_dashboard() {
    let (life, begun) = silent_claude();
    let dashboard = Dashboard::of(&life);
    let stream = dashboard.begin_order("drill", r#"{"trouble":"hang"}"#);
    until(20, "Claude is asked", || begun.exists());
    assert_eq!(dashboard.end(), (143, String::new()));
    drop(stream);
    life.assert_nothing_runs();
    assert_eq!(fs::read_dir(life.path("temporary")).unwrap().count(), 0, "its folder is gone");
}

/// What runs for this home beside the dashboard, zombies included: a child that nobody has waited for has no command line.
fn processes_but(life: &Life, dashboard: i32) -> Vec<(i32, String)> {
    let mut all = life.processes();
    all.extend(children(dashboard).into_iter().map(|pid| (pid, "a child".into())));
    all.retain(|(pid, _)| *pid != dashboard);
    all
}

fn children(pid: i32) -> Vec<i32> {
    let output = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pair = |line: &str| {
        let mut words = line.split_whitespace().map(|word| word.parse::<i32>().unwrap());
        Some((words.next()?, words.next()?))
    };
    text.lines().filter_map(pair).filter(|(_, parent)| *parent == pid).map(|(child, _)| child).collect()
}

/// As at a terminal: the key reaches the dashboard's group, and its orders have groups of their own.
#[test]
fn an_interrupt_ends_it_in_the_middle_of_a_flip() {
    let life = Life::new("slow");
    let mut child = life.cmd("llm-failover").args(&["dashboard", "--port", "0"]).spawn();
    drop(child.stdin.take());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("http://127.0.0.1:"), "{line}");
    signal(child.id().cast_signed(), "INT");
    let status = wait(&mut child, Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.signal(), Some(2));
}
