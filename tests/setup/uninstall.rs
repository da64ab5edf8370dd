//! Uninstalling leaves what was there before, to the byte.

use std::fs;
use std::os::unix::fs::symlink;

use super::QWEN;
use super::home::{Home, UNINSTALLED, tree};
use super::servers::ollama;

/// Files of a user's who has some of everything.
fn furnish(home: &Home) {
    home.write(".bashrc", "alias ll='ls -l'");
    home.write("dotfiles/profile", "umask 022\n");
    symlink("dotfiles/profile", home.path(".profile")).unwrap();
    home.write(".claude/settings.json", "{\n  \"model\": \"opus\",\n  \"env\": {}\n}");
    home.write(".config/claude-failover/config.env", "# mine\nLLM_IDLE_UNLOAD=5");
    home.write(".local/state/other/file", "x");
}

#[test]
fn what_was_there_is_left_to_the_byte() {
    for (is_furnished, shell, times) in [(false, "bash", 1), (true, "bash", 2), (true, "zsh", 1), (false, "fish", 1)] {
        let (stub, models) = ollama(&[QWEN], 4096);
        let mut home = Home::new();
        home.ollama_at(stub.port());
        home.set("SHELL", format!("/bin/{shell}"));
        if is_furnished {
            furnish(&home);
        }
        let before = tree(home.home());
        let mut after = vec![];
        for _ in 0..times {
            let output = home.setup(&["--yes"]);
            assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
            after.push(tree(home.home()));
        }
        assert!(after.iter().all(|tree| *tree == after[0]), "twice is harmless");
        assert_eq!(models.lock().unwrap().len(), 2);
        assert!(after[0].contains_key(".claude/settings.json") && after[0].len() > before.len(), "{:?}", after[0].keys());
        home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
        let left = tree(home.home());
        let names = |tree: &std::collections::BTreeMap<String, _>| tree.keys().cloned().collect::<Vec<_>>().join("\n");
        assert_eq!(names(&left), names(&before));
        assert!(left == before, "{shell}");
        assert_eq!(models.lock().unwrap().len(), 1);
        let none = "claude-failover is not set up here: there is no ~/.local/share/claude-failover/manifest\n";
        home.setup(&["--uninstall"]).expect(0, none, "");
    }
}

#[test]
fn what_was_changed_since_stays() {
    let (stub, _) = ollama(&[QWEN], 4096);
    let mut home = Home::new();
    home.ollama_at(stub.port());
    home.set("SHELL", "/bin/bash");
    furnish(&home);
    assert_eq!(home.setup(&["--yes"]).code(), 0);
    let edit = |below: &str, change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(home.path(below)).unwrap();
        home.write(below, change(text));
    };
    edit(".bashrc", &|text| text + "export EDITOR=vi\n");
    edit(".config/claude-failover/config.env", &|text| {
        text.replace("LLM_SUPERVISOR=none", "LLM_SUPERVISOR=auto") + "LLM_PREWARM=1\n"
    });
    // Claude Code writes it anew when it is told of something.
    let settings: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(home.path(".claude/settings.json")).unwrap()).unwrap();
    home.write(".claude/settings.json", serde_json::to_string_pretty(&settings).unwrap());
    home.write(".local/share/claude-failover/notes", "mine");
    home.write(".local/state/claude-failover/ledger.jsonl", "{}\n");
    home.write(".local/state/claude-failover/claude-version.json", "{}");
    home.write(".local/state/claude-failover/prefixes/0.json", "{}");
    fs::create_dir(home.path(".local/state/claude-failover/agents")).unwrap();
    let left = "left: ~/.local/share/claude-failover, which holds files of yours\n\
                left: ~/.local/state/claude-failover, with your sessions and the ledger; rm -r takes it away\n";
    let output = home.setup(&["--uninstall"]);
    let mut lines: Vec<String> =
        output.out().lines().filter(|line| line.starts_with("left")).map(|line| format!("{line}\n")).collect();
    lines.sort();
    assert_eq!((output.code(), lines.concat().as_str()), (0, left), "{output:?}");
    let text = |below: &str| fs::read_to_string(home.path(below)).unwrap();
    assert_eq!(text(".bashrc"), "alias ll='ls -l'\nexport EDITOR=vi\n");
    assert_eq!(home.config(), "# mine\nLLM_IDLE_UNLOAD=5\nLLM_SUPERVISOR=auto\nLLM_PREWARM=1\n");
    assert_eq!(text(".claude/settings.json"), "{\n  \"model\": \"opus\",\n  \"env\": {}\n}\n");
    assert_eq!(text(".local/share/claude-failover/notes"), "mine");
    let kept = fs::read_dir(home.path(".local/state/claude-failover")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(kept.collect::<Vec<_>>(), ["ledger.jsonl"]);
}

