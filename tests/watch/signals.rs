//! Signals and exit codes: what the caller sends reaches the real Claude once, and its end is ours.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;

use crate::support::life::{processes_at_home, signal};
use crate::support::play::{
    NO_ANSWER, SAID, Stage, act, acts, answer, answered, finish, guard_of, init, refused, retry, state, wait_for_end,
};
use crate::support::real::compiled;
use crate::support::stub::Stub;
use crate::support::{until, wait};

/// A stage whose Claude notes these signals, and ends with 7 once it may.
fn noting(names: &[&str]) -> Stage {
    let traps: Vec<String> = names.iter().map(|name| format!("trap {name} -")).collect();
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &traps, &["make ready", "wait go", "exit 7"].map(String::from)]));
    stage
}

#[test]
fn what_is_sent_to_us_alone_is_passed_on_once() {
    for name in ["HUP", "INT", "QUIT", "USR1", "TERM"] {
        let stage = noting(&[name, "USR2"]);
        let call = stage.begin("claude", &["-p", "hi"]);
        stage.wait_for_watch();
        signal(call.id().cast_signed(), name);
        stage.wait_for_signals(&format!("{name}\n"));
        // A second one of the first kind would have come before this.
        signal(call.id().cast_signed(), "USR2");
        stage.wait_for_signals(&format!("{name}\nUSR2\n"));
        stage.make("go");
        assert_eq!(finish(call), (7, String::new(), String::new()), "{name}");
    }
}

#[test]
fn a_signal_ends_us_as_it_ends_claude() {
    for (name, code) in [("TERM", 143), ("HUP", 129), ("INT", 0)] {
        let stage = Stage::bare();
        stage.play(&acts(&[&init(), &act(format!("trap {name} {code}")), &act("make ready"), &act("wait never")]));
        let call = stage.begin("claude", &["-p", "hi"]);
        stage.wait_for_watch();
        signal(call.id().cast_signed(), name);
        assert_eq!(finish(call), (code, String::new(), String::new()), "{name}");
    }
}

#[test]
fn exit_codes_and_deaths_are_claudes_own() {
    let stage = Stage::bare();
    for code in [0, 1, 7, 75, 143, 255] {
        stage.play(&acts(&[&init(), &answer("fine"), &act(format!("exit {code}"))]));
        stage.ask("hi").expect(code, "fine\n", "");
        stage.play(&act(format!("exit {code}")));
        let (code, said) = if code == 0 { (1, NO_ANSWER) } else { (code, "") };
        stage.ask("hi").expect(code, "", said);
    }
    for name in ["HUP", "INT", "QUIT", "KILL", "PIPE", "TERM"] {
        stage.play(&acts(&[&init(), &act(format!("die {name}"))]));
        let output = stage.ask("hi");
        let expected: nix::sys::signal::Signal = format!("SIG{name}").parse().unwrap();
        assert_eq!(output.status.signal(), Some(expected as i32), "{name}: {output:?}");
        output.expect(128 + expected as i32, "", "");
    }
}

/// A runtime that is out of memory aborts, and one with a fault is ended for it.
#[test]
fn crashes_are_claudes_own() {
    let stage = Stage::bare();
    for name in ["ABRT", "SEGV", "USR1", "ALRM"] {
        stage.play(&acts(&[&init(), &act(format!("die {name}"))]));
        let output = stage.ask("hi");
        let expected: nix::sys::signal::Signal = format!("SIG{name}").parse().unwrap();
        assert_eq!(output.status.signal(), Some(expected as i32), "{name}: {output:?}");
    }
}

#[test]
fn the_interrupt_key_reaches_claude_once() {
    let stage = noting(&["INT", "USR2"]);
    let pty = stage.at_terminal("claude", &["-p", "hi"]);
    stage.wait_for_watch();
    pty.send("\u{3}");
    stage.wait_for_signals("INT\n");
    signal(stage.run(1).parent, "USR2");
    stage.wait_for_signals("INT\nUSR2\n");
    stage.make("go");
    assert_eq!(pty.end(), (7, "^C".into()));
}

/// The system tells a hang-up to the session's leader alone, which we may be.
#[test]
fn a_terminal_that_hangs_up_reaches_claude() {
    let stage = noting(&["HUP"]);
    let ends = openpty(None, None).unwrap();
    fcntl(&ends.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    let stream = || Stdio::from(ends.slave.try_clone().unwrap());
    let mut cmd = stage.cmd(compiled("terminal")).arg(stage.path("bin/claude")).args(&["-p", "hi"]).in_our_group();
    let mut call = cmd.command().stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    drop(cmd);
    stage.wait_for_watch();
    drop(ends);
    stage.wait_for_signals("HUP\n");
    stage.make("go");
    assert_eq!(wait(&mut call, Duration::from_secs(20)).and_then(|status| status.code()), Some(7));
}

#[test]
fn the_stop_key_stops_both_and_they_go_on() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &["make ready", "wait go"].map(String::from), &answer("fine"), &act("exit 7")]));
    let script = "set -m; claude -p hi; echo stopped; fg >/dev/null; echo code $?";
    let pty = stage.at_terminal("/bin/bash", &["-c", script]);
    stage.wait_for_watch();
    let run = stage.run(1);
    pty.send("\u{1a}");
    pty.wait_for("\nstopped\n");
    until(10, "both are continued", || [run.pid, run.parent].iter().all(|pid| state(*pid).is_some_and(|state| state != 'T')));
    stage.make("go");
    let (_, shown) = pty.end();
    assert!(shown.ends_with("stopped\nfine\ncode 7\n"), "{shown:?}");
}

