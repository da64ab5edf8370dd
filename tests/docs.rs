//! The README is true: its settings are the program's, its commands exist, its snippets run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Sandbox;

fn read(below: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(below)).expect("a file of the project")
}

/// The words in `text` that are names of settings.
fn settings(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    let is_setting =
        |word: &&str| ["LLM_", "LOCAL_LLM_", "CLAUDE_BIN"].iter().any(|prefix| word.starts_with(prefix)) && !word.ends_with('_');
    words.filter(is_setting).map(str::to_string).collect()
}

fn sources(dir: PathBuf) -> String {
    let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| if path.is_dir() { sources(path) } else { fs::read_to_string(path).expect("a source") };
    entries.map(read).collect()
}

#[test]
fn every_setting_is_in_its_table_and_every_row_is_a_setting() {
    let program = settings(&sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.flat_map(settings).collect::<BTreeSet<_>>(), program);
}

#[test]
fn every_setting_of_its_table_is_known_in_the_settings_file() {
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let lines: String = rows.flat_map(settings).map(|name| format!("{name}=\n")).collect();
    let sandbox = Sandbox::new();
    sandbox.write(".config/claude-failover/config.env", &lines);
    let output = sandbox.cmd("llm-failover").arg("status").run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""), "{lines}");
}

#[test]
fn every_command_is_in_it() {
    let readme = read("README.md");
    let help = Sandbox::new().cmd("llm-failover").arg("--help").run();
    let commands = help.out();
    let list = commands.split("Commands:").nth(1).expect("a list");
    let rows = list.lines().filter_map(|line| line.strip_prefix("  ").filter(|row| !row.starts_with(' ')));
    let commands: Vec<&str> = rows.filter_map(|row| row.split_whitespace().next()).collect();
    assert_eq!(commands, ["status", "local", "claude", "auto", "start", "stop", "logs", "log", "drill", "gateway"]);
    for command in commands {
        assert!(readme.contains(&format!("`{command}`")) || readme.contains(&format!("`llm-failover {command}")), "{command}");
    }
}

#[test]
fn the_dashboard_snippet_reads_the_switch() {
    let readme = read("README.md");
    let after = readme.split("For a dashboard or a prompt:").nth(1).expect("the snippet");
    let snippet = after.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let sandbox = Sandbox::new();
    sandbox.cmd("/bin/sh").args(&["-c", snippet]).run().expect(0, "answering with Claude\n", "");
    sandbox.switch("local\n");
    sandbox.cmd("/bin/sh").args(&["-c", snippet]).run().expect(0, "answering locally\n", "");
}