#[test]
fn another_status_line_and_a_file_that_is_no_json_stay() {
    let (stub, _) = ollama(&[QWEN], 4096);
    for text in ["{\"statusLine\": {\"type\": \"command\", \"command\": \"mine\"}}", "{ // mine\n}", "[]"] {
        let mut home = Home::new();
        home.ollama_at(stub.port());
        home.write(".claude/settings.json", text);
        let output = home.setup(&["--yes", "--no-larger-context"]);
        assert!(output.code() == 0 && !output.out().contains("status line"), "{output:?}");
        home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
        assert_eq!(fs::read_to_string(home.path(".claude/settings.json")).unwrap(), text);
    }
}

/// As the shell script of earlier versions left it.
#[test]
fn what_the_script_of_earlier_versions_made_is_brought_up_to_date_and_taken_away() {
    let (stub, _) = ollama(&[QWEN], 4096);
    let mut home = Home::new();
    home.ollama_at(stub.port());
    home.write(".config/claude-failover/config.env", "LLM_BACKEND_FLAG=\n");
    let before = tree(home.home());
    let data = home.path(".local/share/claude-failover");
    home.write(
        ".config/claude-failover/config.env",
        "LLM_BACKEND_FLAG=\nLLM_PORT=9420\nLOCAL_LLM_MODEL=old\nLLM_SERVER_CMD=exec false\n",
    );
    home.write(".local/share/claude-failover/bin/claude-failover", "old");
    home.write(".local/share/claude-failover/uninstall.sh", "a\n");
    home.write(".local/share/claude-failover/engine/bin/python", "x");
    for name in ["claude", "agent-llm", "llm-failover"] {
        symlink("claude-failover", data.join("bin").join(name)).unwrap();
    }
    let root = home.home().display().to_string();
    let manifest = format!(
        "dir\t{root}/.local\t\ndir\t{root}/.local/share\t\ndir\t{root}/.local/share/claude-failover\t\ndir\t{root}/.local/share/claude-failover/bin\t\n\
         file\t{root}/.local/share/claude-failover/bin/claude-failover\t1282831652 3\n\
         link\t{root}/.local/share/claude-failover/bin/claude\tclaude-failover\n\
         link\t{root}/.local/share/claude-failover/bin/agent-llm\tclaude-failover\n\
         link\t{root}/.local/share/claude-failover/bin/llm-failover\tclaude-failover\n\
         file\t{root}/.local/share/claude-failover/uninstall.sh\t2418082923 2\ntree\t{root}/.local/share/claude-failover/engine\t\n\
         option\tservice\tchild\noption\tservice_file\t\nsetting\tLLM_PORT\tLLM_PORT=9420\nsetting\tLOCAL_LLM_MODEL\tLOCAL_LLM_MODEL=old\n\
         setting\tLLM_SERVER_CMD\tLLM_SERVER_CMD=exec false\noption\tengine\tllama\noption\tmodel\told.gguf\noption\tport\t9420\n"
    );
    home.write(".local/share/claude-failover/manifest", manifest);
    let output = home.setup(&["--url", &stub.url()]);
    assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
    let url = stub.url();
    assert_eq!(home.config(), format!("LLM_BACKEND_FLAG=\nLOCAL_LLM_MODEL=qwen3:8b\nLOCAL_LLM_URL={url}\nLLM_SUPERVISOR=none\n"));
    assert!(!data.join("uninstall.sh").exists());
    home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
    assert!(tree(home.home()) == before, "{:?}", tree(home.home()).keys());
}
