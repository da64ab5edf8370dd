//! Becoming the real Claude: what it is given through us is what it would have been given without us.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::support::real::{probe, sandbox_with_path};
use crate::support::{Cmd, Output, Sandbox, until, wait};

const TRAIL: &str = "env CLAUDE_FAILOVER_EXEC=";

/// A sandbox whose real Claude prints all that it is given.
fn sandbox() -> Sandbox {
    let sandbox = sandbox_with_path(&["real"]);
    fs::create_dir(sandbox.path("real")).expect("a folder");
    symlink(probe(), sandbox.path("real/claude")).expect("a link");
    sandbox
}

fn real_with(text: &str) -> Sandbox {
    let sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", text);
    sandbox
}

/// The report of the probe: without the one variable that we add, and without what other tests' descriptors change.
fn report(output: &Output, drops: &[&str]) -> Vec<u8> {
    assert_eq!(output.code(), 0, "{output:?}");
    let is_kept = |line: &&[u8]| !drops.iter().any(|start| line.starts_with(start.as_bytes()));
    output.stdout.split_inclusive(|byte| *byte == b'\n').filter(is_kept).flatten().copied().collect()
}

/// Runs `prepare`d calls of the probe itself and of our two shims, and compares their reports.
#[track_caller]
fn same_as_direct(sandbox: &Sandbox, prepare: impl Fn(Cmd) -> Cmd) -> Vec<u8> {
    let direct = prepare(sandbox.cmd(sandbox.path("real/claude"))).run();
    let expected = report(&direct, &["fd "]);
    for shim in ["claude", "agent-llm"] {
        let output = prepare(sandbox.cmd(shim)).run();
        let trails = output.stdout.windows(TRAIL.len()).filter(|window| *window == TRAIL.as_bytes()).count();
        assert_eq!(trails, 1, "{shim}: {}", output.out());
        let seen = report(&output, &[TRAIL, "fd "]);
        assert!(seen == expected, "{shim}:\n{}\ndirectly:\n{}", output.out(), direct.out());
    }
    expected
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let lines: &[&[&[u8]]] = &[
        &[],
        &[b""],
        &[b"-p", b"hi there", b"a\nb\r\n", b"\ttab ", b"", b"'\"$(x)`*\\"],
        &[b"\xff\xfe", b"--model=\x80", "é漢🦀".as_bytes()],
        &[b"--"],
        &[b"--", b"-p", b"--"],
        &[b"-"],
        &[b"--help"],
        &[b"-h"],
        &[b"--version"],
        &[b"-v"],
        &[b"--list"],
        &[b"--install", b"/nowhere"],
        &[b"--no-such-option", b"--output-format", b"xml"],
        &[b"mcp", b"list"],
    ];
    let sandbox = sandbox();
    for line in lines {
        let args: Vec<&OsStr> = line.iter().map(|arg| OsStr::from_bytes(arg)).collect();
        same_as_direct(&sandbox, |cmd| cmd.args(&args));
    }
    let long = "x".repeat(100_000);
    let report = same_as_direct(&sandbox, |cmd| cmd.args(&[&long, "between", &long]));
    assert!(String::from_utf8(report).unwrap().contains(&format!("arg {long}\narg between\narg {long}\n")));
    let output = sandbox.cmd("claude").args(&["-p", "a b", ""]).run();
    let args: Vec<String> = output.out().lines().filter(|line| line.starts_with("arg ")).map(String::from).collect();
    assert_eq!(args, ["arg [HOME]/real/claude", "arg -p", "arg a\\20b", "arg "]);
}

#[test]
fn the_environment_arrives_byte_for_byte_but_for_one_variable() {
    let sandbox = sandbox();
    let odd = OsString::from_vec(b"\xff\xfe=\n x".to_vec());
    same_as_direct(&sandbox, |cmd| {
        let names = ["A", "a b", "lower", "ANTHROPIC_API_KEY", "CLAUDECODE", "LLM_PORT", "LOCAL_LLM_URL", "RUST_LOG", "LC_ALL"];
        names.iter().fold(cmd, |cmd, name| cmd.env(name, &odd).env(&format!("{name}_EMPTY"), ""))
    });
    let output = sandbox.cmd("claude").run();
    let pid = output.err();
    let pid = pid.trim().strip_prefix("pid ").unwrap();
    assert!(output.out().contains(&format!("{TRAIL}1:{pid}:[HOME]/real/claude\n")), "{}", output.out());
}

