//! The server under launchd and systemd, by stand-ins that keep state and fail as the real ones do, and their templates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::life::{Life, python, stand_in};
use crate::support::play::first_words;
use crate::support::until;

mod stuck;

const LABEL: &str = "com.local.mlxserver";

/// A sandbox whose server is a service in `mode` of the stand-in model server.
fn life(supervisor: &str, mode: &str) -> Life {
    let mut life = Life::bare();
    life.set("PYTHON", python());
    for (key, dir) in [("LAUNCHD_DIR", life.path("launchd")), ("SYSTEMD_DIR", life.path("systemd"))] {
        fs::create_dir(&dir).unwrap();
        life.set(key, dir);
    }
    let path = [life.path("bin"), stand_in(""), "/usr/bin".into(), "/bin".into()];
    life.set_path(&path);
    match supervisor {
        "launchd" => install_agent(&life, LABEL, mode),
        _ => install_unit(&life, LABEL, mode),
    };
    life
}

fn server_words(life: &Life, mode: &str) -> Vec<String> {
    let words = life.server_command(mode);
    words.split(' ').map(str::to_string).chain([life.port.to_string()]).collect()
}

fn install_agent(life: &Life, label: &str, mode: &str) -> PathBuf {
    let words: String = server_words(life, mode).iter().map(|word| format!("<string>{word}</string>")).collect();
    let log = life.path(".local/state/claude-failover/server.log").display().to_string();
    fs::create_dir_all(life.path(".local/state/claude-failover")).unwrap();
    let text = format!(
        "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>Label</key><string>{label}</string>\
         <key>RunAtLoad</key><false/><key>KeepAlive</key><false/><key>ExitTimeOut</key><integer>1</integer>\
         <key>ProgramArguments</key><array>{words}</array><key>StandardOutPath</key><string>{log}</string>\
         <key>StandardErrorPath</key><string>{log}</string></dict></plist>"
    );
    life.write(&format!("Library/LaunchAgents/{label}.plist"), text)
}

fn install_unit(life: &Life, label: &str, mode: &str) -> PathBuf {
    let text = format!("[Service]\nExecStart={}\n", server_words(life, mode).join(" "));
    life.write(&format!(".config/systemd/user/{label}.service"), text)
}

/// What the supervisor was told to do, without the questions.
fn orders(life: &Life, supervisor: &str) -> Vec<String> {
    let text = fs::read_to_string(life.path(supervisor).join("calls")).unwrap_or_default();
    let is_order = |line: &&str| !["print ", "list ", "--user is-active"].iter().any(|question| line.starts_with(question));
    let home = life.home().to_string_lossy().into_owned();
    text.lines().filter(is_order).map(|line| line.replace(&home, "[HOME]")).collect()
}

fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").or_else(|_| fs::metadata(std::env::temp_dir())).map(|metadata| metadata.uid()).unwrap()
}

#[test]
fn launchd_in_every_shape_starts_once_and_gives_the_memory_back() {
    let plist = format!("[HOME]/Library/LaunchAgents/{LABEL}.plist");
    let (gui, user) = (format!("gui/{}", uid()), format!("user/{}", uid()));
    let usual = |domain: &str| {
        vec![format!("bootstrap {domain} {plist}"), format!("kickstart {domain}/{LABEL}"), format!("bootout {domain}/{LABEL}")]
    };
    let old = [
        format!("bootstrap {user} {plist}"),
        format!("load {plist}"),
        format!("kickstart {user}/{LABEL}"),
        format!("start {LABEL}"),
        format!("unload {plist}"),
    ];
    let table =
        [("", usual(&gui)), ("ssh", usual(&user)), ("elsewhere", usual(&gui)), ("in-progress", usual(&gui)), ("old", old.into())];
    for (mode, expected) in table {
        let mut life = life("launchd", "ok");
        life.set("LAUNCHD_MODE", mode);
        life.flip_to_local();
        life.failover(&["local"]).expect(0, "agent backend now: local\n", "");
        let status = life.failover(&["status"]).out();
        assert!(status.contains("\nsupervisor: launchd\n"), "{status}");
        life.flip_to_claude();
        assert_eq!(orders(&life, "launchd"), expected, "{mode}");
        life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
        assert_eq!(life.started().len(), 1, "{mode}");
    }
}

#[test]
fn an_agent_that_is_loaded_and_rests_is_only_kicked() {
    let life = life("launchd", "ok");
    let plist = life.path(&format!("Library/LaunchAgents/{LABEL}.plist"));
    let launchctl = |args: &[&str]| life.cmd(stand_in("launchctl")).args(args).run();
    let gui = format!("gui/{}", uid());
    launchctl(&["bootstrap", &gui, &plist.to_string_lossy()]).expect(0, "", "");
    let taken = "Bootstrap failed: 5: Input/output error\n";
    launchctl(&["bootstrap", &gui, &plist.to_string_lossy()]).expect(5, "", taken);
    life.flip_to_local();
    assert_eq!(orders(&life, "launchd")[2..], [format!("kickstart {gui}/{LABEL}")]);
    life.flip_to_claude();
    launchctl(&["bootout", &format!("{gui}/{LABEL}")]).expect(3, "", "Boot-out failed: 3: No such process\n");
}

