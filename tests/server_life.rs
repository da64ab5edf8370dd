//! The server as a plain child: started once however many ask, named when it fails, ended whatever it does, and never
//! mistaken for somebody else's process.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::pty::openpty;

use crate::support::life::{Life, at_once, freed, python, signal};
use crate::support::stub::Stub;
use crate::support::{free_port, kill_group, until, wait};

const SEE_LOGS: &str = "see `llm-failover logs`";
const CHECK_COMMAND: &str = "check the server's command and its model: see `llm-failover logs`";
const CHECK_MODEL: &str = "check the model's name or path: see `llm-failover logs`";
const OTHER_PORT: &str = "hint: end that program, or choose another port with LLM_PORT\n";

/// A sandbox in local position.
fn local(mode: &str) -> Life {
    let life = Life::new(mode);
    life.switch("local\n");
    life
}

/// What an ended child has left.
fn finish(mut child: Child) -> (i32, String, String) {
    // The streams are read while it runs: what it writes here fits into a pipe.
    let status = wait(&mut child, Duration::from_secs(60)).expect("an end");
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn a_call_starts_the_server_says_so_and_is_answered() {
    for mode in ["slow", "ok"] {
        let life = local(mode);
        let call = life.begin("claude", &["-p", "hi"]);
        life.wait_for_start();
        life.go();
        assert_eq!(finish(call), (0, "echo: hi\n".into(), life.waiting("claude")));
        life.ask("more").expect(0, "echo: more\n", "");
        life.cmd("agent-llm").args(&["-p", "too"]).run().expect(0, "echo: too\n", "");
        assert_eq!(life.started().len(), 1);
        life.flip_to_claude();
    }
}

/// mlx-lm says that it is well before its model is there; a question that comes then waits and is answered.
#[test]
fn a_server_that_is_up_before_its_model_is_waited_for() {
    let life = Life::new("mlx");
    let flip = life.begin("llm-failover", &["local"]);
    life.wait_for_start();
    until(20, "it looks up", || life.failover(&[]).out().contains("local server: UP"));
    assert_eq!(life.switch_word(), "", "not before it answers");
    life.go();
    assert_eq!(finish(flip), (0, "agent backend now: local\n".into(), life.waiting("llm-failover")));
    life.flip_to_claude();
}

#[test]
fn fifty_calls_at_the_moment_of_a_flip_start_one_server_and_all_are_answered() {
    let life = local("slow");
    let calls: Vec<_> = (0..50).map(|n| life.begin("claude", &["-p", &format!("call {n}")])).collect();
    let flip = life.begin("llm-failover", &["local"]);
    life.wait_for_start();
    life.go();
    for (n, call) in calls.into_iter().enumerate() {
        let (code, stdout, stderr) = finish(call);
        assert_eq!((code, stdout), (0, format!("echo: call {n}\n")), "{stderr}");
        // One that came late has not had to wait.
        assert!(stderr.is_empty() || stderr == life.waiting("claude"), "{stderr}");
    }
    assert_eq!(finish(flip).0, 0);
    assert_eq!(life.started().len(), 1);
    life.flip_to_claude();
}

#[test]
fn each_way_of_not_coming_up_is_named() {
    let log = |line: &str| format!("  log: model_server: {line}\n");
    let failed = |said: &str| format!("llm-failover: the local server did not come up: {said}\n");
    let table = [
        ("dies", failed("it ended while starting (exit status: 7)"), log("cannot read the model"), CHECK_COMMAND),
        ("dies-loading", failed("it ended while starting (exit status: 8)"), log("out of memory"), CHECK_COMMAND),
        ("dead", failed("it runs, but its model does not (it says `unavailable`)"), String::new(), CHECK_MODEL),
        ("hangs", failed("it listens, but does not answer"), String::new(), SEE_LOGS),
    ];
    at_once(table, |(mode, said, log, hint)| {
        let life = Life::new(mode);
        let flip = life.begin("llm-failover", &["local"]);
        life.wait_for_start();
        if mode == "dies-loading" {
            until(20, "it loads", || life.failover(&[]).out().contains("local server: loading"));
        }
        life.go();
        let first = format!("  log: model_server: {mode} on port {}\n", life.port);
        let expected = format!("{}{said}{first}{log}hint: {hint}\n", life.waiting("llm-failover"));
        assert_eq!(finish(flip), (3, String::new(), expected), "{mode}");
        assert_eq!(life.switch_word(), "");
        life.assert_nothing_runs();
    });
}

/// The same for a call: one line, the hint in it.
#[test]
fn a_call_whose_server_cannot_be_started_is_one_line_with_a_hint() {
    let failed = |said: &str| format!("the local server did not come up: {said}");
    let table = [
        ("dies", failed("it ended while starting (exit status: 7)"), CHECK_COMMAND),
        ("dead", failed("it runs, but its model does not (it says `unavailable`)"), CHECK_MODEL),
    ];
    for (mode, said, hint) in table {
        let life = local(mode);
        life.ask("hi").expect_api_error(&format!("{said} · {hint}"), &life.waiting("claude"));
        life.assert_nothing_runs();
    }
    let mut life = local("ok");
    life.set("LLM_SERVER_CMD", "no-such-server --port 1");
    let said = failed("it ended while starting (exit status: 127)");
    let output = life.ask("hi");
    // One that ends at once may have ended before anybody waited.
    let waiting = if output.err().is_empty() { String::new() } else { life.waiting("claude") };
    output.expect_api_error(&format!("{said} · {CHECK_COMMAND}"), &waiting);
    let life = Life::bare();
    life.switch("local");
    let said = "no local server is installed · run `llm-failover setup`, or set LLM_SERVER_CMD to the command that starts your \
                server";
    life.ask("hi").expect_api_error(said, "");
}

#[test]
fn one_that_does_not_come_up_in_time_is_ended() {
    let mut life = Life::new("slow");
    life.set("LLM_START_TIMEOUT", "2");
    let said = "llm-failover: the local server did not come up: no answer after 2 seconds\n";
    let log = format!("  log: model_server: slow on port {}\n", life.port);
    let hint = "hint: raise LLM_START_TIMEOUT if the model needs longer to load\n";
    life.failover(&["local"]).expect(3, "", &format!("{}{said}{log}{hint}", life.waiting("llm-failover")));
    life.assert_nothing_runs();
}

/// mlx-lm lives on when its model's thread has died.
#[test]
fn a_server_that_died_inside_is_replaced() {
    let mut life = local("dead");
    let mut dead = life.begin("llm-failover", &["start"]);
    let first = life.wait_for_start();
    kill_group(&mut dead);
    let command = life.server_command("ok");
    life.set("LLM_SERVER_CMD", command);
    until(20, "it answers", || life.failover(&[]).out().contains("NOT USABLE"));
    let output = life.ask("hi");
    assert!([String::new(), life.waiting("claude")].contains(&output.err()), "{output:?}");
    assert_eq!((output.code(), output.out().as_str()), (0, "echo: hi\n"));
    let started = life.started();
    assert_eq!((started.len(), started[0]), (2, first));
    assert!(!life.processes().iter().any(|(pid, _)| *pid == first));
    life.flip_to_claude();
}

#[test]
fn one_that_will_not_end_is_ended() {
    at_once([("ok", 1), ("two-terms", 2), ("no-term", 2)], |(mode, terms)| {
        let life = Life::new(mode);
        life.flip_to_local();
        life.flip_to_claude();
        let heard = life.events().iter().filter(|event| event.starts_with("term")).count();
        assert_eq!(heard, terms, "{mode}");
    });
}

/// What holds a port, and how it is named.
fn foreign(life: &Life, kind: &str) -> Child {
    let script = match kind {
        "http" => "import http.server as h, sys; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')",
        _ => "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(999)",
    };
    let mut command = Command::new(python());
    command.args(["-c", script, &life.port.to_string()]).arg(life.home()).current_dir(life.home());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(20, "it listens", || std::net::TcpStream::connect(("127.0.0.1", life.port)).is_ok());
    child
}

#[test]
fn a_port_that_is_taken_is_named_with_its_holder_who_is_left_alone() {
    let table =
        [("http", "it is no model server (HTTP 404 for its list of models)"), ("silent", "it listens, but does not answer")];
    at_once(table, |(kind, what)| {
        let life = Life::new("ok");
        let mut holder = foreign(&life, kind);
        let name = fs::read_to_string(format!("/proc/{}/comm", holder.id())).unwrap_or_else(|_| "python".into());
        let port = life.port;
        let taken = format!("port {port} is taken by `{}` (pid {}): {what}", name.trim(), holder.id());
        let waiting = if kind == "silent" { life.waiting("llm-failover") } else { String::new() };
        let said = format!("{waiting}llm-failover: the local server did not come up: {taken}\n{OTHER_PORT}");
        life.failover(&["local"]).expect(3, "", &said);
        assert_eq!((life.switch_word().as_str(), life.started().len()), ("", 0));
        let shown = life.failover(&[]).out();
        assert_eq!(shown.lines().nth(1), Some(&*format!("local server: NOT USABLE (port {port}): {what}")));
        let left = format!("agent backend now: claude\nlocal server on port {port} is not ours to stop: left running\n");
        life.failover(&["claude"]).expect(0, &left, "");
        assert!(holder.try_wait().unwrap().is_none(), "it lives");
        holder.kill().unwrap();
        holder.wait().unwrap();
    });
}

#[test]
fn a_model_server_that_is_there_already_is_used_and_left_running() {
    let stub = Stub::answering("from the other one");
    let mut life = Life::new("ok");
    life.port = stub.port();
    life.set("LLM_PORT", stub.port().to_string());
    life.failover(&["local"]).expect(0, "agent backend now: local\n", "");
    life.ask("hi").expect(0, "from the other one\n", "");
    let left = format!("local server on port {} is not ours to stop: left running\n", life.port);
    life.failover(&["stop"]).expect(0, &left, "");
    life.failover(&["claude"]).expect(0, &format!("agent backend now: claude\n{left}"), "");
    assert_eq!(life.started().len(), 0);
}

#[test]
fn a_server_that_was_killed_between_calls_is_started_again() {
    let life = local("ok");
    life.ask("one").expect(0, "echo: one\n", &life.waiting("claude"));
    for (pid, _) in life.processes() {
        signal(pid, "KILL");
    }
    life.assert_nothing_runs();
    life.ask("two").expect(0, "echo: two\n", &life.waiting("claude"));
    assert_eq!(life.started().len(), 2);
    life.flip_to_claude();
}

#[test]
fn a_server_on_the_port_of_earlier_settings_is_replaced() {
    let mut life = Life::new("ok");
    life.flip_to_local();
    let port = free_port();
    life.set("LLM_PORT", port.to_string());
    let waiting = format!("claude: waiting for the local server to start (port {port}) …\n");
    assert_eq!(life.cmd("claude").args(&["-p", "hi"]).run().err(), waiting);
    let [before, after] = life.started()[..] else { panic!("two starts") };
    let living: Vec<i32> = life.processes().into_iter().map(|(pid, _)| pid).collect();
    assert!(!living.contains(&before) && living.contains(&after), "{living:?}");
    life.flip_to_claude();
}

/// The shell is the group's leader; what it started must be found without it.
#[test]
fn a_server_whose_shell_has_ended_is_still_ours() {
    let mut life = Life::new("ok");
    let command = format!("{}; true", life.server_command("ok"));
    life.set("LLM_SERVER_CMD", command);
    life.flip_to_local();
    let text = fs::read_to_string(life.path(".local/state/claude-failover/server.pid")).unwrap();
    let shell: i32 = text.split(' ').next().unwrap().parse().unwrap();
    assert_ne!(shell, life.started()[0]);
    signal(shell, "KILL");
    until(10, "the shell is gone", || !life.processes().iter().any(|(pid, _)| *pid == shell));
    life.flip_to_claude();
}

#[test]
fn a_pid_file_that_names_somebody_else_harms_nobody() {
    let life = Life::new("ok");
    let mut bystander = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let pid = bystander.id();
    let port = life.port;
    let forged = [format!("{pid} 1 {port}\n"), format!("{pid} 1\n"), format!("{pid}\n"), format!("-{pid} 1 {port}\n")];
    for text in forged.into_iter().chain([format!("1 1 {port}\n"), "junk".into()]) {
        let file = life.write(".local/state/claude-failover/server.pid", &text);
        life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
        assert!(!file.exists(), "{text:?}");
        life.write(".local/state/claude-failover/server.pid", &text);
        life.flip_to_local();
        life.flip_to_claude();
        assert!(bystander.try_wait().unwrap().is_none(), "{text:?}");
    }
    let stale = format!("{} 1 {port}\n", i32::MAX - 1);
    life.write(".local/state/claude-failover/server.pid", stale);
    life.flip_to_local();
    life.flip_to_claude();
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn nobody_starts_what_is_somebody_elses() {
    let mut forced = local("ok");
    forced.set("LLM_SUPERVISOR", "none");
    // Another machine's, as far as the address tells: 127.0.0.1 as a number.
    let mut far = local("ok");
    let host = "2130706433".to_string();
    let port = far.port;
    far.set("LOCAL_LLM_URL", format!("http://{host}:{port}/v1/chat/completions"));
    for (host, life) in [("127.0.0.1".to_string(), forced), (host, far)] {
        let place = format!("http://{host}:{}", life.port);
        let said = format!(
            "the local server did not come up: nothing answers at {place}, and that server is not ours to start\n\
             hint: start it yourself, or check LOCAL_LLM_URL and LLM_SUPERVISOR\n"
        );
        life.failover(&["start"]).expect(3, "", &format!("llm-failover: {said}"));
        let unreached = format!("no answer from the local server at {place}/v1/chat/completions: connection refused");
        life.ask("hi").expect_api_error(&(unreached + " · see `llm-failover status`; check LOCAL_LLM_URL"), "");
        life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
        life.failover(&["stop"]).expect(0, "local server: not running (not ours to stop)\n", "");
        let log = format!("llm-failover: the server at {place} is not ours, and has a log of its own\n");
        life.failover(&["logs"]).expect(0, "", &log);
        assert_eq!(life.started().len(), 0);
        assert!(life.failover(&[]).out().contains("\nsupervisor: none\n"));
    }
}

#[test]
fn the_server_gets_no_key_of_claudes_and_no_way_to_the_hub() {
    let mut life = Life::new("ok");
    for key in ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDECODE", "CLAUDE_CONFIG_DIR"] {
        life.set(key, "secret-of-claude");
    }
    life.set("HF_HOME", "/some/where");
    life.set("LOCAL_LLM_URL_2", "https://other.invalid");
    life.set("LOCAL_LLM_API_KEY_2", "secret-of-another-server");
    life.write(".config/claude-failover/config.env", "LOCAL_LLM_API_KEY=from-the-file\nLOCAL_LLM_MODEL=tiny\n");
    life.flip_to_local();
    let text = fs::read_to_string(life.path("server-env")).unwrap();
    assert!(!text.contains("secret-of-"), "{text}");
    let port = format!("LLM_PORT={}", life.port);
    for line in ["HF_HUB_OFFLINE=1", "HF_HOME=/some/where", "LOCAL_LLM_API_KEY=from-the-file", "LOCAL_LLM_MODEL=tiny", &port] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
    life.flip_to_claude();
    life.set("HF_HUB_OFFLINE", "0");
    life.flip_to_local();
    let text = fs::read_to_string(life.path("server-env")).unwrap();
    assert!(text.lines().any(|line| line == "HF_HUB_OFFLINE=0"), "the user's own word wins");
    life.flip_to_claude();
}

#[test]
fn the_server_outlives_its_callers_ctrl_c() {
    let life = local("slow");
    let call = life.begin("claude", &["-p", "hi"]);
    life.wait_for_start();
    signal(-call.id().cast_signed(), "INT");
    let (_, stdout, _) = finish(call);
    assert_eq!(stdout, "");
    life.go();
    life.ask("again").expect(0, "echo: again\n", "");
    assert_eq!(life.started().len(), 1);
    life.flip_to_claude();
}

/// The caller's session leader ends and its terminal closes, which sends HUP to all that still belong to it.
#[test]
fn the_server_outlives_its_callers_terminal() {
    let life = Life::new("ok");
    let pty = openpty(None, None).unwrap();
    let clone = || Stdio::from(pty.slave.try_clone().unwrap());
    // In a session of its own that owns the terminal: macOS and Linux have script(1), but not with the same options.
    let script = "import fcntl, os, subprocess, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); \
                  sys.exit(subprocess.call(sys.argv[1:]))";
    let mut cmd = life.cmd(python()).args(&["-c", script]).arg(life.path("bin/llm-failover")).arg("local");
    // setsid is refused to the leader of a process group.
    let command = cmd.command();
    let mut plain = Command::new(command.get_program());
    plain.args(command.get_args()).env_clear().current_dir(life.home());
    plain.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut child = plain.stdin(clone()).stdout(clone()).stderr(clone()).spawn().unwrap();
    let status = wait(&mut child, Duration::from_secs(60)).expect("an end");
    assert!(status.success());
    drop(pty);
    assert_eq!(life.switch_word(), "local\n");
    life.ask("still there?").expect(0, "echo: still there?\n", "");
    assert_eq!(life.started().len(), 1);
    life.flip_to_claude();
}

#[test]
fn a_long_log_is_set_aside() {
    let life = Life::new("ok");
    life.write(".local/state/claude-failover/server.log", "x".repeat((1 << 20) + 1));
    life.flip_to_local();
    life.failover(&["logs"]).expect(0, &format!("model_server: ok on port {}\n", life.port), "");
    let old = fs::metadata(life.path(".local/state/claude-failover/server.log.1")).unwrap();
    assert_eq!(old.len(), (1 << 20) + 1);
    life.flip_to_claude();
}

#[test]
fn the_server_has_nothing_of_its_callers_open() {
    let life = Life::new("ok");
    let output = life.cmd("llm-failover").arg("local").stdin("unread").run();
    output.expect(0, "agent backend now: local\n", &life.waiting("llm-failover"));
    let server = life.started()[0];
    if cfg!(target_os = "linux") {
        let log = life.path(".local/state/claude-failover/server.log");
        let open = |number: u8| fs::read_link(format!("/proc/{server}/fd/{number}")).unwrap();
        assert_eq!([open(0), open(1), open(2)], ["/dev/null".into(), log.clone(), log.clone()]);
        let files = fs::read_dir(format!("/proc/{server}/fd")).unwrap().flatten();
        let ours = files.filter_map(|file| fs::read_link(file.path()).ok()).filter(|path| path.starts_with(life.home()));
        let ours: Vec<_> = ours.collect();
        assert!(ours.iter().all(|path| *path == log), "{ours:?}");
    }
    let output = life.failover(&["claude"]);
    let given_back = freed(&output);
    output.expect(0, &format!("agent backend now: claude\n{given_back}"), "");
}
