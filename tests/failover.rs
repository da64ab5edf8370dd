//! `llm-failover`: the switch, its order with the server, and what is left when it is cut off.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use crate::support::life::{Life, freed, processes_at_home, signal};
use crate::support::play::BREAKER;
use crate::support::stub::Stub;
use crate::support::{Output, Sandbox, kill_group, until, wait};

const USAGE_HINT: &str = "hint: run `llm-failover --help`\n";
const NOT_INSTALLED: &str = "llm-failover: no local server is installed\n\
     hint: run `llm-failover setup`, or set LLM_SERVER_CMD to the command that starts your server\n";

fn status_text(life: &Life, backend: &str, server: &str, since: &str) -> String {
    let server = server.replace("PORT", &life.port.to_string());
    format!(
        "current backend: {backend}\nlocal server: {server}\nsupervisor: child\nmodel: as served\nreal claude: not found\n{since}"
    )
}

/// Sets the switch at a known time.
fn switch_at_known_time(life: &Life, word: &str) {
    life.switch(word);
    let file = File::options().write(true).open(life.path(".local/state/llm-backend")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
}

#[test]
fn status_says_how_things_stand() {
    let mut life = Life::new("ok");
    life.set("TZ", "UTC");
    let since = "since: 2023-11-14 22:13:20 UTC\n";
    let down = status_text(&life, "claude", "down (lazy)", "");
    for args in [&[][..], &["status"], &["-q"]] {
        life.failover(args).expect(0, &down, "");
    }
    switch_at_known_time(&life, "local\n");
    life.failover(&[]).expect(0, &status_text(&life, "local", "down (lazy)", since), "");
    life.failover(&["start"]).expect(0, &format!("local server: UP (port {})\n", life.port), &life.waiting("llm-failover"));
    life.failover(&[]).expect(0, &status_text(&life, "local", "UP (port PORT)", since), "");
    switch_at_known_time(&life, "nonsense");
    let warning = "llm-failover: warning: the switch `[HOME]/.local/state/llm-backend` says `nonsense`, which is none of \
                   `claude`, `local` and `auto`: using claude\n";
    life.failover(&[]).expect(0, &status_text(&life, "claude", "UP (port PORT)", since), warning);
}

#[test]
fn the_status_line_says_who_answers() {
    let condition = |until: &str| {
        format!(
            r#"{{"conditions":[{{"class":"five_hour","since":"2026-01-01T00:00:00Z","until":{until},
                "next_probe":"2026-01-01T00:00:00Z","updated":"2026-01-01T00:00:00Z","failures":1}}]}}"#
        )
    };
    let year = jiff::Timestamp::now().in_tz("UTC").unwrap().year() + 1;
    let far = format!("{year}-03-04T05:06:00Z");
    let shown = jiff::Timestamp::from_str(&far).unwrap().in_tz("UTC").unwrap().strftime("%a %d %b %H:%M").to_string();
    let table = [
        ("claude", "", "claude\n".to_string()),
        ("local", "", "local some-model\n".to_string()),
        ("auto", "", "auto: claude\n".to_string()),
        ("auto", &condition("null"), "auto: local\n".to_string()),
        ("auto", &condition("\"2026-01-01T05:00:00Z\""), "auto: local\n".to_string()),
        ("auto", &condition(&format!("\"{far}\"")), format!("auto: local until {shown}\n")),
    ];
    for (switch, breaker, expected) in table {
        let mut sandbox = Sandbox::new();
        sandbox.set("TZ", "UTC");
        sandbox.set("LOCAL_LLM_MODEL", "some-model");
        sandbox.switch(switch);
        if !breaker.is_empty() {
            sandbox.write(BREAKER, breaker);
        }
        sandbox.cmd("llm-failover").arg("statusline").run().expect(0, &expected, "");
    }
}

