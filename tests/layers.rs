//! A module imports from the layers below its own: never from above, and never across from a layer beside it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from top to bottom, as `src/lib.rs` and `docs/architecture.md` show them. Those of one row know nothing of each other.
pub const LAYERS: [&[&str]; 21] = [
    &["fuzzing"],
    &["cli"],
    &["dashboard"],
    &["setup", "doctor"],
    &["status"],
    &["drill"],
    &["terminal"],
    &["failover"],
    &["agent"],
    &["routing"],
    &["watch"],
    &["gateway", "answer"],
    &["local_model"],
    &["server"],
    &["state"],
    &["stdin"],
    &["claude_code"],
    &["completions"],
    &["http_server"],
    &["os"],
    BASE,
];

/// What everybody may use. Its modules use each other from left to right: a module may use those after it.
const BASE: &[&str] =
    &["style", "context", "settings", "error", "stderr", "candidate", "real_claude", "text", "shown", "read_file", "names"];

fn floor(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&layer))
}

/// The first folders or files that the code names below the crate: `watch` for `use crate::watch::Watch`, and for `super::Watch` in
/// a file of that folder.
fn used_layers(file: &Path, code: &str) -> Vec<String> {
    let depth = file.components().count() - usize::from(file.ends_with("mod.rs"));
    let mut layers = Vec::new();
    let mut is_inside_tests = 0;
    for line in code.lines().map(|line| line.split("//").next().unwrap_or_default()) {
        // There `super` is the file itself.
        is_inside_tests |= usize::from(line.starts_with("mod tests {"));
        let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).collect();
        for path in words {
            let parts: Vec<&str> = path.split("::").collect();
            let ups = parts.iter().take_while(|part| **part == "super").count();
            match parts.as_slice() {
                // `use crate::{a, b}` is named as a whole, and is nobody's layer.
                ["crate", layer, ..] => layers.push((*layer).to_string()),
                _ if ups > 0 && ups >= depth + is_inside_tests => layers.extend(parts.get(ups).map(ToString::to_string)),
                _ => {}
            }
        }
    }
    layers
}

/// What is wrong with the imports of one file of the crate, a line each.
fn faults(file: &Path, code: &str) -> String {
    let own = file.components().next().map(|first| Path::new(first.as_os_str()).with_extension("")).unwrap_or_default();
    let own = own.to_string_lossy().into_owned();
    let mut faults = String::new();
    let Some(own_floor) = floor(&own) else { return format!("{}: `{own}` has no layer\n", file.display()) };
    for layer in used_layers(file, code) {
        let is_below = match floor(&layer) {
            Some(other) if other == own_floor && layer != own && own_floor == LAYERS.len() - 1 => {
                let place = |name: &str| BASE.iter().position(|module| *module == name);
                place(&layer) > place(&own)
            }
            Some(other) => other > own_floor || layer == own,
            None => false,
        };
        if !is_below {
            let _ = writeln!(faults, "{}: imports from `{layer}`, which is not below `{own}`", file.display());
        }
    }
    faults
}

pub fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

pub fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn imports_go_down_only() {
    let (dir, mut all) = (source_dir(), String::new());
    let mut sources: Vec<_> = sources(&dir).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
    sources.sort();
    assert!(sources.len() > 100, "{} files", sources.len());
    for path in sources {
        let file = path.strip_prefix(&dir).expect("a file in it");
        // They hold the crate together, and nothing else.
        if file != Path::new("lib.rs") && file != Path::new("main.rs") {
            all += &faults(file, &fs::read_to_string(&path).expect("a source"));
        }
    }
    assert_eq!(all, "");
}

#[test]
fn the_rule_is_kept_by_what_it_says_of_each_kind_of_import() {
    let table = [
        ("watch/turn.rs", "use crate::os::exit::Exit;", true),
        ("watch/turn.rs", "use super::Watch;", true),
        ("watch/turn.rs", "use crate::watch::Watch;", true),
        ("watch/turn.rs", "use crate::failover::call;", false),
        ("watch/turn.rs", "    let exit = crate::agent::run();", false),
        ("watch/turn.rs", "use super::super::agent::run;", false),
        ("watch/mod.rs", "use super::agent::run;", false),
        ("watch/mod.rs", "use self::turn::Turn;", true),
        ("answer/turn.rs", "use crate::gateway::request;", false),
        ("gateway/mod.rs", "use crate::answer::turn;", false),
        ("gateway/mod.rs", "use crate::nowhere::turn;", false),
        ("cli/mod.rs", "use crate::{agent, watch};", false),
        ("error.rs", "use crate::context::Context;", false),
        ("context.rs", "use crate::error::Error;", true),
        ("nowhere.rs", "", false),
        ("watch/turn.rs", "// as in crate::failover::call", true),
    ];
    for (file, code, is_right) in table {
        assert_eq!(faults(Path::new(file), code).is_empty(), is_right, "{file}: {code}");
    }
}

#[test]
fn files_stay_short_and_say_why_if_they_do_not() {
    let mut long = String::new();
    for path in sources(&source_dir()) {
        let text = fs::read_to_string(&path).expect("a source");
        let (lines, header) = (text.lines().count(), text.lines().take_while(|line| line.starts_with("//!")).collect::<String>());
        if lines > 420 || lines > 300 && !header.contains("One file") {
            let _ = writeln!(long, "{}: {lines} lines", path.display());
        }
    }
    assert_eq!(long, "");
}
