//! "Did you mean": Commander's rule for options, Claude Code's own for commands.

use strsim::osa_distance;

use crate::claude_code::options::OPTIONS;

/// The line after `unknown option`, empty if nothing that `--help` shows is near. Nearness is counted over the whole
/// word, `=value` included.
pub(super) fn options(word: &str) -> String {
    let Some(word) = word.strip_prefix("--") else { return String::new() };
    let shown = OPTIONS.iter().filter(|option| !option.is_hidden).filter_map(|option| option.name().strip_prefix("--"));
    let mut best = 3;
    let mut near: Vec<&str> = Vec::new();
    for name in shown.chain(["help"]).filter(|name| name.len() > 1) {
        let distance = osa_distance(word, name);
        let length = word.chars().count().max(name.len());
        if distance > best || (length - distance.min(length)) as f64 / length as f64 <= 0.4 {
            continue;
        }
        if distance < best {
            best = distance;
            near.clear();
        }
        near.push(name);
    }
    near.sort_unstable();
    near.dedup();
    match near.as_slice() {
        [] => String::new(),
        [one] => format!("\n(Did you mean --{one}?)"),
        several => format!("\n(Did you mean one of --{}?)", several.join(", --")),
    }
}

/// The command that `word` is a slip of: other capitals, or one letter too many, too few, wrong or swapped.
pub(super) fn command(word: &str, commands: &[&'static str]) -> Option<&'static str> {
    let begins = word.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || !word.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    let same = commands.iter().find(|command| lower != word && **command == lower);
    let near = || commands.iter().find(|command| osa_distance(word, command) <= 1);
    same.or_else(near).copied()
}