#[test]
fn status_for_programs_is_one_line_of_json() {
    let mut life = Life::new("ok");
    life.set("TZ", "UTC");
    let json = |backend: &str, since: &str, state: &str| {
        let port = life.port;
        let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
        let model = if state == "up" { "\"tiny\"" } else { "null" };
        format!(
            "{{\"backend\":\"{backend}\",\"since\":{since},\"local_server\":{{\"state\":\"{state}\",\"detail\":null,\
             \"host\":\"127.0.0.1\",\"port\":{port},\"url\":\"{url}\",\"is_ours\":true,\"supervisor\":\"child\"}},\"model\":null,\"small_model\":null,\
             \"links\":[{{\"url\":\"{url}\",\"model\":{model},\"state\":\"{state}\",\"detail\":null,\"context\":null,\
             \"clear_text\":false}}],\"agents\":null,\"real_claude\":null,\"conditions\":[],\"calls\":{{\"claude\":0,\"local\":0}}}}\n"
        )
    };
    for args in [&["--json"][..], &["status", "--json"], &["-q", "--json"]] {
        life.failover(args).expect(0, &json("claude", "null", "down"), "");
    }
    life.failover(&["start", "-q"]).expect(0, "", "");
    switch_at_known_time(&life, "local");
    life.failover(&["--json"]).expect(0, &json("local", "\"2023-11-14T22:13:20Z\"", "up"), "");
}

#[test]
fn a_server_that_loads_or_is_of_no_use_is_named_in_the_status() {
    let detail = "it runs, but its model does not: it says `unavailable`";
    for (mode, line) in [("slow", "loading (port PORT)".into()), ("dead", format!("NOT USABLE (port PORT): {detail}"))] {
        let life = Life::new(mode);
        let mut start = life.begin("llm-failover", &["start"]);
        life.wait_for_start();
        let expected = status_text(&life, "claude", &line, "");
        until(20, "the status shows it", || life.failover(&[]).out() == expected);
        kill_group(&mut start);
    }
}

#[test]
fn local_and_claude_and_back_twice_each() {
    for word in ["local", "gemma", "qwen"] {
        let life = Life::new("ok");
        life.failover(&[word]).expect(0, "agent backend now: local\n", &life.waiting("llm-failover"));
        life.failover(&[word]).expect(0, "agent backend now: local\n", "");
        assert_eq!(life.switch_word(), "local\n");
        assert_eq!(life.started().len(), 1);
        life.flip_to_claude();
        life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
        assert_eq!(life.switch_word(), "claude\n");
    }
}

#[test]
fn the_switch_turns_to_local_after_the_server_answers_and_to_claude_before_it_ends() {
    let life = Life::new("ok");
    life.flip_to_local();
    life.flip_to_claude();
    let events = life.events();
    assert_eq!(events[1..], ["asked Hi [absent]", "term [claude]"], "{events:?}");
}

#[test]
fn quiet_before_and_after_the_word() {
    let life = Life::new("ok");
    life.failover(&["-q", "local"]).expect(0, "", "");
    life.failover(&["claude", "--quiet"]).expect(0, "", "");
    life.failover(&["start", "-q"]).expect(0, "", "");
    life.failover(&["--quiet", "stop"]).expect(0, "", "");
    life.failover(&["stop", "-q"]).expect(0, "", "");
}

#[test]
fn misuse_is_one_line_and_exit_1() {
    let life = Life::new("ok");
    let table = [
        (&["frob"][..], "unrecognized argument: frob"),
        (&["local", "now"], "unrecognized argument: now"),
        (&["--frob"], "unrecognized argument: --frob"),
        (&["logs", "-n", "many"], "error parsing option '-n' with value 'many': invalid digit found in string"),
        (&["logs", "-n"], "no value provided for option '-n'."),
    ];
    for (args, said) in table {
        life.failover(args).expect(1, "", &format!("llm-failover: {said}\n{USAGE_HINT}"));
    }
    assert_eq!(life.switch_word(), "");
}

#[test]
fn help_names_every_word() {
    let life = Life::new("ok");
    for args in [&["--help"][..], &["-h"]] {
        let output = life.failover(args);
        assert_eq!((output.code(), output.err()), (0, String::new()));
        for word in ["status", "local", "claude", "start", "stop", "logs", "--quiet", "gemma", "qwen"] {
            assert!(output.out().contains(word), "{word}: {}", output.out());
        }
    }
    for word in ["status", "local", "claude", "start", "stop", "logs"] {
        let output = life.failover(&[word, "--help"]);
        assert_eq!((output.code(), output.err()), (0, String::new()));
        assert!(output.out().starts_with(&format!("Usage: llm-failover {word}")), "{}", output.out());
    }
    life.failover(&["--version"]).expect(0, "llm-failover 0.1.0\n", "");
}

