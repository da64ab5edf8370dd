//! `llm-failover completions`, loaded by the real shells.

use std::path::PathBuf;

use crate::support::terminal::Terminal;
use crate::support::{Sandbox, deps};

/// What is typed, and some of what the shell offers then.
const OFFERED: [(&str, &[&str], &[&str]); 8] = [
    ("llm-failover st", &["status", "statusline", "start", "stop"], &["local", "--help"]),
    ("llm-failover -q au", &["auto"], &["local"]),
    ("llm-failover drill ", &["limit", "weekly", "signin"], &["status"]),
    ("llm-failover config ", &["get", "set", "unset", "edit"], &["LLM_PORT"]),
    ("llm-failover config set LOCAL_LLM_M", &["LOCAL_LLM_MODEL", "LOCAL_LLM_MAX_TOKENS"], &["LLM_PORT"]),
    ("llm-failover statusline --format ", &["plain", "ansi", "json", "swiftbar", "tmux"], &["--json"]),
    ("llm-failover completions ", &["bash", "zsh", "fish"], &["status"]),
    ("llm-failover auto --", &["--check", "--help"], &["--json"]),
];

/// A shell on PATH, or the one that `scripts/test-deps.sh` has unpacked.
fn shell(name: &str) -> PathBuf {
    let on_path = ["/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(|dir| PathBuf::from(dir).join(name));
    let unpacked = ["usr/bin", "bin"].map(|dir| deps().join(name).join(dir).join(name));
    on_path
        .into_iter()
        .chain(unpacked)
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("no {name}: run scripts/test-deps.sh"))
}

/// A home with the script for a shell.
fn home(shell: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let output = sandbox.cmd("llm-failover").args(&["completions", shell]).run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""));
    sandbox.write("script", output.stdout);
    let libraries: Vec<_> = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|arch| deps().join("fish/usr/lib").join(arch)).into();
    sandbox.set("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
    sandbox.set("TERM", "dumb");
    sandbox
}

#[track_caller]
fn offers(typed: &str, offered: &str, wanted: &[&str], unwanted: &[&str]) {
    let words: Vec<&str> = offered.split_whitespace().collect();
    assert!(wanted.iter().all(|word| words.contains(word)), "{typed}: no {wanted:?} in {offered}");
    assert!(!unwanted.iter().any(|word| words.contains(word)), "{typed}: {unwanted:?} in {offered}");
}

#[test]
fn bash_offers_them() {
    let sandbox = home("bash");
    let ask = "line=$1; read -ra COMP_WORDS <<< \"$line\"; case $line in *' ') COMP_WORDS+=('');; esac; COMP_CWORD=$((${#COMP_WORDS[@]}-1))
               COMPREPLY=(); source ~/script; $(complete -p llm-failover | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo \"${COMPREPLY[*]}${cmd+ leaked}\"";
    for (typed, wanted, unwanted) in OFFERED {
        let output = sandbox.cmd(shell("bash")).args(&["--norc", "-c", ask, "bash", typed]).run();
        assert_eq!((output.code(), output.err().as_str()), (0, ""), "{typed}");
        offers(typed, &output.out(), wanted, &[unwanted, &["leaked"]].concat());
    }
}

#[test]
fn fish_offers_them() {
    let sandbox = home("fish");
    for (typed, wanted, unwanted) in OFFERED {
        let ask = format!("source ~/script; complete -C '{typed}' | string replace -r '\\t.*' ''; true");
        let output = sandbox.cmd(shell("fish")).args(&["--no-config", "-c", &ask]).run();
        assert_eq!((output.code(), output.err().as_str()), (0, ""), "{typed}");
        offers(typed, &output.out(), wanted, unwanted);
    }
}

/// zsh completes at a terminal alone.
#[test]
fn zsh_offers_them() {
    let mut sandbox = home("zsh");
    sandbox.set("TERM", "xterm");
    let zsh = shell("zsh");
    let root = deps().join("zsh");
    // Those of a zsh that is unpacked are not where it looks for them.
    let places = format!(
        "r={}\nif [[ {} == $r/* ]]; then\n\
         fpath=($r/usr/share/zsh/functions/Completion $r/usr/share/zsh/functions/Completion/*(/N) $r/usr/share/zsh/functions/Misc)\n\
         module_path=($r/usr/lib/*/zsh/*(/N))\nfi\n",
        root.display(),
        zsh.display()
    );
    let rest = "autoload -Uz compinit; compinit -D -u; source ~/script; setopt no_always_last_prompt; zstyle ':completion:*' verbose no\n\
                LISTMAX=0; PS1='ready> '; bindkey '^I' list-choices\n";
    sandbox.write("begin", places + rest);
    let terminal = Terminal::of(sandbox.cmd_at_terminal(&zsh.to_string_lossy()).args(&["-f", "-i"]));
    terminal.enter("source ~/begin");
    for (typed, wanted, unwanted) in OFFERED {
        terminal.wait_for("ready>");
        terminal.enter("clear");
        terminal.type_text(typed);
        terminal.wait_for(typed.trim_end());
        terminal.type_text("\t");
        terminal.wait_until(typed, |shown| shown.split_whitespace().any(|word| word == wanted[0]));
        offers(typed, &terminal.text(), wanted, unwanted);
        terminal.key("C-u");
    }
}

#[test]
fn another_shell_has_none() {
    let sandbox = Sandbox::new();
    let said = "llm-failover: error parsing positional argument 'shell' with value 'sh': `sh` is none of bash, zsh, fish\n\
                hint: run `llm-failover --help`\n";
    sandbox.cmd("llm-failover").args(&["completions", "sh"]).run().expect(1, "", said);
}
