//! An alias or a function `claude` in a shell's start-up files: it goes before whatever PATH has. Claude Code's local installer writes
//! such an alias.

use std::fs;
use std::path::PathBuf;

use crate::context::Context;
use crate::doctor::check::Check;
use crate::doctor::machine::ours::{Ours, is_us};
use crate::read_file::read_regular;
use crate::shown::shown;

/// The longest file that is read, in bytes.
const MOST_BYTES: u64 = 4 << 20;

const IN_HOME: [&str; 9] =
    [".profile", ".bash_profile", ".bash_login", ".bashrc", ".bash_aliases", ".zshenv", ".zprofile", ".zshrc", ".zlogin"];

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// With the word that it begins with.
    Alias(String),
    Function,
}

#[derive(Debug, PartialEq, Eq)]
struct Definition {
    line: usize,
    kind: Kind,
}

pub(super) fn check(context: &Context, ours: &Ours) -> Check {
    let id = "shell-files";
    for file in files(context).into_iter().filter(|_| ours.shadows) {
        let Ok(bytes) = read_regular(&file, MOST_BYTES) else { continue };
        let Some(Definition { line, kind }) = definition(&String::from_utf8_lossy(&bytes)) else { continue };
        let place = shown!("line {line} of `{}`", file.display());
        let mend = shown!("take {place} out, and open a new shell");
        match kind {
            Kind::Alias(word) if is_us(&context.expand_home(word.clone().into())) => {}
            Kind::Alias(word) => {
                let text = shown!("an alias `claude` leads to `{word}`, past this program: {place}");
                return Check::problem(id, text, mend);
            }
            Kind::Function => {
                let text = shown!("a function `claude` stands before this program: {place}");
                return Check::warning(id, text, mend);
            }
        }
    }
    Check::ok(id, "no alias and no function stands before `claude`")
}

fn files(context: &Context) -> Vec<PathBuf> {
    let Ok(home) = context.home() else { return vec![] };
    let mut files: Vec<PathBuf> = IN_HOME.iter().map(|name| home.join(name)).collect();
    if let Some(folder) = context.env("ZDOTDIR").map(PathBuf::from).filter(|folder| folder != home) {
        files.extend(IN_HOME.iter().filter(|name| name.starts_with(".z")).map(|name| folder.join(name)));
    }
    let config = context.env("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    let fish = config.join("fish");
    let snippets = fs::read_dir(fish.join("conf.d")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut snippets: Vec<PathBuf> = snippets.filter(|path| path.extension().is_some_and(|end| end == "fish")).collect();
    snippets.sort();
    files.extend(snippets);
    files.extend([fish.join("config.fish"), fish.join("functions/claude.fish")]);
    files
}

/// The last definition that holds, as far as single lines tell. What comes back to `claude` itself, as in
/// `alias claude='claude --verbose'`, goes by PATH after all.
fn definition(text: &str) -> Option<Definition> {
    let mut found = None;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        for command in line.split([';', '&']).map(str::trim) {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["unalias" | "unset" | "functions", rest @ ..] if rest.contains(&"claude") => found = None,
                ["alias", rest @ ..] => {
                    if let Some(word) = aliased(command, rest) {
                        let is_by_path = matches!(word.as_str(), "claude" | "command" | "agent-llm" | "");
                        found = (!is_by_path).then_some(Definition { line: index + 1, kind: Kind::Alias(word) });
                    }
                }
                _ if is_function(&words) => {
                    let body = lines[index..].iter().take_while(|line| !matches!(**line, "}" | "end"));
                    let comes_back = body.into_iter().any(|line| line.contains("command claude") || line.contains("agent-llm"));
                    found = (!comes_back).then_some(Definition { line: index + 1, kind: Kind::Function });
                }
                _ => {}
            }
        }
    }
    found
}

/// The first word of what `claude` stands for, in a command that begins with `alias`: with `=`, or in fish with a blank.
fn aliased(command: &str, words: &[&str]) -> Option<String> {
    let is_option = |word: &&&str| word.starts_with('-');
    let value = match words.iter().find(|word| word.starts_with("claude=")) {
        Some(_) => command.split_once("claude=")?.1,
        None if words.iter().find(|word| !is_option(word)) == Some(&"claude") => command.split_once("claude")?.1,
        None => return None,
    };
    let value = value.trim().trim_start_matches(['"', '\'']);
    Some(value.split([' ', '"', '\'']).next().unwrap_or_default().replace("$HOME/", "~/"))
}

fn is_function(words: &[&str]) -> bool {
    match words {
        ["function", name, ..] => name.trim_end_matches("()") == "claude",
        [name, ..] if *name == "claude()" || name.starts_with("claude(){") => true,
        ["claude", parentheses, ..] => parentheses.starts_with("()"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_claude() {
        let alias = |line, word: &str| Some(Definition { line, kind: Kind::Alias(word.into()) });
        let function = |line| Some(Definition { line, kind: Kind::Function });
        let table = [
            ("alias claude=\"/home/x/.claude/local/claude\"", alias(1, "/home/x/.claude/local/claude")),
            ("\n  alias claude='~/.claude/local/claude --verbose'", alias(2, "~/.claude/local/claude")),
            ("alias ll='ls -l' claude=$HOME/x", alias(1, "~/x")),
            ("alias claude /opt/claude", alias(1, "/opt/claude")),
            ("alias --save claude '/opt/claude -p'", alias(1, "/opt/claude")),
            ("true; alias claude=/opt/claude", alias(1, "/opt/claude")),
            ("[ -x /opt/claude ] && alias claude=/opt/claude", alias(1, "/opt/claude")),
            ("# alias claude=/opt/claude", None),
            ("alias claude='claude --dangerously-skip-permissions'", None),
            ("alias claude='command claude --verbose'", None),
            ("alias claudette=/opt/claude", None),
            ("alias ll='ls claude'", None),
            ("alias claude=/opt/claude\nunalias claude", None),
            ("alias claude=/opt/claude\nunalias -a claude 2>/dev/null", None),
            ("claude() {\n  /opt/claude \"$@\"\n}", function(1)),
            ("claude () { /opt/claude; }", function(1)),
            ("function claude {\n  /opt/claude\n}", function(1)),
            ("function claude\n  /opt/claude $argv\nend", function(1)),
            ("claude() {\n  echo hi\n  command claude \"$@\"\n}", None),
            ("function claude_code() {\n  x\n}", None),
            ("function claude() { x; }\nunset -f claude", None),
            ("claude -p 'hi'", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(definition(text), expected, "{text}");
        }
    }
}