#[test]
fn nothing_installed_is_exit_2_with_what_to_do() {
    let life = Life::bare();
    for word in ["local", "start"] {
        life.failover(&[word]).expect(2, "", NOT_INSTALLED);
    }
    assert_eq!(life.switch_word(), "");
    life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
    life.failover(&["stop"]).expect(0, "local server: down (lazy)\n", "");
}

#[test]
fn a_server_that_does_not_come_up_is_exit_3_with_its_log_and_the_switch_as_it_was() {
    let life = Life::new("dies");
    let said = |life: &Life| {
        format!(
            "{}llm-failover: the local server did not come up: it ended while starting (exit status: 7)\n  \
             log: model_server: dies on port {}\n  log: model_server: cannot read the model\n\
             hint: check the server's command and its model: see `llm-failover logs`\n",
            life.waiting("llm-failover"),
            life.port
        )
    };
    life.failover(&["local"]).expect(3, "", &said(&life));
    assert_eq!(life.switch_word(), "");
    let life = Life::new("dies");
    life.switch("claude\n");
    life.failover(&["local"]).expect(3, "", &said(&life));
    assert_eq!(life.switch_word(), "claude\n");
    life.assert_nothing_runs();
}

#[test]
fn start_stop_and_logs_leave_the_switch_alone() {
    let life = Life::new("ok");
    let none = "llm-failover: no log yet at `[HOME]/.local/state/claude-failover/server.log`\n";
    life.failover(&["logs"]).expect(0, "", none);
    life.failover(&["stop"]).expect(0, "local server: down (lazy)\n", "");
    let up = format!("local server: UP (port {})\n", life.port);
    life.failover(&["start"]).expect(0, &up, &life.waiting("llm-failover"));
    life.failover(&["start"]).expect(0, &up, "");
    life.failover(&["logs"]).expect(0, &format!("model_server: ok on port {}\n", life.port), "");
    life.failover(&["logs", "-n", "0"]).expect(0, "", "");
    let output = life.failover(&["stop"]);
    let given_back = freed(&output);
    output.expect(0, &given_back, "");
    life.assert_nothing_runs();
    assert!(!life.path(".local/state/llm-backend").exists());
    life.write(".local/state/claude-failover/server.log", "1\n\n2\u{1b}[31m\n3\n");
    life.failover(&["logs", "-n", "2"]).expect(0, "2[31m\n3\n", "");
}

fn with_notifier(script: &str) -> Life {
    let mut life = Life::new("ok");
    let notifier = life.script("my notifier", script);
    life.set("LLM_NOTIFY_CMD", notifier);
    life
}

#[test]
fn the_notifier_hears_of_real_flips_only_in_the_known_words() {
    let life = with_notifier("#!/bin/sh\necho \"$#:$1\" >>\"$HOME/heard\"\n");
    let heard = |count: usize| {
        let read = || fs::read_to_string(life.path("heard")).unwrap_or_default();
        until(20, "the notifier is run", || read().lines().count() >= count);
        read()
    };
    let local = "1:agent backend flipped to LOCAL. claude usage paused. flip back: llm-failover claude\n";
    let claude = "1:agent backend flipped back to CLAUDE.\n";
    life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
    life.flip_to_local();
    assert_eq!(heard(1), local);
    life.failover(&["-q", "local"]).expect(0, "", "");
    life.flip_to_claude();
    assert_eq!(heard(2), format!("{local}{claude}"));
    life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
    life.flip_to_local();
    assert_eq!(heard(3), format!("{local}{claude}{local}"));
}