#[test]
fn a_settings_file_changes_nothing_in_the_environment() {
    let sandbox = sandbox();
    sandbox.write(".config/claude-failover/config.env", "LLM_PORT=1\nFOREIGN=x\nPATH=/nowhere\n");
    let report = same_as_direct(&sandbox, |cmd| cmd);
    let entries = String::from_utf8(report).unwrap().lines().filter(|line| line.starts_with("env ")).count();
    assert_eq!(entries, 2, "HOME and PATH");
}

#[test]
fn stdin_passes_through_unread() {
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let output = sandbox().cmd("claude").arg("-p").stdin(&bytes).run();
    assert_eq!(output.code(), 0);
    assert!(output.stdout.ends_with(&bytes));
}

#[test]
fn exit_codes_are_the_real_ones() {
    let sandbox = real_with("#!/bin/sh\nexit $1\n");
    for code in 0..=255 {
        sandbox.cmd(["claude", "agent-llm"][code % 2]).arg(code.to_string()).run().expect(code as i32, "", "");
    }
}

#[test]
fn deaths_by_signal_are_the_real_ones() {
    let sandbox = real_with("#!/bin/sh\nulimit -c 0\nkill -$1 $$\n");
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGABRT, Signal::SIGKILL, Signal::SIGPIPE, Signal::SIGTERM] {
        let output = sandbox.cmd("claude").arg((signal as i32).to_string()).run();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(output.status.signal(), Some(signal as i32));
        output.expect(128 + signal as i32, "", "");
    }
}

#[test]
fn the_real_one_has_our_pid() {
    let sandbox = sandbox();
    for shim in ["claude", "agent-llm"] {
        let mut child = sandbox.cmd(shim).spawn();
        drop(child.stdin.take());
        assert!(wait(&mut child, Duration::from_secs(30)).is_some_and(|status| status.success()));
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, format!("pid {}\n", child.id()));
    }
}

#[test]
fn signals_to_our_pid_reach_the_real_one() {
    for (signal, name) in [(Signal::SIGINT, "INT"), (Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1")]
    {
        let sandbox = real_with(&format!(
            "#!/bin/sh\ntrap 'echo got {name} >\"$HOME/got\"; exit 42' {name}\n: >\"$HOME/ready\"\nwhile :; do sleep 0.05; done\n"
        ));
        let mut child = sandbox.cmd("claude").spawn();
        until(30, "the real one runs", || sandbox.path("ready").exists());
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(wait(&mut child, Duration::from_secs(30)).and_then(|status| status.code()), Some(42), "{name}");
        assert_eq!(fs::read_to_string(sandbox.path("got")).unwrap(), format!("got {name}\n"));
    }
}

#[test]
fn ignored_signals_stay_ignored() {
    let sandbox = sandbox();
    let ignoring = |program: &OsStr| {
        let script = r#"trap "" HUP INT USR2; exec "$0" -p"#;
        report(&sandbox.cmd("/bin/sh").args(&[OsStr::new("-c"), OsStr::new(script), program]).run(), &[TRAIL, "fd "])
    };
    let direct = ignoring(sandbox.path("real/claude").as_os_str());
    let text = String::from_utf8(direct.clone()).unwrap();
    let signals: Vec<&str> = text.lines().filter(|line| line.starts_with("signal ")).collect();
    let expected = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR2].map(|signal| format!("signal {} ignored", signal as i32));
    assert_eq!(signals, expected);
    assert_eq!(String::from_utf8(ignoring(sandbox.path("bin/claude").as_os_str())).unwrap(), text);
}

#[test]
fn blocked_signals_stay_blocked() {
    let sandbox = sandbox();
    let mask: SigSet = [Signal::SIGUSR1, Signal::SIGTERM].into_iter().collect();
    let before = mask.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).unwrap();
    let report = same_as_direct(&sandbox, |cmd| cmd);
    before.thread_set_mask().unwrap();
    let text = String::from_utf8(report).unwrap();
    let signals: Vec<&str> = text.lines().filter(|line| line.starts_with("signal ")).collect();
    let mut numbers = [Signal::SIGUSR1 as i32, Signal::SIGTERM as i32];
    numbers.sort_unstable();
    assert_eq!(signals, numbers.map(|number| format!("signal {number} blocked")));
}