#[test]
fn while_the_local_model_answers_signals_are_ours() {
    for name in ["TERM", "HUP", "INT", "QUIT"] {
        let stub = Stub::waiting("/no/where".into(), "");
        let stage = Stage::new(&stub, &refused());
        let mut call = stage.begin("claude", &["-p", "hi"]);
        until(20, "the local model is asked", || !stub.chats().is_empty());
        signal(call.id().cast_signed(), name);
        let status = wait(&mut call, Duration::from_secs(20)).expect("an end");
        let expected: nix::sys::signal::Signal = format!("SIG{name}").parse().unwrap();
        assert_eq!(status.signal(), Some(expected as i32), "{name}: {status:?}");
        wait_for_end(stage.run(1).pid);
    }
}

/// As `nohup` makes it.
#[test]
fn what_the_caller_ignores_harms_no_local_answer() {
    let mut stage = Stage::bare();
    let stub = Stub::waiting(stage.path("go-on"), "from here");
    stage.set("LOCAL_LLM_URL", stub.url());
    stage.play(&refused());
    let script = "trap '' HUP; exec \"$0\" -p hi </dev/null";
    let call = stage.cmd("/bin/sh").args(&["-c", script]).arg(stage.path("bin/claude")).spawn();
    until(20, "the local model is asked", || !stub.chats().is_empty());
    signal(call.id().cast_signed(), "HUP");
    stage.write("go-on", "");
    assert_eq!(finish(call), (0, "from here\n".into(), SAID.into()));
}

/// The system tells a process group of which one is stopped when the shell that has made it ends.
#[test]
fn a_shell_that_ends_ends_no_local_answer() {
    let mut stage = Stage::bare();
    let stub = Stub::waiting(stage.path("go-on"), "from here");
    stage.set("LOCAL_LLM_URL", stub.url());
    stage.play(&acts(&[&init(), &retry(3), &act("wait never")]));
    let script = "set -m; claude -p hi >out 2>err </dev/null & while [ ! -e leave ]; do sleep 0.01; done";
    let shell = stage.cmd("/bin/bash").args(&["-c", script]).spawn();
    until(20, "the local model is asked", || !stub.chats().is_empty());
    until(20, "Claude is stopped", || state(stage.run(1).pid) == Some('T'));
    stage.write("leave", "");
    assert_eq!(finish(shell).0, 0);
    stage.write("go-on", "");
    until(20, "it is answered", || std::fs::read_to_string(stage.path("out")).is_ok_and(|out| out == "from here\n"));
    stage.assert_nothing_runs();
}

/// Or it would do again what the local model does.
#[test]
fn a_claude_that_was_given_up_stays_stopped() {
    let mut stage = Stage::bare();
    let stub = Stub::waiting(stage.path("go-on"), "from here");
    stage.set("LOCAL_LLM_URL", stub.url());
    stage.play(&acts(&[&init(), &retry(3), &act("wait never")]));
    let script = "set -m; claude -p hi; echo stopped; while [ ! -e fg ]; do sleep 0.01; done; fg >/dev/null; echo code $?";
    let pty = stage.at_terminal("/bin/bash", &["-c", script]);
    until(20, "the local model is asked", || !stub.chats().is_empty());
    let run = stage.run(1);
    until(20, "Claude is stopped", || state(run.pid) == Some('T'));
    pty.send("\u{1a}");
    pty.wait_for("stopped\n");
    stage.write("fg", "");
    until(20, "it goes on", || state(run.parent).is_some_and(|state| state != 'T'));
    until(20, "Claude is stopped again", || state(run.pid) == Some('T'));
    stage.write("go-on", "");
    let (_, shown) = pty.end();
    assert!(shown.ends_with("from here\ncode 0\n"), "{shown:?}");
}

#[test]
fn what_the_caller_ignores_claude_ignores() {
    let stage = Stage::bare();
    stage.play(&acts(&[&["make ready", "wait go"].map(String::from), &answered("fine")]));
    let call = stage.cmd("/bin/sh").args(&["-c", "trap '' HUP USR1; exec \"$0\" -p hi"]).arg(stage.path("bin/claude")).spawn();
    stage.wait_for_watch();
    for name in ["HUP", "USR1"] {
        signal(call.id().cast_signed(), name);
    }
    stage.make("go");
    assert_eq!(finish(call), (0, "fine\n".into(), String::new()));
}

