//! Many calls at once, and a state folder in every condition.

use std::fs;
use std::process::Child;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::life::{processes_at_home, processes_naming, signal};
use crate::support::play::{BREAKER, SAID, Stage, act, acts, answered, finish, refused, wait_for_end};
use crate::support::stub::Stub;
use crate::support::until;

const CALLS: usize = 50;

fn calls(stage: &Stage) -> Vec<Child> {
    (0..CALLS).map(|number| stage.begin("claude", &["-p", &format!("call {number}")])).collect()
}

/// Has the user told of each flip, a line each in `told`.
fn told(stage: &Stage) -> Vec<String> {
    fs::read_to_string(stage.path("told")).unwrap_or_default().lines().map(str::to_string).collect()
}

fn tells(stage: &mut Stage) {
    let script = stage.script("tell", "#!/bin/sh\necho \"$1\" >>\"$HOME/told\"\n");
    stage.set("LLM_NOTIFY_CMD", script);
}

const DOWN: &str = "Claude is overloaded. The local model answers until it is back.";
const BACK: &str = "Claude answers again. Calls go to Claude.";

#[test]
fn of_fifty_calls_one_asks_whether_claude_is_back() {
    let stub = Stub::answering("from here");
    let mut stage = Stage::new(&stub, &acts(&[&act("wait go"), &answered("fine")]));
    tells(&mut stage);
    stage.open_breaker(true);
    let mut calls = calls(&stage);
    let probe = stage.run(1).parent;
    let at = calls.iter().position(|call| call.id().cast_signed() == probe).expect("one of them");
    let probe = calls.remove(at);
    for call in calls {
        assert_eq!(finish(call), (0, "from here\n".into(), SAID.into()));
    }
    stage.make("go");
    assert_eq!(finish(probe), (0, "fine\n".into(), String::new()));
    assert_eq!((stage.runs(), stub.chats().len()), (1, CALLS - 1));
    assert_eq!(stage.breaker(), None);
    until(10, "the user is told", || !told(&stage).is_empty());
    assert_eq!(told(&stage), [BACK]);
}

/// A probe that is refused, or dies, leaves it to another one.
#[test]
fn a_probe_that_dies_is_no_probe() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &answered("fine"));
    stage.play_in(1, &act("wait never"));
    stage.open_breaker(true);
    let mut call = stage.begin("claude", &["-p", "hi"]);
    stage.run(1);
    stage.ask("hi").expect(0, "from here\n", SAID);
    call.kill().unwrap();
    call.wait().unwrap();
    stage.ask("hi").expect(0, "fine\n", "");
    assert_eq!(stage.breaker(), None);
}

#[test]
fn fifty_refused_calls_start_one_server_and_tell_once_and_so_do_they_on_the_way_back() {
    let mut stage = Stage::with_server("slow", &refused());
    tells(&mut stage);
    let calls = calls(&stage);
    stage.wait_for_start();
    stage.go();
    for (number, call) in calls.into_iter().enumerate() {
        let (code, stdout, stderr) = finish(call);
        assert_eq!((code, stdout), (0, format!("echo: call {number}\n")), "{stderr}");
        let lines: Vec<&str> = stderr.split_inclusive('\n').filter(|line| *line != stage.waiting("claude")).collect();
        assert_eq!(lines, [SAID], "{stderr:?}");
    }
    assert_eq!(stage.started().len(), 1);
    until(10, "the user is told", || !told(&stage).is_empty());
    assert_eq!(told(&stage), [DOWN]);
    stage.open_breaker(true);
    stage.play(&answered("fine"));
    stage.ask("back?").expect(0, "fine\n", "");
    until(10, "the user is told", || told(&stage).len() > 1);
    assert_eq!(told(&stage), [DOWN, BACK]);
    until(20, "the server is unloaded and its watcher gone", || processes_at_home(stage.home()).is_empty());
    assert_eq!(stage.events().iter().filter(|event| event.starts_with("term")).count(), 1);
    stage.ask("again").expect(0, "fine\n", "");
    assert_eq!((told(&stage).len(), stage.started().len()), (2, 1));
}

#[test]
fn a_server_that_nobody_asks_for_a_while_is_unloaded() {
    let mut stage = Stage::with_server("ok", &refused());
    stage.set("LLM_IDLE_UNLOAD", "30");
    let asks = |prompt: &str| {
        let output = stage.ask(prompt);
        assert_eq!((output.code(), output.out()), (0, format!("echo: {prompt}\n")), "{output:?}");
    };
    let uses = stage.path(".local/state/claude-failover/server.use");
    let rest = |minutes: u64| {
        let file = fs::File::options().append(true).open(&uses).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(minutes * 60)).unwrap();
    };
    asks("one");
    rest(20);
    asks("two");
    assert_eq!(stage.started().len(), 1);
    rest(31);
    until(20, "nothing is left", || processes_at_home(stage.home()).is_empty());
    asks("three");
    assert_eq!(stage.started().len(), 2, "it is started again");
    rest(31);
    until(20, "nothing is left", || processes_at_home(stage.home()).is_empty());
}

