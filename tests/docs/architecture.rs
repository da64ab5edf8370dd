//! `docs/architecture.md` is about the code as it stands: its layers, its files, and what it keeps on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{code, read};
use crate::layers::{LAYERS, source_dir, sources};

/// What the code joins to a folder and does not keep its own state in: other programs' places, and the work of a drill.
const NOT_STATE: [&str; 53] = [
    ".bashrc",
    ".cache",
    ".cache/huggingface/hub",
    ".cargo",
    ".claude",
    ".claude.json",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".config/systemd/user",
    ".git/HEAD",
    ".lmstudio/.internal/http-server-config.json",
    ".lmstudio/bin/lms",
    ".locks",
    ".nvm/versions/node",
    ".profile",
    ".zprofile",
    ".zshrc",
    "Library/LaunchAgents",
    "SKILL.md",
    "bin",
    "bin/python",
    "blobs",
    "claude",
    "commands",
    "conf.d",
    "config.fish",
    "config.json",
    "fish",
    "fish/config.fish",
    "functions/claude.fish",
    "hub",
    "engine",
    "huggingface",
    "lib",
    "llama_server.py",
    "llm-failover",
    "managed-settings.d",
    "managed-settings.json",
    "memory.max",
    "model.safetensors.index.json",
    "opt",
    "package.json",
    "projects",
    "refs",
    "refs/main",
    "settings.json",
    "site-packages",
    "skills",
    "snapshots",
    "switch",
    "token",
    "uninstall.sh",
    "work",
];

fn section(heading: &str) -> String {
    let page = read("docs/architecture.md");
    let after = page.split(&format!("\n## {heading}\n")).nth(1).expect("the section");
    after.split("\n## ").next().expect("its text").to_string()
}

/// The names in each row of the code map. The first is the layer's, such as `src/cli/`.
fn code_map() -> Vec<Vec<String>> {
    section("Code map").lines().filter(|line| line.starts_with("| `src/")).map(code).collect()
}

#[test]
fn the_code_map_has_the_layers_in_their_order() {
    let name = |layer: &&str| match source_dir().join(layer).join("mod.rs").exists() {
        true => format!("src/{layer}/"),
        false => format!("src/{layer}.rs"),
    };
    let layers: Vec<String> = LAYERS.iter().copied().flatten().map(name).collect();
    let named: Vec<String> = code_map().concat().into_iter().filter(|name| name.starts_with("src/")).collect();
    assert_eq!(named, layers);
}

#[test]
fn every_folder_is_in_the_row_of_its_layer() {
    let mut count = 0;
    for row in code_map().into_iter().filter(|row| row[0].ends_with('/')) {
        let layer = source_dir().join(row[0].trim_start_matches("src/"));
        // A folder with nothing but the tests of one file belongs to that file.
        let files = sources(&layer).into_iter().filter(|path| !path.ends_with("tests.rs"));
        let folders: BTreeSet<_> = files.filter_map(|path| Some(path.parent()?.to_path_buf())).collect();
        // What is deeper belongs to the folder above.
        for folder in folders.into_iter().filter(|folder| folder.parent() == Some(&layer)) {
            let name = folder.file_name().expect("a name").to_string_lossy();
            let is_named = row.contains(&format!("{name}/")) || row.contains(&format!("{name}.rs"));
            assert!(is_named, "{}: {row:?}", folder.display());
            count += 1;
        }
    }
    assert!(count > 8, "{count}");
}

/// Whether `layer` has the file or the folder `name`, at any depth.
fn has(layer: &Path, name: &str) -> bool {
    sources(layer).iter().any(|path| path.ends_with(name) || path.parent().is_some_and(|folder| folder.ends_with(name)))
}

#[test]
fn every_file_of_a_row_is_in_its_layer() {
    let mut count = 0;
    for row in code_map().into_iter().filter(|row| row[0].ends_with('/')) {
        let layer = source_dir().join(row[0].trim_start_matches("src/"));
        for name in row[1..].iter().filter(|name| name.ends_with(".rs") || name.ends_with('/')) {
            assert!(has(&layer, name), "{name}: {row:?}");
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
    let watch = source_dir().join("watch");
    assert_eq!(["turn.rs", "watch/", "urn.rs", "nothing.rs"].map(|name| has(&watch, name)), [true, true, false, false]);
}

/// The words that code joins to a path: `dir.join("ledger.jsonl")`. What joins texts has no letters, or spaces or escapes.
fn joined(code: &str) -> impl Iterator<Item = &str> {
    let literals = code.split(".join(\"").skip(1).filter_map(|after| after.split('"').next());
    let is_name = |literal: &&str| !literal.contains([' ', '\\']) && literal.contains(|c: char| c.is_ascii_alphabetic());
    literals.filter(is_name)
}

#[test]
fn every_file_that_the_code_keeps_is_named() {
    let mut names = BTreeSet::new();
    for path in sources(&source_dir()) {
        let text = fs::read_to_string(&path).expect("a source");
        let code = text.split("mod tests {").next().expect("the code");
        let is_of_tests = path.ends_with("tests.rs") || path.ends_with("fuzzing.rs");
        names.extend(joined(code).filter(|_| !is_of_tests).map(str::to_string));
    }
    let (files, locks) = (section("Files on disk"), section("Locks"));
    let unused: Vec<_> = NOT_STATE.into_iter().filter(|name| !names.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
    names.retain(|name| !NOT_STATE.contains(&name.as_str()));
    assert!(names.contains("breaker.json") && names.contains("server.lock"), "{names:?}");
    for name in names {
        let text = if name.ends_with(".lock") { &locks } else { &files };
        let is_named = [('`', '`'), ('`', '/'), ('/', '`'), ('/', '/')]
            .iter()
            .any(|(before, after)| text.contains(&format!("{before}{name}{after}")));
        assert!(is_named, "{name}");
    }
}

#[test]
fn what_is_joined_to_a_path_is_told_from_what_joins_texts() {
    let code = r#"a.join("x.lock"); b.join("\n\n"); c.join(", "); c.join(" and "); d.join("sessions").join("y"); e.join(name); f.join("")"#;
    assert_eq!(joined(code).collect::<Vec<_>>(), ["x.lock", "sessions", "y"]);
}
