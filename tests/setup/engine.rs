//! An engine of our own: a stand-in for an installed llama-server, started by a command or by systemd.

use std::fs;
use std::path::PathBuf;

use super::home::{Home, UNINSTALLED, tree};
use super::servers::llama_server;
use crate::support::life::{python, stand_in};
use crate::support::{Output, free_port};

/// A home with an engine to set up. What it needs of the machine is in `tools`.
pub fn home(systemd: &str) -> (Home, PathBuf, u16) {
    let mut home = Home::new();
    let server = format!(
        "#!/bin/sh\nfor last; do :; done\n[ -f \"$2\" ] || exit 1\nexec {} {} ok {} \"$last\"\n",
        python().display(),
        stand_in("model_server.py").display(),
        home.path("noted").display()
    );
    fs::create_dir(home.path("noted")).unwrap();
    home.script("tools/llama-server", &server);
    let model = home.write("models/some-model.gguf", "GGUF");
    let state = home.path("systemd");
    fs::create_dir(&state).unwrap();
    home.set("SYSTEMD_DIR", state);
    home.set("SYSTEMD_MODE", systemd);
    home.set("PYTHON", python());
    let path = [home.path("tools"), stand_in(""), "/usr/bin".into(), "/bin".into()];
    home.set_path(&path);
    (home, model, free_port())
}

fn setup(home: &Home, args: &[&str]) -> Output {
    home.setup(args)
}

/// The names of what is there, without what the stand-ins note.
fn names(home: &Home) -> Vec<String> {
    let is_noted =
        |name: &String| ["noted", "systemd"].iter().any(|noted| name.starts_with(noted)) || name.contains("server.log");
    tree(home.home()).into_keys().filter(|name| !is_noted(name)).collect()
}

#[test]
fn a_server_of_our_own_is_set_up_proven_and_unloaded_again() {
    for (mode, service) in
        [("no-bus", "LLM_SERVER_CMD in the settings"), ("", "systemd, ~/.config/systemd/user/com.local.mlxserver.service")]
    {
        let (home, model, port) = home(mode);
        let (before, model, port) = (names(&home), model.display().to_string(), port.to_string());
        let output = setup(&home, &["--engine", "llama", "--model", &model, "--port", &port]);
        let plan: Vec<String> = output.out().lines().filter_map(|line| line.strip_prefix("  ").map(str::to_string)).collect();
        assert_eq!(output.code(), 0, "{output:?}");
        assert_eq!(
            plan[2..5],
            [
                "set up ~/tools/llama-server with the model ~/models/some-model.gguf".to_string(),
                format!("set up the service that starts it: {service}"),
                format!("write LLM_PORT={port} and LOCAL_LLM_MODEL=some-model into ~/.config/claude-failover/config.env"),
            ]
        );
        assert!(output.out().contains("the local model says: echo: Say hello in one short sentence.\n"), "{output:?}");
        let command = format!(
            "LLM_SERVER_CMD=exec {}/tools/llama-server -m {model} --host 127.0.0.1 -c 32768 --port \"$LLM_PORT\"\n",
            home.home().display()
        );
        let config = format!("LLM_PORT={port}\nLOCAL_LLM_MODEL=some-model\n");
        assert_eq!(home.config(), if mode == "no-bus" { config + &command } else { config });
        let status = home.cmd("llm-failover").arg("status").run().out();
        assert!(status.contains("current backend: claude\nlocal server: down (lazy)\n"), "{status}");

        // What is not said again stays.
        let first = (home.config(), names(&home));
        let again = setup(&home, &[]);
        assert_eq!((again.code(), (home.config(), names(&home))), (0, first), "{again:?}");

        // One that is up stays up.
        home.cmd("llm-failover").arg("start").limit(60).run();
        let again = setup(&home, &["--yes"]);
        assert_eq!(again.code(), 0, "{again:?}");
        let status = home.cmd("llm-failover").arg("status").run().out();
        assert!(status.contains(&format!("local server: UP (port {port})\n")), "{status}");

        // Another server takes its place.
        let other = llama_server();
        let moved = setup(&home, &["--url", &other.url()]);
        assert_eq!(moved.code(), 0, "{moved:?}");
        let model = "/models/Qwen3-8B-Q4_K_M.gguf";
        assert_eq!(home.config(), format!("LOCAL_LLM_MODEL={model}\nLOCAL_LLM_URL={}\nLLM_SUPERVISOR=none\n", other.url()));
        assert!(!home.path(".config/systemd/user/com.local.mlxserver.service").exists());
        setup(&home, &["--uninstall"]).expect(0, UNINSTALLED, "");
        assert_eq!(names(&home), before);
    }
}

#[test]
fn a_running_server_of_ours_ends_with_the_uninstall() {
    let (home, model, port) = home("no-bus");
    let before = names(&home);
    let output = setup(&home, &["--engine", "llama", "--model", &model.display().to_string(), "--port", &port.to_string()]);
    assert_eq!(output.code(), 0, "{output:?}");
    home.cmd("llm-failover").arg("local").limit(60).run();
    assert_eq!(home.switch_word(), "local\n");
    setup(&home, &["--uninstall"]).expect(0, UNINSTALLED, "");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it has ended");
    assert_eq!(names(&home), before);
}

#[test]
fn what_stands_in_the_way_of_an_engine_is_said_before_anything_is_made() {
    let (mut home, model, port) = home("no-bus");
    // Nothing answers there.
    home.set("HF_ENDPOINT", format!("http://127.0.0.1:{}", free_port()));
    let (port, model) = (port.to_string(), model.display().to_string());
    for (args, config, said) in [
        (vec!["--engine", "llama", "--model", "org/name/file.gguf"], "", "127.0.0.1"),
        (vec!["--engine", "llama", "--model", "none.gguf"], "", "none.gguf"),
        (vec!["--engine", "codex"], "", "`codex` is no engine\nhint: choose auto, mlx, llama or none\n"),
        (vec!["--engine", "llama", "--model", &model, "--port", "0"], "", "`0` is no port"),
        (
            vec!["--engine", "llama", "--model", &model, "--port", &port],
            "LOCAL_LLM_URL=http://127.0.0.1:1/v1\n",
            "config.env has `LOCAL_LLM_URL=http://127.0.0.1:1/v1`\nhint: take that out, and run this again\n",
        ),
    ] {
        home.write(".config/claude-failover/config.env", config);
        let before = names(&home);
        let output = setup(&home, &args);
        assert_eq!((output.code(), output.out().as_str()), (1, ""), "{output:?}");
        assert!(output.err().contains(said) && output.err().lines().count() <= 2, "{args:?}: {}", output.err());
        assert_eq!(names(&home), before, "{args:?}");
    }
}
