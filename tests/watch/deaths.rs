//! Sudden deaths: of us, of Claude, of the local server, of our own helper. Nothing is left, and the next call is right.

use std::io::Write;

use crate::support::life::signal;
use crate::support::play::{
    BREAKER, OVERLOADED, SAID, Stage, act, acts, answer, answered, finish, guard_of, guards_of, init, overload, overload_lines,
    refused, result_line, retry, say, state, wait_for_end,
};
use crate::support::stub::{Stub, piece, sse};
use crate::support::until;

/// Never answers.
fn silent_server() -> Stub {
    Stub::waiting("/no/where".into(), "")
}

fn too_many_retries() -> Vec<String> {
    acts(&[&init(), &retry(1), &retry(2), &retry(3), &act("wait go"), &answered("after all")])
}

/// Kills the call and waits until nothing of it is left.
fn kill_us(stage: &Stage, call: std::process::Child) {
    let run = stage.run(1);
    let guard = guard_of(run.parent).expect("a guard");
    assert_eq!(run.parent, call.id().cast_signed());
    signal(run.parent, "KILL");
    assert_eq!(finish(call).0, 137);
    wait_for_end(run.pid);
    wait_for_end(guard);
    stage.assert_nothing_runs();
}

/// Linux does so for each thread of ours that ends and leaves it to the next one (`forget_original_parent` in `kernel/exit.c`).
fn assert_asked_to_end(stage: &Stage) {
    let signals = stage.left("signals");
    assert!(!signals.is_empty() && signals.lines().all(|name| name == "TERM"), "{signals}");
}

#[test]
fn claude_does_not_outlive_us_at_work() {
    let stage = Stage::bare();
    stage.play_in(1, &acts(&[&init(), &act("make ready"), &act("wait never")]));
    stage.play(&answered("fine"));
    let call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_watch();
    kill_us(&stage, call);
    stage.ask("again").expect(0, "fine\n", "");
}

/// One that will not end is asked first, and killed some seconds later.
#[test]
fn not_even_one_that_will_not_end() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &["trap TERM -", "make ready", "wait never"].map(String::from)]));
    let call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_watch();
    kill_us(&stage, call);
    assert_asked_to_end(&stage);
}

#[test]
fn claude_does_not_outlive_us_stopped() {
    let stub = silent_server();
    let stage = Stage::new(&stub, &too_many_retries());
    let call = stage.begin("claude", &["-p", "hi"]);
    until(20, "the local model is asked", || !stub.chats().is_empty());
    assert_eq!(state(stage.run(1).pid), Some('T'));
    kill_us(&stage, call);
    stage.play(&answered("fine"));
    std::fs::remove_file(stage.path(BREAKER)).unwrap();
    stage.ask("again").expect(0, "fine\n", "");
}

/// As a shutdown does, and `pkill` by our name.
#[test]
fn what_ends_all_of_them_leaves_no_stopped_claude() {
    for name in ["TERM", "HUP", "INT", "QUIT"] {
        let stub = silent_server();
        let stage = Stage::new(&stub, &too_many_retries());
        let call = stage.begin("claude", &["-p", "hi"]);
        until(20, "the local model is asked", || !stub.chats().is_empty());
        let run = stage.run(1);
        until(20, "Claude is stopped and guarded twice", || state(run.pid) == Some('T') && guards_of(run.parent).len() == 2);
        let guards = guards_of(run.parent);
        for pid in guards.iter().chain([&run.pid, &run.parent]) {
            signal(*pid, name);
        }
        assert!(finish(call).0 > 128, "{name}");
        for pid in guards.into_iter().chain([run.pid]) {
            wait_for_end(pid);
        }
        stage.assert_nothing_runs();
    }
}

/// Kills the call and this one of its guards, and waits until nothing of it is left.
fn kill_us_and_guard(stage: &Stage, call: std::process::Child, which: usize) {
    let run = stage.run(1);
    until(20, "it is guarded twice", || guards_of(run.parent).len() == 2);
    let guards = guards_of(run.parent);
    signal(guards[which], "KILL");
    signal(run.parent, "KILL");
    assert_eq!(finish(call).0, 137);
    wait_for_end(run.pid);
    wait_for_end(guards[1 - which]);
}

