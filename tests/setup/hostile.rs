//! What others have left in a home, or say over the network, does no harm, and hinders as little as can be.

use std::fs;
use std::os::unix::fs::symlink;

use super::QWEN;
use super::home::{Home, UNINSTALLED, tree};
use super::servers::{list, ollama, serve};
use crate::support::stub::{completion, json, sse};

/// A name with a line of its own would be a setting of its own, such as a command that is run at each flip.
#[test]
fn the_names_of_a_servers_models_are_no_settings() {
    let names = ["a\nLLM_NOTIFY_CMD=touch pwned", "b\0", "\x1b[31mc", "fine"];
    let server = serve(move |_, path, _| match path {
        "/v1/models" => Some(list(names.map(|name| serde_json::json!({"id": name, "owned_by": "vllm"})).to_vec().into())),
        "/v1/chat/completions" => Some(sse(&completion("Hello."))),
        _ => None,
    });
    let home = Home::new();
    let output = home.setup(&["--yes", "--url", &server.url()]);
    assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
    assert_eq!(home.config(), format!("LOCAL_LLM_URL={}\nLOCAL_LLM_MODEL=fine\nLLM_SUPERVISOR=none\n", server.url()));
    let (nothing, home) = (serve(|_, path, _| (path == "/v1/models").then(|| list(serde_json::json!([])))), Home::new());
    let error = "llm-failover: no line of the settings file can hold `a LLM_NOTIFY_CMD=x` as LOCAL_LLM_MODEL\n\
                 hint: choose another one, on one line\n";
    let output = home.setup(&["--url", &nothing.url(), "--model", "a\nLLM_NOTIFY_CMD=x"]);
    assert_eq!((output.code(), output.err().as_str()), (1, error), "{output:?}");
    assert!(!home.config().contains("LLM_NOTIFY_CMD"));
}

#[test]
fn a_list_of_very_many_models_is_a_list() {
    let models: Vec<_> = (0..40_000).map(|number| serde_json::json!({"id": format!("vendor/model-{number}")})).collect();
    let text = serde_json::json!({"object": "list", "data": models}).to_string();
    let server = serve(move |_, path, _| match path {
        "/v1/models" => Some(json(200, &text)),
        "/v1/chat/completions" => Some(sse(&completion("Hello."))),
        _ => None,
    });
    let output = Home::new().setup(&["--yes", "--url", &server.url(), "--model", "vendor/model-39"]);
    assert!(output.code() == 0 && output.out().contains("the local model says: Hello.\n"), "{output:?}");
}

/// A model of the user's own line is asked for as it is, and one that is there already is not made anew.
#[test]
fn the_users_own_models_stay() {
    for (config, there) in [("LOCAL_LLM_MODEL=qwen3:8b\n", None), ("", Some(("qwen3:8b-32k", (Some(2048), 40_960, true, 1))))] {
        let (stub, models) = ollama(&[&[QWEN], there.as_slice()].concat(), 4096);
        let mut home = Home::new();
        home.ollama_at(stub.port());
        home.write(".config/claude-failover/config.env", config);
        let before = models.lock().unwrap().clone();
        let output = home.setup(&["--yes", "--model", "qwen3:8b"]);
        assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
        assert!(home.config().contains("LOCAL_LLM_MODEL=qwen3:8b\n"), "{}", home.config());
        home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
        assert_eq!((home.config().as_str(), &*models.lock().unwrap()), (config, &before));
    }
}

#[test]
fn files_that_cannot_be_changed_are_left_out() {
    let (stub, _) = ollama(&[QWEN], 4096);
    let mut home = Home::new();
    home.ollama_at(stub.port());
    home.set("SHELL", "/bin/bash");
    fs::create_dir(home.path(".bashrc")).unwrap();
    symlink(".profile", home.path(".profile")).unwrap();
    symlink("/dev/null", home.path(".claude")).unwrap();
    let before = tree(home.home());
    let warnings = "llm-failover: warning: `[HOME]/.bashrc` cannot have the PATH line: is a directory\n\
                    llm-failover: warning: `[HOME]/.profile` cannot have the PATH line: too many levels of symbolic links\n";
    let output = home.setup(&["--yes"]);
    assert_eq!((output.code(), output.err().as_str()), (0, warnings), "{output:?}");
    home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
    assert!(tree(home.home()) == before);
}

