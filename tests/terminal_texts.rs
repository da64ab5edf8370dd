//! Texts from outside reach a terminal through the filter of `src/shown.rs` alone: its type is what the writers take, and nobody else
//! writes.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::layers::{source_dir, sources};

/// Who has stdout or stderr, and why it may.
const WRITERS: [(&str, &str); 10] = [
    ("cli/mod.rs", "prints `Shown`, also as `Painted`, which is made of it"),
    ("stderr.rs", "prints `Shown`"),
    ("claude_code/protocol/output.rs", "the caller's answer, in Claude Code's formats"),
    ("watch/render.rs", "the same, of the real Claude"),
    ("watch/stderr_filter.rs", "the stderr of the real Claude"),
    ("terminal/relay.rs", "JSON for Claude Code, which has made the pipe"),
    ("setup/progress.rs", "bars, whose texts are `Shown`"),
    ("os/terminal.rs", "sequences of ours that set the terminal back"),
    // Neither writes there.
    ("context.rs", "asks whether it is a terminal"),
    ("os/signal_origin.rs", "asks who is in the foreground"),
];

/// What is wrong with one file of the crate, a line each.
fn faults(file: &Path, code: &str) -> String {
    let mut faults = String::new();
    let is_writer = WRITERS.iter().any(|(name, _)| file == Path::new(name));
    for line in code.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        let writes = has(&["print!(", "println!(", "dbg!(", "/dev/tty"]) || names_stream(line);
        if writes && !is_writer && !line.contains("().is_terminal()") {
            let _ = writeln!(faults, "{}: writes past the filter: {}", file.display(), line.trim());
        }
        if has(&["is_control", "is_ascii_control"]) && file != Path::new("shown.rs") {
            let _ = writeln!(faults, "{}: a filter beside that of `shown.rs`: {}", file.display(), line.trim());
        }
        // A model's words, which are shown by the filter, and are given to callers as they are.
        let is_partial = line.trim() == "partial: String,";
        let is_text_of_error = file == Path::new("error.rs") && line.starts_with("        ") && has(&[": String", "<String>"]);
        if is_text_of_error && !is_partial {
            let _ = writeln!(faults, "error.rs: an error has a text that is not `Shown`: {}", line.trim());
        }
        let takes_text =
            file == Path::new("stderr.rs") && line.starts_with("pub") && has(&["&str)", "String", "impl ", "Display"]);
        if takes_text {
            let _ = writeln!(faults, "stderr.rs: a writer takes a text that is not `Shown`: {}", line.trim());
        }
    }
    faults
}

/// `stdout()`, or its import; but no method of that name.
fn names_stream(line: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole = |name: &str| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (line[..at].chars().next_back(), line[at + name.len()..].chars().next());
            let is_taken = line.trim_start().starts_with("use std::io") || line[at + name.len()..].starts_with("()");
            is_taken && !before.is_some_and(|c| is_word(c) || c == '.') && !after.is_some_and(is_word)
        })
    };
    ["stdout", "stderr"].into_iter().any(is_whole)
}

#[test]
fn only_the_filters_text_reaches_a_terminal() {
    let (dir, mut all, mut count) = (source_dir(), String::new(), 0);
    for path in sources(&dir).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let (file, code) = (path.strip_prefix(&dir).expect("a file in it"), fs::read_to_string(&path).expect("a source"));
        // What tests and fuzz targets print does not matter.
        let code = code.split("\n#[cfg(test)]\nmod tests {").next().expect("a beginning");
        if !file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests")) && !file.ends_with("fuzzing.rs")
        {
            all += &faults(file, code);
            count += 1;
        }
    }
    assert!(count > 100, "{count} files");
    assert_eq!(all, "");
    let gone: Vec<_> = WRITERS.iter().filter(|(file, _)| !dir.join(file).exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn the_rule_is_kept_by_what_it_says_of_each_kind_of_line() {
    let table = [
        ("watch/turn.rs", "println!(\"{text}\");", false),
        ("watch/turn.rs", "eprintln!(\"{text}\");", false),
        ("watch/turn.rs", "let _ = io::stderr().write_all(text);", false),
        ("watch/turn.rs", "let mut out = stdout().lock();", false),
        ("watch/turn.rs", "use std::io::{Write, stderr};", false),
        ("watch/turn.rs", "fs::write(\"/dev/tty\", text)", false),
        ("watch/turn.rs", "text.chars().filter(|c| !c.is_control()).collect()", false),
        ("error.rs", "        reason: String,", false),
        ("error.rs", "        log: Vec<String>,", false),
        ("stderr.rs", "pub(crate) fn say(line: &str) {", false),
        ("stderr.rs", "pub(crate) fn say(line: impl Display) {", false),
        ("error.rs", "        partial: String,", true),
        ("error.rs", "        reason: Shown,", true),
        ("stderr.rs", "pub(crate) fn say(line: &Shown) {", true),
        ("stderr.rs", "pub(crate) fn warn(applet: &str, message: &Shown) {", true),
        ("shown.rs", "    c.is_control()", true),
        ("watch/turn.rs", "is_terminal: io::stderr().is_terminal(),", true),
        ("watch/turn.rs", "fn read(from: ChildStderr) {", true),
        ("watch/turn.rs", "reporter.output.check_stdout()?;", true),
        ("watch/turn.rs", "process.stdout().take()", true),
        ("watch/turn.rs", "command.stdout(Stdio::null());", true),
        ("watch/turn.rs", "say(&shown!(\"{text}\"));", true),
    ];
    for (file, code, is_right) in table {
        assert_eq!(faults(Path::new(file), code).is_empty(), is_right, "{file}: {code}");
    }
}