/// One that wakes up when its parent is gone has a shell's job around it; this one has not.
#[test]
fn a_stopped_claude_outlives_neither_of_its_guards_killed_with_us() {
    for which in [0, 1] {
        let stub = silent_server();
        let stage = Stage::new(&stub, &too_many_retries());
        let call = stage.begin("claude", &["-p", "hi"]);
        until(20, "the local model is asked", || !stub.chats().is_empty());
        kill_us_and_guard(&stage, call, which);
    }
}

/// Nor does one that will not end when it is asked.
#[test]
fn claude_does_not_outlive_us_and_one_of_its_guards() {
    for (which, end) in [(0, "143"), (1, "143"), (0, "-"), (1, "-")] {
        let stage = Stage::bare();
        stage.play(&acts(&[&init(), &[&format!("trap TERM {end}"), "make ready", "wait never"].map(String::from)]));
        let call = stage.begin("claude", &["-p", "hi"]);
        stage.wait_for_watch();
        kill_us_and_guard(&stage, call, which);
        assert_asked_to_end(&stage);
    }
}

/// The system asks it to end, where that can do so.
#[test]
#[cfg(target_os = "linux")]
fn claude_does_not_outlive_all_of_ours() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &["trap TERM 143", "make ready", "wait never"].map(String::from)]));
    let call = stage.begin("claude", &["-p", "hi"]);
    let run = stage.wait_for_watch();
    until(20, "it is guarded twice", || guards_of(run.parent).len() == 2);
    for pid in guards_of(run.parent).into_iter().chain([run.parent]) {
        signal(pid, "KILL");
    }
    assert_eq!(finish(call).0, 137);
    wait_for_end(run.pid);
    assert_asked_to_end(&stage);
}

#[test]
fn claude_does_not_outlive_us_while_the_local_model_answers() {
    let stub = silent_server();
    let stage = Stage::new(&stub, &acts(&[&init(), &overload(), &act("wait never")]));
    let call = stage.begin("claude", &["-p", "hi"]);
    until(20, "the local model is asked", || !stub.chats().is_empty());
    kill_us(&stage, call);
    assert!(stage.breaker().is_some(), "the next calls know of it");
}

#[test]
fn claudes_death_is_ours() {
    let stage = Stage::bare();
    stage.play_in(1, &acts(&[&init(), &answer("half an answer")[..3], &act("make ready"), &act("wait never")]));
    stage.play(&answered("fine"));
    let call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_watch();
    let run = stage.run(1);
    let guard = guard_of(run.parent).unwrap();
    signal(run.pid, "KILL");
    assert_eq!(finish(call), (137, String::new(), String::new()));
    wait_for_end(guard);
    stage.ask("again").expect(0, "fine\n", "");
}

#[test]
fn the_death_of_a_stopped_claude_changes_no_local_answer() {
    let mut stage = Stage::bare();
    stage.play(&too_many_retries());
    let stub = Stub::waiting(stage.path("go-on"), "from here");
    stage.set("LOCAL_LLM_URL", stub.url());
    let call = stage.begin("claude", &["-p", "hi"]);
    until(20, "the local model is asked", || !stub.chats().is_empty());
    signal(stage.run(1).pid, "KILL");
    stage.write("go-on", "");
    assert_eq!(finish(call), (0, "from here\n".into(), SAID.into()));
}