#[test]
fn the_working_directory_is_kept() {
    let sandbox = sandbox();
    fs::create_dir_all(sandbox.path("deep/a b")).unwrap();
    symlink("deep/a b", sandbox.path("link")).unwrap();
    for dir in ["deep/a b", "link"] {
        same_as_direct(&sandbox, |cmd| cmd.dir(sandbox.path(dir)));
    }
    let script = r#"mkdir -p "$HOME/gone"; cd "$HOME/gone"; rmdir "$HOME/gone"; exec "$0" -p"#;
    let output = sandbox.cmd("/bin/sh").args(&["-c", script]).arg(sandbox.path("bin/claude")).run();
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(output.out().contains("\ncwd No\\20such\\20file\\20or\\20directory\n"), "{}", output.out());
}

#[test]
fn open_descriptors_are_passed_on_and_none_is_added() {
    let sandbox = sandbox();
    let script = r#"exec 3>&- 4>&- 5</dev/null 6>&- 7>&- 8>&- 9>&-; exec "$0" -p"#;
    for program in ["real/claude", "bin/claude"] {
        let output = sandbox.cmd("/bin/sh").args(&["-c", script]).arg(sandbox.path(program)).run();
        let fds: Vec<String> = output.out().lines().filter(|line| line.starts_with("fd ")).map(String::from).collect();
        assert_eq!(fds, ["fd 0", "fd 1", "fd 2", "fd 5"], "{program}");
    }
}

#[test]
fn closed_streams_harm_nothing() {
    let sandbox = real_with("#!/bin/sh\ncat >\"$HOME/stdin\"; echo out; echo err >&2; exit 5\n");
    let cases = [("<&-", "out\n", "err\n"), (">&-", "", "err\n"), ("2>&-", "out\n", ""), ("<&- >&- 2>&-", "", "")];
    for (redirection, stdout, stderr) in cases {
        let script = format!("exec 2>&2 {redirection}; exec \"$0\" -p");
        let output = sandbox.cmd("/bin/sh").args(&["-c", &script]).arg(sandbox.path("bin/claude")).stdin("x").run();
        // A shell complains where it cannot write; that is no business of ours.
        let complaints: Vec<String> = output.err().lines().filter(|line| !line.contains("echo:")).map(String::from).collect();
        let complaints = complaints.iter().map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!((output.code(), output.out().as_str(), complaints.as_str()), (5, stdout, stderr), "{redirection}");
    }
}

#[test]
fn a_terminal_stays_the_controlling_terminal() {
    let sandbox = sandbox();
    let ask = |program: &str| {
        let pty = sandbox.at_terminal(program, &["-p"]);
        pty.wait_for("env PATH=");
        pty.send("typed\n\u{4}");
        let (code, shown) = pty.end();
        let lines: Vec<String> = shown.lines().filter(|line| !line.starts_with(TRAIL)).map(String::from).collect();
        let is_stable = |line: &&String| !["pid ", "fd ", "^D"].iter().any(|start| line.starts_with(start));
        (code, lines.iter().filter(is_stable).cloned().collect::<Vec<_>>())
    };
    let direct = ask(&sandbox.path("real/claude").to_string_lossy());
    assert_eq!(direct.1[..2], ["tty 1 1 1 controlling", "size 33 101"]);
    assert!(direct.1.contains(&"group own session own".to_string()), "{direct:?}");
    for shim in ["claude", "agent-llm"] {
        assert_eq!(ask(shim), direct);
    }
}

#[test]
fn the_interrupt_key_reaches_the_real_one() {
    let sandbox = real_with("#!/bin/sh\ntrap 'echo interrupted; exit 42' INT\necho ready\nwhile :; do sleep 0.05; done\n");
    let pty = sandbox.at_terminal("claude", &[]);
    pty.wait_for("ready");
    pty.send("\u{3}");
    assert_eq!(pty.end(), (42, "ready\n^Cinterrupted\n".into()));
}