#[test]
fn a_slow_notifier_blocks_nobody_and_a_failing_one_fails_nothing() {
    for script in ["#!/bin/sh\necho out; echo err >&2; exec cat \"$HOME/pipe\"\n", "#!/bin/sh\necho out; echo err >&2; exit 9\n"]
    {
        let life = with_notifier(script);
        nix::unistd::mkfifo(&life.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        life.flip_to_local();
        let output = life.failover(&["claude"]);
        let given_back = freed(&output);
        output.expect(0, &format!("agent backend now: claude\n{given_back}"), "");
    }
}

/// It is the user's own program, and neither Claude Code nor a model server.
#[test]
fn a_notifier_gets_no_credential() {
    let mut life = with_notifier("#!/bin/sh\nenv >\"$HOME/env.new\"; mv \"$HOME/env.new\" \"$HOME/env\"\n");
    let secrets = [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
        "LOCAL_LLM_API_KEY",
        "LOCAL_LLM_API_KEY_2",
        "LLM_GATEWAY_TOKEN",
    ];
    secrets.iter().for_each(|name| life.set(name, "secret-of-a-test"));
    life.set("THE_USERS_OWN", "kept");
    life.flip_to_local();
    until(10, "it is told", || life.path("env").exists());
    let env = fs::read_to_string(life.path("env")).unwrap();
    assert!(env.contains("THE_USERS_OWN=kept\n") && !env.contains("secret-of-a-test"), "{env}");
    life.flip_to_claude();
}

#[test]
fn a_notifier_that_cannot_be_run_is_a_warning() {
    let mut life = Life::new("ok");
    life.flip_to_local();
    let ghost = format!("{}/ghost; touch {0}/made", life.home().display());
    life.set("LLM_NOTIFY_CMD", ghost);
    let warning = "llm-failover: warning: LLM_NOTIFY_CMD `[HOME]/ghost; touch [HOME]/made` cannot be run: no such file or \
                   directory\n";
    let output = life.failover(&["claude"]);
    let given_back = freed(&output);
    output.expect(0, &format!("agent backend now: claude\n{given_back}"), warning);
    assert!(!life.path("made").exists(), "no shell has read it");
}

#[test]
fn a_flip_waits_for_the_one_before_it() {
    let life = Life::new("slow");
    let to_local = life.begin("llm-failover", &["local"]);
    life.wait_for_start();
    let to_claude = life.begin("llm-failover", &["claude"]);
    // Time for a second one that does not wait to do its harm.
    std::thread::sleep(Duration::from_millis(300));
    life.go();
    let [to_local, to_claude] = [to_local, to_claude].map(|mut child| {
        let status = wait(&mut child, Duration::from_secs(30)).expect("an end");
        let output = child.wait_with_output().unwrap();
        (status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    });
    assert_eq!(to_local, (Some(0), "agent backend now: local\n".into(), life.waiting("llm-failover")));
    assert_eq!((to_claude.0, to_claude.2.as_str()), (Some(0), "llm-failover: waiting for another flip to end …\n"));
    assert!(to_claude.1.starts_with("agent backend now: claude\nlocal server stopped: "), "{to_claude:?}");
    assert_eq!(life.switch_word(), "claude\n");
    life.assert_nothing_runs();
}

#[test]
fn many_flips_at_once_end_in_one_of_the_two_states() {
    let life = Life::new("ok");
    let flips: Vec<_> = (0..8).map(|n| life.begin("llm-failover", &[if n % 2 == 0 { "local" } else { "claude" }])).collect();
    for mut flip in flips {
        let status = wait(&mut flip, Duration::from_secs(60)).expect("an end");
        assert!(status.success(), "{:?}", flip.wait_with_output());
    }
    let status: serde_json::Value = serde_json::from_slice(&life.failover(&["--json"]).stdout).unwrap();
    let state = (status["backend"].as_str().unwrap(), status["local_server"]["state"].as_str().unwrap());
    assert!(state == ("local", "up") || state == ("claude", "down"), "{state:?}");
    life.failover(&["-q", "claude"]).expect(0, "", "");
    life.assert_nothing_runs();
}

/// Kills the flip itself and not what it has started.
fn kill_alone(mut child: std::process::Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_before_it_starts_the_server() {
    let life = Life::new("ok");
    life.failover(&["stop", "-q"]).expect(0, "", "");
    let lock = File::options().write(true).open(life.path(".local/state/claude-failover/server.lock")).unwrap();
    lock.lock().unwrap();
    let flip = life.begin("llm-failover", &["local"]);
    until(20, "it has the flip's lock", || {
        let path = life.path(".local/state/claude-failover/switch.lock");
        File::open(path).is_ok_and(|file| file.try_lock().is_err())
    });
    kill_alone(flip);
    drop(lock);
    assert_eq!((life.started().len(), life.switch_word().as_str()), (0, ""));
    life.flip_to_local();
    life.flip_to_claude();
}

/// The server's first moment reads the settings, as everyone does. Long ones take it the time in which it is stopped here.
#[test]
fn killed_before_the_server_has_said_who_it_is() {
    for next in ["claude", "local"] {
        let life = Life::new("ok");
        let settings = life.write(".config/claude-failover/config.env", "A=b\n".repeat(250_000));
        let flip = life.begin("llm-failover", &["local"]);
        // It has this moment for a few milliseconds only, in which ps(1) hardly looks once.
        let is_there = |pid: &i32| match cfg!(target_os = "macos") {
            true => life.processes().iter().any(|(known, args)| known == pid && args.contains("--run-server")),
            false => fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|args| args.contains("--run-server")),
        };
        let begun = Instant::now();
        let server = loop {
            if let Some(pid) = processes_at_home(life.home()).into_iter().find(is_there) {
                break pid;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "the server's first moment");
        };
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGSTOP).unwrap();
        assert!(!life.path(".local/state/claude-failover/server.pid").exists(), "it was stopped in time");
        kill_alone(flip);
        fs::remove_file(&settings).unwrap();
        let mut repair = life.begin("llm-failover", &[next]);
        // Time for a next one that does not wait to take it that nothing runs.
        std::thread::sleep(Duration::from_millis(500));
        signal(server, "CONT");
        assert!(wait(&mut repair, Duration::from_secs(60)).expect("an end").success(), "{:?}", repair.wait_with_output());
        if next == "local" {
            assert_eq!(life.started().len(), 1);
            life.flip_to_claude();
        }
        life.assert_nothing_runs();
    }
}

#[test]
fn killed_while_the_server_loads() {
    for next in ["claude", "local"] {
        let life = Life::new("slow");
        let flip = life.begin("llm-failover", &["local"]);
        life.wait_for_start();
        kill_alone(flip);
        assert_eq!(life.switch_word(), "");
        if next == "local" {
            life.go();
            assert_eq!(life.failover(&["local"]).out(), "agent backend now: local\n");
            assert_eq!(life.started().len(), 1, "it joins the one that was loading");
        }
        let output = life.failover(&["claude"]);
        assert!(output.out().starts_with("agent backend now: claude\n") && output.code() == 0, "{output:?}");
        assert_eq!(life.switch_word(), "claude\n");
        life.assert_nothing_runs();
    }
}

#[test]
fn interrupted_while_the_server_loads() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let life = Life::new("slow");
        let mut flip = life.begin("llm-failover", &["local"]);
        life.wait_for_start();
        signal(flip.id().cast_signed(), name);
        let status = wait(&mut flip, Duration::from_secs(30)).expect("an end");
        let output = flip.wait_with_output().unwrap();
        assert_eq!(status.signal().map(|signal| 128 + signal), Some(code));
        assert_eq!((output.stdout, String::from_utf8(output.stderr).unwrap()), (vec![], life.waiting("llm-failover")));
        assert_eq!(life.switch_word(), "");
        life.assert_nothing_runs();
    }
}