/// If it dies, and nobody else answers, its death is all there is.
#[test]
fn the_death_of_a_stopped_claude_is_ours_if_nobody_answers() {
    let mut stage = Stage::bare();
    stage.play(&too_many_retries());
    let go = stage.path("go-on");
    let stub = Stub::new(move |_, _| until(20, "it may end", || go.exists()));
    stage.set("LOCAL_LLM_URL", stub.url());
    let call = stage.begin("claude", &["-p", "hi"]);
    until(20, "the local model is asked", || !stub.chats().is_empty());
    signal(stage.run(1).pid, "KILL");
    stage.write("go-on", "");
    let (code, stdout, stderr) = finish(call);
    assert_eq!((code, stdout.as_str()), (137, ""));
    assert_eq!((stderr.lines().count(), stderr.starts_with("claude: no local answer: ")), (1, true), "{stderr}");
}

#[test]
fn a_server_that_dies_in_its_answer_leaves_claudes_own_words() {
    let stub = Stub::new(|_, stream| {
        let _ = stream.write_all(sse(&piece("half an")).as_bytes());
    });
    let stage = Stage::new(&stub, &refused());
    let why = "claude: no local answer: the local answer was cut short: the stream ended before its end; this much \
               had come: half an; what follows is Claude's\n";
    stage.ask("hi").expect(1, &format!("{OVERLOADED}\n"), why);
}

#[test]
fn the_call_goes_on_without_its_guard() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &act("make ready"), &act("wait go"), &answer("fine"), &act("exit 7")]));
    let call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_watch();
    let guard = guard_of(stage.run(1).parent).unwrap();
    signal(guard, "KILL");
    until(10, "the guard is dead", || state(guard).is_none());
    stage.make("go");
    assert_eq!(finish(call), (7, "fine\n".into(), String::new()));
}

/// A process that Claude has started may live on, and have Claude's stdout: that is not waited for.
#[test]
fn what_claude_leaves_behind_is_not_waited_for() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &act("hold go"), &answer("fine"), &act("exit 7")]));
    let output = stage.ask("hi");
    stage.make("go");
    output.expect(7, "fine\n", "");
}

/// The same if its last words and its end are seen at once.
#[test]
fn what_claude_leaves_behind_is_not_waited_for_however_late_we_look() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &["make ready", "wait end", "hold go"].map(String::from), &answer("fine"), &act("exit 7")]));
    let mut call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_watch();
    let run = stage.run(1);
    signal(run.parent, "STOP");
    stage.make("end");
    wait_for_end(run.pid);
    signal(run.parent, "CONT");
    let status = crate::support::wait(&mut call, std::time::Duration::from_secs(10));
    stage.make("go");
    assert_eq!(status.and_then(|status| status.code()), Some(7));
}

/// What it does without a stdout is its own affair, and its exit code counts.
#[test]
fn one_that_closes_its_stdout_is_waited_for() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &answer("fine"), &["close", "make ready", "wait go", "exit 7"].map(String::from)]));
    let mut call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_watch();
    assert!(call.try_wait().unwrap().is_none());
    stage.make("go");
    assert_eq!(finish(call), (7, "fine\n".into(), String::new()));
}

#[test]
fn half_a_line_is_passed_on() {
    let stage = Stage::bare();
    let streamed = ["-p", "hi", "--output-format", "stream-json", "--verbose"];
    let half = r#"{"type":"assist"#;
    stage.play(&acts(&[&act(format!("half {half}")), &act("exit 1")]));
    stage.cmd("claude").args(&streamed).run().expect(1, half, "");
    stage.ask("hi").expect(1, "", "");
    stage.play(&acts(&[&act(format!("half {half}")), &act("die KILL")]));
    stage.cmd("claude").args(&streamed).run().expect(137, half, "");
}

/// The last line counts without its newline, too.
#[test]
fn a_last_line_without_an_end_is_a_line() {
    let stage = Stage::bare();
    let end = say(&result_line("fine")).replacen("say", "half", 1);
    stage.play(&acts(&[&init(), &answer("fine")[..4], &act(end)]));
    stage.ask("hi").expect(0, "fine\n", "");
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &[]);
    let [said, end] = overload_lines();
    stage.play(&acts(&[&init(), &act(say(&said)), &act(say(&end).replacen("say", "half", 1)), &act("exit 1")]));
    stage.ask("hi").expect(0, "from here\n", SAID);
}
