//! The README is true: its settings are the program's, its commands exist, its snippets run.

use std::fs;
use std::path::Path;

use claude_failover::SETTINGS;

use crate::support::Sandbox;

fn read(below: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(below)).expect("a file of the project")
}

/// The page with the table of the settings.
const SETTINGS_PAGE: &str = "README.md";

/// The settings that the table has a row for.
fn settings_in_table() -> Vec<String> {
    let page = read(SETTINGS_PAGE);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let is_name = |name: &&str| name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    rows.map(|(name, _)| name).filter(is_name).map(str::to_string).collect()
}

#[test]
fn every_setting_has_its_row_and_every_row_is_a_setting() {
    let mut rows = settings_in_table();
    let mut settings: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
    rows.sort();
    settings.sort_unstable();
    assert_eq!(rows, settings);
}

#[test]
fn every_setting_of_its_table_is_known_in_the_settings_file() {
    let lines: String = settings_in_table().iter().map(|name| format!("{name}=\n")).collect();
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
