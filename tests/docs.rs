//! The documents are true: settings, commands and dependencies are the program's, links lead somewhere, snippets run.

mod architecture;
mod integrations;
mod links;
mod snippets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use claude_failover::{SETTINGS, numbered};

use crate::support::Sandbox;

/// The project's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(below: impl AsRef<Path>) -> String {
    let path = root().join(below);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All that people read, by its path in the project.
fn documents() -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    for dir in ["docs", ".github"] {
        let entries = fs::read_dir(root().join(dir)).expect("a folder").map(|entry| entry.expect("an entry").path());
        let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        paths.extend(pages.map(|path| path.strip_prefix(root()).expect("below the project").to_path_buf()));
    }
    assert!(paths.len() > 15, "{paths:?}");
    paths
}

/// A piece of a document.
enum Piece<'a> {
    /// A line of prose, a heading or a table.
    Line(&'a str),
    /// A fenced block: its language and its text.
    Block(&'a str, String),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        pieces.push(match line.strip_prefix("```") {
            None => Piece::Line(line),
            Some(language) => {
                let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                Piece::Block(language, block.join("\n") + "\n")
            }
        });
    }
    pieces
}

/// The fenced blocks of a document in this language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = read(document);
    let of_language = |piece| match piece {
        Piece::Block(found, block) if found == language => Some(block),
        _ => None,
    };
    pieces(&text).into_iter().filter_map(of_language).collect()
}

/// What stands in back-quotes, and the lines of fenced blocks.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in pieces(text) {
        match piece {
            Piece::Line(line) => found.extend(line.split('`').skip(1).step_by(2).map(str::to_string)),
            Piece::Block(_, block) => found.extend(block.lines().map(str::to_string)),
        }
    }
    found
}

#[test]
fn the_readme_is_short() {
    let size = read("README.md").len();
    assert!(size <= 9000, "{size} bytes");
}

/// The words in `text` that are names of settings. A numbered one counts as its name with `_n`.
fn settings(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let words = words.filter(|word| word.trim_end_matches("_n").chars().all(|c| !c.is_ascii_lowercase()));
    let words = words.map(|word| match word.strip_suffix(|c: char| c.is_ascii_digit()) {
        Some(numbered) if numbered.ends_with('_') => format!("{numbered}n"),
        _ => word.to_string(),
    });
    let is_setting = |word: &String| {
        ["LLM_", "LOCAL_LLM_", "CLAUDE_BIN"].iter().any(|prefix| word.starts_with(prefix)) && !word.ends_with('_')
    };
    words.filter(is_setting).collect()
}

/// The settings that have a row in the table. One row may be for several.
fn rows() -> BTreeSet<String> {
    let page = read("docs/settings.md");
    let names: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next()).collect();
    names.into_iter().flat_map(settings).collect()
}

#[test]
fn every_setting_is_in_its_table_and_every_row_is_a_setting() {
    let fixed = SETTINGS.iter().map(|(name, _)| (*name).to_string());
    let names: BTreeSet<String> = fixed.chain(numbered().map(|name| format!("{name}_n"))).collect();
    assert_eq!(names.len(), SETTINGS.len() + numbered().count());
    assert_eq!(rows(), names);
}

#[test]
fn every_setting_of_its_table_is_known_in_the_settings_file() {
    let of_row = |name: String| match name.strip_suffix("_n") {
        Some(numbered) => format!("{numbered}_2=\n{numbered}_9=\n"),
        None => format!("{name}=\n"),
    };
    let lines: String = rows().into_iter().map(of_row).collect();
    let sandbox = Sandbox::new();
    sandbox.write(".config/claude-failover/config.env", &lines);
    let output = sandbox.cmd("llm-failover").arg("status").run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""), "{lines}");
}

#[test]
fn every_setting_that_a_document_names_has_a_row() {
    let rows = rows();
    for path in documents() {
        let unknown: Vec<String> = settings(&read(&path)).into_iter().filter(|name| !rows.contains(name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
    }
}

/// The commands of `llm-failover`, as its help lists them.
fn commands() -> Vec<String> {
    let help = Sandbox::new().cmd("llm-failover").arg("--help").run().out();
    let list = help.split("Commands:").nth(1).expect("a list");
    let rows = list.lines().filter_map(|line| line.strip_prefix("  ").filter(|row| !row.starts_with(' ')));
    rows.filter_map(|row| row.split_whitespace().next()).map(str::to_string).collect()
}

#[test]
fn every_command_is_in_the_documents() {
    let commands = commands();
    assert_eq!(
        commands,
        [
            "status",
            "statusline",
            "local",
            "claude",
            "auto",
            "start",
            "stop",
            "logs",
            "log",
            "drill",
            "gateway",
            "dashboard",
            "config",
            "doctor",
            "setup",
            "completions"
        ]
    );
    let page = read("docs/settings.md");
    for command in commands {
        assert!(page.contains(&format!("`{command}`")) || page.contains(&format!("`llm-failover {command}")), "{command}");
    }
}

#[test]
fn every_command_in_the_documents_exists() {
    let commands = commands();
    let mut seen = BTreeSet::new();
    for path in documents() {
        for line in code(&read(&path)) {
            for after in line.split("llm-failover ").skip(1) {
                let mut words = after.split(|c: char| c.is_whitespace() || c == ',').skip_while(|word| word.starts_with('-'));
                let word = words.next().unwrap_or_default();
                let is_command = word.starts_with(|c: char| c.is_ascii_lowercase());
                assert!(!is_command || commands.iter().any(|known| known == word), "{}: {line}", path.display());
                seen.insert(word.to_string());
            }
        }
    }
    assert!(commands.iter().all(|command| seen.contains(command)), "{seen:?}");
}

#[test]
fn every_file_of_the_project_that_a_document_names_exists() {
    const FOLDERS: [&str; 6] = [".ci/", "launchd/", "scripts/", "src/", "systemd/", "tests/"];
    let mut count = 0;
    for path in documents() {
        for line in code(&read(&path)) {
            for word in line.split_whitespace().filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder))) {
                // A file of the project in an example, not of this one.
                if word.starts_with("tests/test_parse.py") {
                    continue;
                }
                let found = root().join(word.split('*').next().expect("a beginning"));
                assert!(found.exists(), "{}: {word}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn every_crate_has_its_line_and_no_other_has() {
    let manifest = read("Cargo.toml");
    let mut crates = BTreeSet::new();
    for section in manifest.split("\n[").filter(|section| section.contains("dependencies]\n")) {
        let lines = section.lines().skip(1).filter(|line| !line.starts_with('#'));
        crates.extend(lines.filter_map(|line| line.split_once(['=', '.'])).map(|(name, _)| name.trim().to_string()));
    }
    assert!(crates.contains("argh") && crates.contains("tempfile"), "{crates:?}");
    let page = read("docs/dependencies.md");
    let lines: Vec<String> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_string).collect();
    assert_eq!(lines, crates.into_iter().collect::<Vec<_>>(), "once each, in the order of the alphabet");
}