#[test]
fn a_slip_in_the_settings_file_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/claude-failover/config.env", "LLM_PROT=1\nLOCAL_LLM_MODEL=m\nOTHER=x\n");
    let output = sandbox.cmd("llm-failover").arg("status").run();
    assert_eq!(output.err(), "llm-failover: warning: `LLM_PROT` in the settings file is no setting\n");
    sandbox.cmd("claude").arg("--version").run().expect(
        0,
        "2.1.330 (claude-failover 0.1.0; no Claude Code on this machine)\n",
        "",
    );
}

#[test]
fn a_claude_before_ours_on_path_is_told() {
    let mut life = Life::new("ok");
    let other = life.script("other/claude", "#!/bin/sh\n");
    let ours = life.path("bin");
    life.set_path(&[other.parent().unwrap(), &ours, "/usr/bin".as_ref(), "/bin".as_ref()]);
    let warning = "llm-failover: warning: `claude` on your PATH is `[HOME]/other/claude`, which does not read the switch; \
                   put our folder before it\n";
    assert_eq!(life.failover(&["status"]).err(), warning);
    let waiting = life.waiting("llm-failover");
    life.failover(&["local"]).expect(0, "agent backend now: local\n", &format!("{warning}{waiting}"));
    life.set_path(&[&ours, other.parent().unwrap(), "/usr/bin".as_ref(), "/bin".as_ref()]);
    assert_eq!(life.failover(&["status"]).err(), "");
}