#[test]
fn systemd_starts_once_and_gives_the_memory_back() {
    let life = life("systemd", "ok");
    life.flip_to_local();
    life.failover(&["local"]).expect(0, "agent backend now: local\n", "");
    let status = life.failover(&["status"]).out();
    assert!(status.contains("\nsupervisor: systemd\n"), "{status}");
    life.flip_to_claude();
    let orders = orders(&life, "systemd");
    let expected = ["reset-failed", "start", "stop"].map(|order| format!("--user {order} {LABEL}.service"));
    assert_eq!(orders, expected);
    assert_eq!(life.started().len(), 1);
}

#[test]
fn a_call_in_local_position_starts_the_service() {
    for supervisor in ["launchd", "systemd"] {
        let life = life(supervisor, "slow");
        life.switch("local");
        let mut call = life.begin("claude", &["-p", "hi"]);
        assert_eq!(first_words(&mut call), life.waiting("claude"));
        life.wait_for_start();
        life.go();
        let output = call.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "echo: hi\n", "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        life.flip_to_claude();
    }
}

#[test]
fn a_service_that_ignores_term_is_ended_too() {
    for supervisor in ["launchd", "systemd"] {
        let life = life(supervisor, "no-term");
        life.flip_to_local();
        life.flip_to_claude();
    }
}

#[test]
fn a_service_that_dies_is_named_with_its_log() {
    for (supervisor, how) in [("launchd", "launchd status 1792"), ("systemd", "systemd: failed")] {
        let life = life(supervisor, "dies");
        let output = life.failover(&["local"]);
        let log = match supervisor {
            "launchd" => {
                format!("  log: model_server: dies on port {}\n  log: model_server: cannot read the model\n", life.port)
            }
            _ => String::new(),
        };
        // It may be dead before anybody has waited for it.
        let waited = Some(life.waiting("llm-failover")).filter(|line| output.err().starts_with(line)).unwrap_or_default();
        let said = format!(
            "{waited}llm-failover: the local server did not come up: it ended while starting ({how})\n{log}\
             hint: check the server's command and its model: see `llm-failover logs`\n"
        );
        output.expect(3, "", &said);
        assert_eq!(life.switch_word(), "");
        // What failed once must not stand in the way of the next try.
        match supervisor {
            "launchd" => install_agent(&life, LABEL, "ok"),
            _ => install_unit(&life, LABEL, "ok"),
        };
        life.flip_to_local();
        life.flip_to_claude();
    }
}

#[test]
fn a_supervisor_that_refuses_is_quoted() {
    let table = [
        (
            "launchd",
            "LAUNCHD_MODE",
            "broken",
            "`launchctl bootstrap` failed (exit status: 5): Bootstrap failed: 5: Input/output error",
        ),
        (
            "systemd",
            "SYSTEMD_MODE",
            "no-bus",
            "`systemctl --user start` failed (exit status: 1): Failed to connect to bus: No medium found",
        ),
    ];
    for (supervisor, key, mode, said) in table {
        let mut life = life(supervisor, "ok");
        life.set(key, mode);
        // Some of its refusals pass.
        life.set("LLM_START_TIMEOUT", "2");
        let said = format!("the local server did not come up: {said}");
        life.failover(&["local"]).expect(3, "", &format!("llm-failover: {said}\nhint: see `llm-failover logs`\n"));
        assert_eq!(life.switch_word(), "");
        life.switch("local");
        life.ask("hi").expect_api_error(&format!("{said} · see `llm-failover logs`"), "");
        life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
    }
}

#[test]
fn a_service_that_is_not_installed_is_exit_2() {
    let hint = "hint: run `llm-failover setup`, or set LLM_SERVER_CMD to the command that starts your server\n";
    for (supervisor, file, program) in [
        ("launchd", format!("[HOME]/Library/LaunchAgents/{LABEL}.plist"), "launchctl"),
        ("systemd", format!("[HOME]/.config/systemd/user/{LABEL}.service"), "systemctl"),
    ] {
        let mut life = life(supervisor, "ok");
        life.set("LLM_SUPERVISOR", supervisor);
        fs::remove_file(file.replace("[HOME]", &life.home().to_string_lossy())).unwrap();
        life.failover(&["local"]).expect(2, "", &format!("llm-failover: `{file}` is missing\n{hint}"));
        let bin = life.path("bin");
        life.set_path(&[bin]);
        life.failover(&["local"]).expect(2, "", &format!("llm-failover: `{program}` is not on PATH\n{hint}"));
        life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
    }
}

