//! `llm-failover setup` in a home of its own, against stand-ins of the model servers.

mod at_terminal;
mod broken_off;
pub mod engine;
pub mod home;
mod hostile;
mod hub;
mod refusals;
pub mod servers;
mod uninstall;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::setup::home::{Home, tree};
use crate::setup::servers::{llama_server, lm_studio, mlx_lm, ollama, vllm};

const QWEN: (&str, servers::OllamaModel) = ("qwen3:8b", (None, 40_960, true, 5_000_000_000));

/// What a setup prints around the lines that are its own.
fn printed(home: &Home, brain: &[&str], settings: &str, notes: &[&str]) -> String {
    let mut lines = vec![home.put_line(), "link claude, agent-llm and llm-failover in ~/.local/share/claude-failover/bin".into()];
    lines.extend(brain.iter().map(|line| (*line).to_string()));
    lines.push(settings.into());
    lines.push("ask the local model by one call; the switch stays as it is".into());
    let plan: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    let done: String = lines.iter().map(|line| format!("==> {line}\n")).collect();
    let notes: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!("setup will:\n{plan}{done}the local model says: Hello from here.\n{notes}{}", home::NOT_ON_PATH)
}

/// The line of the plan for a server that runs.
fn used(model: &str, kind: &str, port: u16) -> String {
    let names = "LOCAL_LLM_URL, LOCAL_LLM_MODEL and LLM_SUPERVISOR";
    format!("use `{model}` of {kind} at 127.0.0.1:{port}: write {names} into ~/.config/claude-failover/config.env")
}

#[test]
fn each_kind_of_server_is_found_and_answers() {
    let small = "has a context of 4096 tokens, which is little for agents";
    let note = format!("`qwen/qwen3-8b` {small}: `lms load qwen/qwen3-8b --context-length 32768`");
    let table = [
        ("lm studio", lm_studio(), "LM Studio", "qwen/qwen3-8b", vec![note]),
        ("llama", llama_server(), "llama.cpp", "/models/Qwen3-8B-Q4_K_M.gguf", vec![]),
        ("url", vllm(None), "vLLM", "Qwen/Qwen3-8B", vec![]),
        ("url", mlx_lm(), "mlx-lm", "default_model", vec![]),
    ];
    for (place, stub, kind, model, notes) in table {
        let mut home = Home::new();
        match place {
            "lm studio" => home.lm_studio_at(stub.port()),
            "llama" => home.set("LLAMA_ARG_PORT", stub.port().to_string()),
            _ => {}
        }
        let url = format!("http://127.0.0.1:{}", stub.port());
        let args: &[&str] = if place == "url" { &["--url", &url] } else { &[] };
        let settings = format!("LOCAL_LLM_URL={}, LOCAL_LLM_MODEL={model}, LLM_SUPERVISOR=none", stub.url());
        let line = used(model, kind, stub.port());
        let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
        home.setup(args).expect(0, &printed(&home, &[], &line, &notes), "");
        assert_eq!(home.config(), settings.replace(", ", "\n") + "\n", "{model}");
        let state = fs::metadata(home.path(".local/state/claude-failover")).unwrap();
        assert_eq!(state.permissions().mode() & 0o777, 0o700);
        home.call(&["-p", "hi"]).expect(0, "Hello from here.\n", "");
        assert_eq!(fs::read_to_string(home.path(".local/state/llm-backend")).unwrap(), "local\n");
    }
}

#[test]
fn ollama_gets_a_variant_with_more_context_if_that_is_wanted() {
    let (from, made) = ("qwen3:8b", "qwen3:8b-32k");
    let small = "`qwen3:8b` gets from Ollama, unless that is told otherwise, a context of 4096 tokens, which is little for agents: run \
                 this with --larger-context, or start `ollama serve` with OLLAMA_CONTEXT_LENGTH=32768";
    let table = [
        (None, 4096, from, false, vec![small]),
        (Some("--no-larger-context"), 4096, from, false, vec![small]),
        (Some("--larger-context"), 4096, made, true, vec![]),
        // It was asked first, which has loaded the model.
        (Some("--larger-context"), 32_768, from, false, vec![]),
    ];
    for (option, default, model, is_made, notes) in table {
        let (stub, models) = ollama(&[QWEN, ("nomic-embed-text:latest", (None, 2048, false, 1))], default);
        let mut home = Home::new();
        home.ollama_at(stub.port());
        let at = format!("127.0.0.1:{}", stub.port());
        let planned = if option == Some("--larger-context") { made } else { from };
        let line = format!(
            "have Ollama at {at} make `{made}` of `{from}`, with a context of 32768 tokens, unless its context has as much already"
        );
        let brain: Vec<&str> = if planned == made { vec![&line] } else { vec![] };
        let settings = used(planned, "Ollama", stub.port());
        let mut expected = printed(&home, &brain, &settings, &notes);
        if planned != model {
            expected = expected.replace(&format!("==> {settings}"), &format!("==> {}", used(model, "Ollama", stub.port())));
            let begin = format!("==> {line}\n");
            expected = expected.replace(&begin, &format!("{begin}Ollama gives `{from}` a context of 32768 tokens already\n"));
        }
        home.setup(&option.into_iter().collect::<Vec<_>>()).expect(0, &expected, "");
        assert!(home.config().contains(&format!("\nLOCAL_LLM_MODEL={model}\n")), "{}", home.config());
        assert_eq!(models.lock().unwrap().contains_key(made), is_made, "{option:?}");
        home.setup(&["--uninstall"]).expect(0, home::UNINSTALLED, "");
        assert_eq!(models.lock().unwrap().len(), 2, "{option:?}");
    }
}

