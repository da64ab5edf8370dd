//! A clock that was put back: files of ours have times that are still to come.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::Sandbox;
use crate::support::life::{Life, processes_at_home};
use crate::support::play::{Stage, answered, refused};
use crate::support::stub::Stub;
use crate::support::until;

const STATE: &str = ".local/state/claude-failover";

const DAY: Duration = Duration::from_secs(24 * 3600);

fn set_time(path: &Path, time: SystemTime) {
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

fn is_past(path: &Path) -> bool {
    path.metadata().unwrap().modified().unwrap() <= SystemTime::now()
}

#[test]
fn a_failed_start_of_tomorrow_keeps_nobody_from_trying() {
    let life = Life::new("ok");
    let lock = life.write(&format!("{STATE}/server.lock"), "it ended while starting");
    set_time(&lock, SystemTime::now() + DAY);
    let output = life.failover(&["start"]);
    assert_eq!((output.code(), output.out()), (0, format!("local server: UP (port {})\n", life.port)), "{output:?}");
    life.failover(&["stop"]);
    life.assert_nothing_runs();
}

#[test]
fn sessions_that_were_pruned_tomorrow_are_pruned_today() {
    let stub = Stub::answering("from here");
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.switch("local");
    let old = sandbox.write(&format!("{STATE}/sessions/-x/574f7174-d3e1-4f20-89ae-6a109bd3d1b3.jsonl"), "{}\n");
    set_time(&old, SystemTime::now() - 31 * DAY);
    let pruned = sandbox.write(&format!("{STATE}/sessions/pruned"), "");
    set_time(&pruned, SystemTime::now() + DAY);
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "from here\n", "");
    assert!(!old.exists() && is_past(&pruned));
}

/// It would be kept until tomorrow, and for as long as it may be idle besides.
#[test]
fn a_server_that_is_used_tomorrow_is_idle_from_today() {
    let mut stage = Stage::with_server("ok", &refused());
    stage.set("LLM_IDLE_UNLOAD", "30");
    assert_eq!(stage.ask("one").out(), "echo: one\n");
    let uses = stage.path(STATE).join("server.use");
    set_time(&uses, SystemTime::now() + DAY);
    until(20, "its time is one of today", || is_past(&uses));
    // The watcher ends with the server.
    stage.play(&answered("fine"));
    stage.open_breaker(true);
    stage.ask("two").expect(0, "fine\n", "");
    until(20, "nothing is left", || processes_at_home(stage.home()).is_empty());
}