#[test]
fn a_watcher_that_was_killed_is_replaced_by_the_next_call() {
    let mut stage = Stage::with_server("ok", &refused());
    stage.set("LLM_IDLE_UNLOAD", "30");
    let watcher = || {
        let ours = processes_at_home(stage.home());
        processes_naming("--unload-when-idle").into_iter().map(|(pid, _)| pid).find(|pid| ours.contains(pid))
    };
    assert_eq!(stage.ask("one").out(), "echo: one\n");
    until(20, "it is watched", || watcher().is_some());
    let first = watcher().unwrap();
    signal(first, "KILL");
    wait_for_end(first);
    assert_eq!(stage.ask("two").out(), "echo: two\n");
    until(20, "it is watched again", || watcher().is_some());
    let uses = fs::File::options().append(true).open(stage.path(".local/state/claude-failover/server.use")).unwrap();
    uses.set_modified(SystemTime::now() - Duration::from_secs(31 * 60)).unwrap();
    until(20, "nothing is left", || processes_at_home(stage.home()).is_empty());
    assert_eq!(stage.started().len(), 1);
}

/// The worst that a lost file costs is one call that asks Claude.
#[test]
fn a_file_that_is_torn_or_lost_asks_claude() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &refused());
    let whole = {
        stage.open_breaker(false);
        fs::read(stage.path(BREAKER)).unwrap()
    };
    let torn = &whole[..whole.len() / 2];
    let others: [&[u8]; 7] =
        [torn, b"", b"null", b"[]", b"\xff\xfe", b"{\"conditions\":{}}", b"{\"conditions\":[{\"class\":\"new\"}]}"];
    for (number, bytes) in others.iter().enumerate() {
        stage.write(BREAKER, bytes);
        stage.ask("hi").expect(0, "from here\n", SAID);
        assert_eq!(stage.runs(), number + 1);
        assert!(stage.breaker().is_some(), "and is whole again");
    }
    fs::remove_dir_all(stage.path(".local")).unwrap();
    stage.ask("hi").expect(0, "from here\n", SAID);
    assert_eq!(stage.runs(), others.len() + 1);
    stage.ask("hi").expect(0, "from here\n", SAID);
    assert_eq!(stage.runs(), others.len() + 1);
}

/// A clock that has jumped back.
#[test]
fn a_file_from_the_future_keeps_nobody_from_claude() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &answered("fine"));
    let ahead = |hours| jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    let condition = json!({"class": "five_hour", "since": ahead(48), "until": ahead(52), "next_probe": ahead(49),
                           "updated": ahead(48), "failures": 3});
    stage.write(BREAKER, json!({ "conditions": [condition] }).to_string());
    stage.ask("hi").expect(0, "fine\n", "");
    assert_eq!(stage.breaker(), None, "Claude has answered");
    // And if it refuses, what is known is of this clock.
    stage.write(BREAKER, json!({ "conditions": [condition] }).to_string());
    stage.play(&refused());
    stage.ask("hi").expect(0, "from here\n", SAID);
    stage.play(&answered("fine"));
    stage.open_breaker(true);
    stage.ask("hi").expect(0, "fine\n", "");
}

/// What cannot be kept is not known to the next call.
#[test]
fn a_state_folder_that_cannot_be_used_costs_memory_and_no_answer() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &refused());
    stage.write(".local/state/claude-failover", "a file");
    for runs in 1..=2 {
        let output = stage.ask("hi");
        let (first, rest) = output.err().split_once('\n').map(|(first, rest)| (first.to_string(), rest.to_string())).unwrap();
        assert!(first.starts_with("claude: warning: this conversation is not kept: cannot open `"), "{first}");
        assert_eq!((output.code(), output.out().as_str(), rest.as_str()), (0, "from here\n", SAID));
        assert_eq!(stage.runs(), runs);
    }
    stage.play(&answered("fine"));
    stage.ask("hi").expect(0, "fine\n", "");
}

#[test]
fn a_lock_that_cannot_be_had_keeps_nobody_from_claude() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &answered("fine"));
    stage.open_breaker(true);
    for name in ["probe.lock", "breaker.lock", "server.use", "unload.lock"] {
        fs::create_dir(stage.path(".local/state/claude-failover").join(name)).unwrap();
    }
    stage.ask("hi").expect(0, "fine\n", "");
}

/// No file can grow: what a full disk is to those who write.
#[test]
fn a_full_disk_costs_memory_and_no_answer() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &refused());
    let script = "trap '' XFSZ; ulimit -f 0; exec claude -p hi </dev/null";
    let full = || stage.cmd("/bin/sh").args(&["-c", script]).run();
    let is_answered_here = || {
        let output = full();
        let (first, rest) = output.err().split_once('\n').map(|(first, rest)| (first.to_string(), rest.to_string())).unwrap();
        assert!(first.starts_with("claude: warning: this conversation is not kept: cannot write `"), "{first}");
        assert_eq!((output.code(), output.out().as_str(), rest.as_str()), (0, "from here\n", SAID));
    };
    is_answered_here();
    assert_eq!(stage.breaker(), None);
    stage.open_breaker(true);
    is_answered_here();
    stage.play(&answered("fine"));
    full().expect(0, "fine\n", "");
    assert_eq!(stage.breaker(), None);
}