#[test]
fn killed_while_the_server_ends() {
    let life = Life::new("no-term");
    life.flip_to_local();
    let flip = life.begin("llm-failover", &["claude"]);
    until(20, "the server hears TERM", || life.events().iter().any(|event| event.starts_with("term")));
    kill_alone(flip);
    assert_eq!(life.switch_word(), "claude\n");
    life.flip_to_claude();
}

#[test]
fn killed_at_any_moment() {
    let life = Life::new("ok");
    for (turn, word) in ["local", "claude"].iter().cycle().take(24).enumerate() {
        let flip = life.begin("llm-failover", &[word]);
        std::thread::sleep(Duration::from_millis(turn as u64 * turn as u64 / 2));
        kill_alone(flip);
    }
    let output = life.failover(&["claude", "-q"]);
    output.expect(0, "", "");
    assert_eq!(life.switch_word(), "claude\n");
    life.assert_nothing_runs();
}

fn cannot_write(path: &str, why: &str) -> String {
    format!("llm-failover: cannot {path}: {why}\n")
}

#[test]
fn a_switch_that_cannot_be_written_is_an_error_and_leaves_no_server() {
    let table = [
        ("file/llm-backend", cannot_write("create `[HOME]/file`", "file exists")),
        ("folder", cannot_write("write `[HOME]/folder`", "not a regular file")),
        ("pipe", cannot_write("write `[HOME]/pipe`", "not a regular file")),
    ];
    for (flag, said) in table {
        let mut life = Life::new("ok");
        life.write("file", "");
        fs::create_dir(life.path("folder")).unwrap();
        nix::unistd::mkfifo(&life.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let path = life.path(flag);
        life.set("LLM_BACKEND_FLAG", path);
        life.failover(&["local"]).expect(1, "", &format!("{}{said}", life.waiting("llm-failover")));
        life.assert_nothing_runs();
        life.failover(&["claude"]).expect(1, "", &said);
        let left = fs::read_dir(life.home()).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().contains('.'));
        assert_eq!(left.map(|entry| entry.file_name()).collect::<Vec<_>>(), [".local"], "{flag}");
        assert_eq!(fs::read_dir(life.path("folder")).unwrap().count(), 0);
    }
}

/// A limit on the size of files refuses the write as a full disk does, and needs no rights.
#[test]
fn a_refused_write_leaves_the_old_word_and_never_keeps_anyone_from_claude() {
    let stub = Stub::answering("hi");
    let mut life = Life::bare();
    life.set("LOCAL_LLM_URL", stub.url());
    life.set("LLM_SUPERVISOR", "none");
    life.switch("claude\n");
    let limited = |word: &str| {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec \"$HOME/bin/llm-failover\" {word}");
        life.cmd("/bin/sh").args(&["-c", &script]).run()
    };
    limited("local").expect(1, "", &cannot_write("write `[HOME]/.local/state/llm-backend`", "file too large"));
    assert_eq!(life.switch_word(), "claude\n");
    let left = || {
        let mut names: Vec<_> = fs::read_dir(life.path(".local/state")).unwrap().flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(left(), ["claude-failover", "llm-backend"]);
    life.switch("local\n");
    limited("claude").expect(0, "agent backend now: claude\n", "");
    assert_eq!(left(), ["claude-failover"], "no word means claude");
}

/// Real disks, where this user may have some: a full one and one that is read-only.
#[cfg(target_os = "linux")]
#[test]
fn full_and_read_only_disks() {
    let may_mount = std::process::Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|o| o.status.success());
    if !may_mount {
        eprintln!("skipped: no mounts for this user");
        return;
    }
    let fill = "head -c 99999 /dev/zero >\"$HOME/disk/fill\" 2>/dev/null";
    let close = "mount -o remount,ro \"$HOME/disk\"";
    let refused = |why| cannot_write("write `[HOME]/disk/llm-backend`", why);
    let stub = Stub::answering("hi");
    let table = [
        (fill, "local", "1\nold\n".to_string(), refused("no space left on device")),
        (close, "local", "1\nold\n".into(), refused("read-only file system")),
        (fill, "claude", "agent backend now: claude\n0\nnone\n".into(), String::new()),
        (close, "claude", "1\nold\n".into(), refused("read-only file system")),
    ];
    for (spoil, word, stdout, stderr) in table {
        let mut life = Life::bare();
        life.set("LOCAL_LLM_URL", stub.url());
        life.set("LLM_SUPERVISOR", "none");
        fs::create_dir(life.path("disk")).unwrap();
        let flag = life.path("disk/llm-backend");
        life.set("LLM_BACKEND_FLAG", flag);
        let old = if word == "local" { "claude" } else { "local" };
        let script = format!(
            "mount -t tmpfs -o size=8k none \"$HOME/disk\" && echo {old} >\"$HOME/disk/llm-backend\"; {spoil}
             \"$HOME/bin/llm-failover\" {word}; echo $?; cd \"$HOME/disk\"; rm -f fill 2>/dev/null
             case $(ls):$(cat llm-backend 2>/dev/null) in *llm-backend:{old}) echo old ;; :) echo none ;; *) ls ;; esac"
        );
        life.cmd("/usr/bin/unshare").args(&["-rm", "/bin/sh", "-c", &script]).run().expect(0, &stdout, &stderr);
    }
}