#[test]
fn links_to_nothing_and_files_with_nothing_come_back_as_they_were() {
    let (stub, _) = ollama(&[QWEN], 4096);
    for settings in [None, Some(""), Some(" \n"), Some("{}"), Some("{}\n"), Some("  { }\n")] {
        let mut home = Home::new();
        home.ollama_at(stub.port());
        home.set("SHELL", "/bin/bash");
        for (link, target) in [(".profile", "dot/files/profile"), (".config/claude-failover/config.env", "../../dot/env")] {
            fs::create_dir_all(home.path(link).parent().unwrap()).unwrap();
            symlink(target, home.path(link)).unwrap();
        }
        fs::create_dir(home.path(".claude")).unwrap();
        match settings {
            None => symlink("../dot/settings", home.path(".claude/settings.json")).unwrap(),
            Some(text) => drop(home.write(".claude/settings.json", text)),
        }
        let before = tree(home.home());
        let output = home.setup(&["--yes", "--no-larger-context"]);
        assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
        let text = fs::read(home.path(".claude/settings.json")).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&text).unwrap()["statusLine"].is_object());
        home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
        assert!(tree(home.home()) == before, "{settings:?}");
    }
}

/// A list that somebody has spoilt costs nothing but what is ours.
#[test]
fn a_spoilt_manifest_takes_nothing_of_the_users_away() {
    let home = Home::new();
    for file in ["Documents/letter", "hub/letter", ".local/share/claude-failover/engine/python"] {
        home.write(file, "x");
    }
    let root = home.home().display().to_string();
    let manifest = format!(
        "tree\t{root}/Documents\t\ntree\t/\t\ntree\t.\t\ntree\t\t\ntree\t{root}/.local/share/claude-failover/../../../Documents\t\n\
         tree\t{root}/.local/share/claude-failover\t\ntree\t{root}/.local/share/claude-failover/engine\t\nmodel\t{root}/hub\t\nmodel\t{root}\t\n\
         file\t{root}/Documents/letter\t1 1\nlink\t{root}/Documents/letter\tx\ndir\t{root}/Documents\t\ncreated\t{root}/Documents/letter\t\n\
         block\t{root}/Documents\t\nblock\t{root}/Documents/letter\t\nnonsense\ndir\n\t\t\t\nfil"
    );
    home.write(".local/share/claude-failover/manifest", manifest);
    home.write("Documents/letter.17.new", "mine, too");
    let output = home.setup(&["--uninstall", "--purge"]);
    assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
    let left = |file: &str| home.path(file).exists();
    assert!(left("Documents/letter") && left("hub/letter"), "{output:?}");
    assert!(!left(".local/share/claude-failover"), "{output:?}");
}

#[test]
fn the_path_line_goes_from_a_file_with_other_ends_of_lines() {
    let (stub, _) = ollama(&[QWEN], 4096);
    let mut home = Home::new();
    home.ollama_at(stub.port());
    home.set("SHELL", "/bin/zsh");
    home.write(".zshrc", "a\n");
    assert_eq!(home.setup(&["--yes"]).code(), 0);
    let text = fs::read_to_string(home.path(".zshrc")).unwrap();
    home.write(".zshrc", text.replace('\n', "\r\n"));
    fs::remove_file(home.path(".zprofile")).unwrap();
    fs::create_dir(home.path(".zprofile")).unwrap();
    let left = format!("left: ~/.zprofile, which was changed since\n{UNINSTALLED}");
    home.setup(&["--uninstall"]).expect(0, &left, "");
    assert_eq!(fs::read_to_string(home.path(".zshrc")).unwrap(), "a\r\n");
}

#[test]
fn what_a_kill_has_left_beside_the_users_files_goes() {
    let (stub, _) = ollama(&[QWEN], 4096);
    let mut home = Home::new();
    home.ollama_at(stub.port());
    home.set("SHELL", "/bin/zsh");
    let before = tree(home.home());
    assert_eq!(home.setup(&["--yes"]).code(), 0);
    for file in [".zshrc.77.new", ".config/claude-failover/config.env.77.new", ".claude/settings.json.77.new"] {
        home.write(file, "half");
    }
    home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
    assert!(tree(home.home()) == before, "{:?}", tree(home.home()).keys());
}