#[test]
fn the_label_is_a_setting() {
    for supervisor in ["launchd", "systemd"] {
        let mut life = life(supervisor, "dies");
        life.set("LLM_LAUNCHAGENT", "org.example.other");
        match supervisor {
            "launchd" => install_agent(&life, "org.example.other", "ok"),
            _ => install_unit(&life, "org.example.other", "ok"),
        };
        life.flip_to_local();
        life.flip_to_claude();
        let orders = orders(&life, supervisor);
        assert!(orders.iter().all(|order| order.contains("org.example.other")), "{orders:?}");
    }
}

#[test]
fn a_forced_supervisor_wins_over_an_installed_service() {
    let mut life = life("launchd", "dies");
    life.set("LLM_SUPERVISOR", "child");
    let command = life.server_command("ok");
    life.set("LLM_SERVER_CMD", command);
    life.flip_to_local();
    life.flip_to_claude();
    assert_eq!(orders(&life, "launchd"), [""; 0]);
}

#[test]
fn a_server_of_the_service_that_was_killed_is_started_again() {
    for supervisor in ["launchd", "systemd"] {
        let life = life(supervisor, "slow");
        life.go();
        life.flip_to_local();
        let first = life.started()[0];
        fs::remove_file(life.path("go")).unwrap();
        crate::support::life::signal(first, "KILL");
        until(20, "it is gone", || !life.processes().iter().any(|(pid, _)| *pid == first));
        // The next one is let up after the call has said that it waits.
        let mut call = life.begin("claude", &["-p", "again"]);
        assert_eq!(first_words(&mut call), life.waiting("claude"));
        life.go();
        let output = call.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "echo: again\n", "{output:?}");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
        life.flip_to_claude();
    }
}

fn filled(template: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(template)).unwrap();
    let values = [
        ("@LABEL@", LABEL),
        ("@PYTHON@", "/usr/bin/env"),
        ("@MODEL@", "some/model"),
        ("@PORT@", "9420"),
        ("@HUB_CACHE@", "HF_HUB_CACHE=/tmp/hub"),
        ("@COMMAND@", "/usr/bin/env true --host 127.0.0.1"),
        ("@HOME@", "/tmp"),
        ("@LOG@", "/tmp/log"),
    ];
    let text = values.iter().fold(text, |text, (word, value)| text.replace(word, value));
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let left: Vec<_> = text.split('@').skip(1).step_by(2).filter(is_word).filter(|word| *word != "WORDS").collect();
    assert!(left.is_empty(), "{left:?}");
    text
}

fn parser(program: &str) -> Option<Command> {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    there.then(|| Command::new(program))
}

#[test]
fn the_launchagent_is_read_by_real_parsers() {
    let life = Life::bare();
    let plist = life.write("agent.plist", filled("launchd/com.local.mlxserver.plist"));
    let script = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let output = Command::new(python()).args(["-c", script]).arg(&plist).output().unwrap();
    let agent: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!((&agent["Label"], &agent["RunAtLoad"], &agent["KeepAlive"]), (&LABEL.into(), &false.into(), &false.into()));
    let words: Vec<_> = agent["ProgramArguments"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let value = |option: &str| words.iter().position(|word| *word == option).map(|at| words[at + 1]);
    assert_eq!(value("--host"), Some("127.0.0.1"));
    assert_eq!(value("--port"), Some("9420"));
    assert_eq!(value("--model"), Some("some/model"));
    assert!(value("--prefill-step-size").unwrap().parse::<u32>().unwrap() <= 512);
    assert_eq!(agent["EnvironmentVariables"]["HF_HUB_OFFLINE"], "1");
    assert_eq!((&agent["StandardOutPath"], &agent["StandardErrorPath"]), (&"/tmp/log".into(), &"/tmp/log".into()));
    for (program, args) in [("plistutil", &["-i"][..]), ("plutil", &["-lint"])] {
        if let Some(mut command) = parser(program) {
            let output = command.args(args).arg(&plist).output().unwrap();
            assert!(output.status.success(), "{program}: {output:?}");
        }
    }
}

#[test]
fn the_unit_is_read_by_real_parsers() {
    let life = Life::bare();
    let text = filled("systemd/com.local.mlxserver.service");
    let unit = life.write(&format!("{LABEL}.service"), &text);
    let lines: Vec<&str> = text.lines().collect();
    for line in ["Restart=no", "Environment=HF_HUB_OFFLINE=1", "ExecStart=/usr/bin/env /usr/bin/env true --host 127.0.0.1"] {
        assert!(lines.contains(&line), "{line}");
    }
    let verify = |unit: &Path| {
        let mut command = parser("systemd-analyze")?;
        command.args(["--user", "verify"]).arg(unit).env("XDG_RUNTIME_DIR", life.home());
        Some(command.output().unwrap())
    };
    if let Some(output) = verify(&unit) {
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let broken = verify(&life.write("broken.service", text.replace("ExecStart=", "ExecStrat="))).unwrap();
        assert!(!broken.stderr.is_empty(), "it does find faults");
    }
}
