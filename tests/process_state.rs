//! `src/context.rs` alone reads the process's arguments, environment and home folder, and `src/settings.rs` alone knows the
//! names of the settings.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use claude_failover::{SETTINGS, numbered};

use crate::layers::{source_dir, sources};

/// The one other place: where this program's own file is.
const OWN_FILE: (&str, &str) = ("os/process.rs", "std::env::current_exe()");

/// What is wrong with one file of the crate, a line each.
fn faults(file: &Path, code: &str) -> String {
    let mut faults = String::new();
    for line in code.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let line = if file == Path::new(OWN_FILE.0) { line.replace(OWN_FILE.1, "") } else { line.to_string() };
        if file != Path::new("context.rs") && reads_process_state(&line) {
            let _ = writeln!(faults, "{}: only the context reads that: {}", file.display(), line.trim());
        }
        let is_name = |name: &str| line.contains(&format!("\"{name}\""));
        let is_numbered = |name: &str| line.contains(&format!("\"{name}_"));
        let names_setting = SETTINGS.iter().any(|(name, _)| is_name(name)) || numbered().any(is_numbered);
        if file.with_extension("").iter().next() != Some("settings".as_ref()) && names_setting {
            let _ = writeln!(faults, "{}: only the settings know that name: {}", file.display(), line.trim());
        }
    }
    faults
}

/// `std::env` in any spelling, but not `env!`, a method's name or a word in quotes.
fn reads_process_state(line: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let names_env = line.match_indices("env").any(|(at, word)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let is_whole = !before.is_some_and(is_word) && !after.is_some_and(is_word);
        is_whole && !matches!(before, Some('.' | '"')) && !matches!(after, Some('!' | '('))
    });
    names_env
        || ["home_dir", "current_dir()", "args_os", "var_os", "vars_os", "/proc/self/environ", "/proc/self/cmdline"]
            .iter()
            .any(|name| line.contains(name))
}

#[test]
fn nobody_else_reads_the_process_or_names_a_setting() {
    let (dir, mut all, mut count) = (source_dir(), String::new(), 0);
    for path in sources(&dir).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let file = path.strip_prefix(&dir).expect("a file in it");
        all += &faults(file, &fs::read_to_string(&path).expect("a source"));
        count += 1;
    }
    assert!(count > 100, "{count} files");
    assert_eq!(all, "");
}

#[test]
fn the_rule_is_kept_by_what_it_says_of_each_kind_of_line() {
    let table = [
        ("watch/turn.rs", "let value = std::env::var(name);", false),
        ("watch/turn.rs", "use std::env;", false),
        ("watch/turn.rs", "use std::{env, fs};", false),
        ("watch/turn.rs", "use std::env::{self, var};", false),
        ("watch/turn.rs", "    env::set_var(name, value);", false),
        ("watch/turn.rs", "for (name, _) in vars_os() {", false),
        ("watch/turn.rs", "let home = home::home_dir();", false),
        ("watch/turn.rs", "std::env::current_exe()", false),
        ("os/process.rs", "    std::env::current_exe()", true),
        ("os/process.rs", "    std::env::current_dir()", false),
        ("context.rs", "use std::env;", true),
        ("watch/turn.rs", "// As `std::env` has it.", true),
        ("watch/turn.rs", "command.env(name, value);", true),
        ("watch/turn.rs", "let version = env!(\"CARGO_PKG_VERSION\");", true),
        ("watch/turn.rs", "settings.remove(\"env\")", true),
        ("watch/turn.rs", "command.env(\"LLM_PORT\", port);", false),
        ("context.rs", "self.env(\"LLM_PORT\")", false),
        ("watch/turn.rs", "command.env(\"LOCAL_LLM_URL_2\", url);", false),
        ("settings.rs", "    Port \"LLM_PORT\" \"the local server's port\",", true),
        ("claude_code/settings.rs", "        (\"LLM_PORT\", port),", false),
        ("watch/turn.rs", "hint(\"set LLM_PORT to another one\")", true),
    ];
    for (file, code, is_right) in table {
        assert_eq!(faults(Path::new(file), code).is_empty(), is_right, "{file}: {code}");
    }
}