#[test]
fn an_address_that_the_user_wrote_in_another_way_is_the_same() {
    let (stub, home) = (llama_server(), Home::new());
    let own = format!("LOCAL_LLM_URL=http://127.0.0.1:{}/v1\n", stub.port());
    home.write(".config/claude-failover/config.env", &own);
    let output = home.setup(&[]);
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(home.config().starts_with(&own), "{}", home.config());
    home.setup(&["--uninstall"]).expect(0, home::UNINSTALLED, "");
    assert_eq!(home.config(), own);
}

#[test]
fn without_a_server_all_else_is_set_up() {
    let home = Home::new();
    let steps = [
        home.put_line(),
        "link claude, agent-llm and llm-failover in ~/.local/share/claude-failover/bin".into(),
        "write LLM_SUPERVISOR=none into ~/.config/claude-failover/config.env".into(),
    ];
    let [plan, done] = ["  ", "==> "].map(|begin| steps.iter().map(|line| format!("{begin}{line}\n")).collect::<String>());
    let note = "note: say in the settings file where your server is, or run this again with --url\n";
    let (end, _) = home::NOT_ON_PATH.split_once("next: ").unwrap();
    home.setup(&["--engine", "none"]).expect(0, &format!("setup will:\n{plan}{done}{note}{end}"), "");
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let (stub, models) = ollama(&[QWEN], 4096);
    let mut home = Home::new();
    home.ollama_at(stub.port());
    home.set("SHELL", "/bin/bash");
    let before = tree(home.home());
    let dry = home.setup(&["--yes", "--dry-run"]);
    assert_eq!((tree(home.home()), models.lock().unwrap().len()), (before, 1));
    assert_eq!((dry.code(), dry.err()), (0, String::new()));
    let done = home.setup(&["--yes"]);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(done.out().starts_with(&dry.out()), "{}\n{}", dry.out(), done.out());
    let steps = |begin: &str, text: &str| {
        text.lines().filter_map(|line| line.strip_prefix(begin).map(str::to_string)).collect::<Vec<_>>()
    };
    assert_eq!(steps("  ", &dry.out()), steps("==> ", &done.out()));
    let last = [
        "add to ~/.bashrc and ~/.profile: export PATH=\"$HOME/.local/share/claude-failover/bin:$PATH\"",
        "show who answers in Claude Code's status line: ~/.claude/settings.json",
        "ask the local model by one call; the switch stays as it is",
    ];
    assert!(steps("  ", &dry.out()).ends_with(&last.map(String::from)), "{}", dry.out());
    home.setup(&["--uninstall", "--dry-run"]);
    assert_eq!(models.lock().unwrap().len(), 2);
}

#[test]
fn the_switch_stays_and_the_call_leaves_nothing() {
    let stub = llama_server();
    for word in ["claude\n", "auto\n", "local\n"] {
        let home = Home::new();
        home.switch(word);
        let output = home.setup(&["--url", &stub.url()]);
        assert_eq!((output.code(), home.switch_word().as_str()), (0, word), "{output:?}");
        let state: Vec<String> = tree(&home.path(".local/state/claude-failover")).into_keys().collect();
        assert!(state.iter().all(|name| !name.contains("ledger") && !name.contains("sessions")), "{state:?}");
        assert!(!home.path(".claude").exists());
    }
}

#[test]
fn only_the_names_that_are_wanted_are_linked_and_they_are_remembered() {
    let stub = llama_server();
    let home = Home::new();
    let links = || {
        let entries =
            fs::read_dir(home.path(".local/share/claude-failover/bin")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names.join(" ")
    };
    for (args, expected) in [
        (vec![], "agent-llm claude claude-failover llm-failover"),
        (vec!["--names", "llm-failover,agent-llm"], "agent-llm claude-failover llm-failover"),
        (vec![], "agent-llm claude-failover llm-failover"),
        (vec!["--names", "claude agent-llm"], "agent-llm claude claude-failover"),
    ] {
        let output = home.setup(&[vec!["--url", &stub.url()], args.clone()].concat());
        assert_eq!(output.code(), 0, "{output:?}");
        assert_eq!(links(), expected, "{args:?}");
    }
}

#[test]
fn a_binary_of_a_package_is_left_where_it_is() {
    let stub = llama_server();
    let home = Home::new();
    fs::create_dir_all(home.path(".cargo/bin")).unwrap();
    let binary = home.path(".cargo/bin/claude-failover");
    crate::support::copy(*crate::support::BINARY, &binary);
    let output = home.cmd(&binary).args(&["setup", "--url", &stub.url()]).env("LLM_SUPERVISOR", "auto").limit(60).run();
    let note = "note: LLM_SUPERVISOR is set in this environment, too, and wins over the settings file here\n";
    assert!(output.out().contains(note), "{output:?}");
    assert!(output.out().contains("  leave the program where its package has it: ~/.cargo/bin/claude-failover\n"), "{output:?}");
    let link = home.path(".local/share/claude-failover/bin/claude");
    assert_eq!((output.code(), fs::read_link(link).unwrap()), (0, binary));
}

#[test]
fn nothing_that_it_makes_is_for_others_to_write() {
    let stub = llama_server();
    for umask in ["000", "077"] {
        let home = Home::new();
        let before = tree(home.home());
        let line = format!("umask {umask}; exec bin/llm-failover setup --yes --url {}", stub.url());
        let output = home.cmd("/bin/sh").args(&["-c", &line]).limit(60).run();
        assert_eq!(output.code(), 0, "{output:?}");
        for (name, (mode, _)) in tree(home.home()).into_iter().filter(|(name, _)| !before.contains_key(name)) {
            // The permissions of a link mean nothing.
            assert!(mode & 0o170_000 == 0o120_000 || mode & 0o022 == 0, "{umask}: {name} {mode:o}");
        }
    }
}