#[test]
fn state_is_closed_to_others_whatever_the_mask() {
    let life = Life::new("ok");
    let open =
        |word: &str| life.cmd("/bin/sh").args(&["-c", &format!("umask 0; exec \"$HOME/bin/llm-failover\" -q {word}")]).run();
    let _: Output = open("local").expect(0, "", "");
    let state = life.path(".local/state/claude-failover");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&state), 0o700);
    let mut files: Vec<_> = fs::read_dir(&state).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let names: Vec<_> = files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["server.lock", "server.log", "server.pid", "servers.json", "servers.lock", "switch.lock"]);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    open("claude").expect(0, "", "");
}

#[test]
fn junk_settings_do_not_keep_anyone_from_flipping_back() {
    let table = [
        ("LLM_PORT", "many", "LLM_PORT is `many`: expected a port number"),
        ("LLM_SUPERVISOR", "upstart", "LLM_SUPERVISOR is `upstart`: expected `auto`, `launchd`, `systemd`, `child` or `none`"),
        ("LLM_START_TIMEOUT", "-1", "LLM_START_TIMEOUT is `-1`: expected a number of seconds"),
        (
            "LOCAL_LLM_URL",
            "ftp://x",
            "LOCAL_LLM_URL is `ftp://x`: expected the http:// or https:// address of a chat completions endpoint",
        ),
    ];
    for (key, value, said) in table {
        let mut life = Life::new("ok");
        life.switch("local\n");
        life.set(key, value);
        life.failover(&["claude"]).expect(1, "agent backend now: claude\n", &format!("llm-failover: {said}\n"));
        assert_eq!(life.switch_word(), "claude\n");
    }
    let life = Life::new("ok");
    let mut settings = File::create(life.write(".config/claude-failover/config.env", "")).unwrap();
    settings.write_all(b"\xff\xfe junk\nLLM_SUPERVISOR\n").unwrap();
    life.switch("local\n");
    let line = |n| {
        format!(
            "claude-failover: warning: `[HOME]/.config/claude-failover/config.env` line {n} is not KEY=VALUE and is ignored\n"
        )
    };
    life.failover(&["claude"]).expect(0, "agent backend now: claude\n", &(line(1) + &line(2)));
}

#[test]
fn without_a_home_there_is_no_switch() {
    let mut sandbox = Sandbox::new();
    sandbox.set("HOME", "relative");
    let said = "llm-failover: no home folder\nhint: set HOME to an absolute path\n";
    for word in ["status", "local", "claude"] {
        sandbox.cmd("llm-failover").arg(word).run().expect(1, "", said);
    }
}

/// Some service managers leave the variable out.
#[test]
fn without_the_variable_the_home_is_the_one_in_the_password_database() {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).expect("a database").expect("a user");
    let mut sandbox = Sandbox::new();
    sandbox.unset("HOME");
    let found = sandbox.cmd("llm-failover").arg("logs").run();
    sandbox.set("HOME", &user.dir);
    let given = sandbox.cmd("llm-failover").arg("logs").run();
    assert_eq!((found.code(), found.out(), found.err()), (given.code(), given.out(), given.err()));
    assert!(user.dir.is_absolute() && !found.err().contains("no home folder"), "{}", found.err());
}

#[test]
fn a_foreign_signal_to_the_server_is_no_flip() {
    let life = Life::new("ok");
    life.flip_to_local();
    signal(life.started()[0], "KILL");
    life.assert_nothing_runs();
    life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
}