/// Whatever runs between us and it for a moment.
#[test]
fn claude_starts_as_we_were_started() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &act("make ready"), &act("wait never")]));
    let script = "trap '' USR1; exec \"$0\" -p hi </dev/null";
    let mut call = stage.cmd("/bin/sh").args(&["-c", script]).arg(stage.path("bin/claude")).spawn();
    let run = stage.wait_for_watch();
    let words = |pid: i32, file: &str| -> Vec<String> {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
        bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let args = words(run.pid, "cmdline");
    assert_eq!(args[0], stage.path("real/claude").to_string_lossy());
    assert_eq!(args[1..args.len() - 1], run.args);
    let (ours, its) = (words(run.parent, "environ"), words(run.pid, "environ"));
    assert!(ours.iter().all(|variable| its.contains(variable)), "{ours:?} {its:?}");
    let added: Vec<_> = its.iter().filter(|variable| !ours.contains(variable)).collect();
    assert!(added.len() == 1 && added[0].contains("/real/claude"), "the way that led there: {added:?}");
    let mask = |pid: i32, name: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_string())).unwrap()
    };
    assert_eq!(mask(run.pid, "SigBlk:"), mask(run.parent, "SigBlk:"));
    // Without those of the C library's own.
    let ignored = u64::from_str_radix(&mask(run.pid, "SigIgn:"), 16).unwrap() & 0x7fff_ffff;
    assert_eq!(ignored, 1 << (nix::sys::signal::Signal::SIGUSR1 as u64 - 1));
    let open_files = |pid: &str| -> Vec<(String, std::path::PathBuf)> {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        files.filter_map(|file| Some((file.file_name().into_string().ok()?, std::fs::read_link(file.path()).ok()?))).collect()
    };
    // What started these tests may have more of them open.
    let inherited = open_files("self");
    for (number, file) in open_files(&run.pid.to_string()) {
        let is_known = ["0", "1", "2"].contains(&&*number) || file == stage.path("real/play");
        assert!(is_known || inherited.contains(&(number.clone(), file.clone())), "{number}: {}", file.display());
    }
    signal(run.parent, "TERM");
    assert_eq!(wait(&mut call, Duration::from_secs(20)).and_then(|status| status.signal()), Some(15));
}

/// One that cannot be run is told as without us.
#[test]
fn a_claude_without_its_interpreter_is_told() {
    let stage = Stage::bare();
    std::fs::remove_file(stage.path("real/claude")).unwrap();
    stage.script("real/claude", "#!/no/where/node\n");
    let why = "claude: cannot run `[HOME]/real/claude`: its interpreter `/no/where/node` is missing\n";
    let output = stage.ask("hi");
    assert_eq!((output.code(), output.out()), (126, String::new()), "{output:?}");
    assert!(output.err().starts_with(why), "{output:?}");
}

#[test]
fn no_signal_but_kill_ends_a_guard() {
    let stage = Stage::bare();
    stage.play(&acts(&[&init(), &act("make ready"), &act("wait never")]));
    let call = stage.begin("claude", &["-p", "hi"]);
    let run = stage.wait_for_watch();
    let guard = guard_of(run.parent).unwrap();
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "PIPE", "ALRM", "TSTP", "TTIN", "TTOU"] {
        signal(guard, name);
    }
    signal(guard, "CONT");
    assert_eq!(state(guard), Some('S'));
    signal(run.parent, "KILL");
    assert_eq!(finish(call).0, 137);
    wait_for_end(run.pid);
    wait_for_end(guard);
}

/// The server that a call has started, and the call, killed in the middle of its answer.
fn left_by_a_killed_call(stage: &Stage) -> i32 {
    let call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_start();
    until(20, "it is watched", || watcher(stage).is_some());
    let us = call.id().cast_signed();
    signal(us, "KILL");
    finish(call);
    watcher(stage).expect("a watcher")
}

fn watcher(stage: &Stage) -> Option<i32> {
    let is_watcher = |pid: &i32| {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        args.split(|byte| *byte == 0).any(|arg| arg == b"--unload-when-idle")
    };
    processes_at_home(stage.home()).into_iter().find(is_watcher)
}

#[test]
fn a_watcher_that_is_asked_to_end_gives_the_memory_back_first() {
    for name in ["TERM", "INT", "HUP", "QUIT"] {
        let stage = Stage::with_server("mlx", &refused());
        let watcher = left_by_a_killed_call(&stage);
        signal(watcher, name);
        until(20, &format!("{name}: nothing is left"), || processes_at_home(stage.home()).is_empty());
        assert_eq!(stage.events().iter().filter(|event| event.starts_with("term")).count(), 1, "{name}");
    }
}

#[test]
fn a_watcher_that_is_asked_to_end_lets_an_answer_end() {
    let stage = Stage::with_server("mlx", &refused());
    let call = stage.begin("claude", &["-p", "hi"]);
    stage.wait_for_start();
    until(20, "it is watched", || watcher(&stage).is_some());
    let watcher = watcher(&stage).unwrap();
    signal(watcher, "TERM");
    // The next one finds it as it was.
    signal(watcher, "TERM");
    assert!(state(watcher).is_some());
    stage.go();
    let (code, stdout, _) = finish(call);
    assert_eq!((code, stdout.as_str()), (0, "echo: hi\n"));
    until(20, "nothing is left", || processes_at_home(stage.home()).is_empty());
}
