//! `@file` mentions in a prompt. Which words are mentions follows Claude Code 2.1.330; what they stand for is put before
//! the prompt, in a form that small models take well.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::context::Context;

/// The largest file that is given whole, in bytes, as in the real CLI.
const MAX_FILE: u64 = 256 << 10;

/// A mention: a file, and which of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mention {
    path: String,
    lines: Option<(usize, usize)>,
}

/// The prompt with what its mentions stand for before it. What cannot be given is told by `warn`; what does not exist
/// was no mention, and nothing is said.
pub(crate) fn expand(context: &Context, prompt: String, warn: &mut dyn FnMut(String)) -> String {
    let mut attached = String::new();
    for mention in mentions(&prompt) {
        let path = absolute(context, &mention.path);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let shown = path.display();
        let body = if metadata.is_dir() {
            names_in(&path)
        } else if !metadata.is_file() {
            continue;
        } else if metadata.len() > MAX_FILE {
            warn(format!("`{shown}` is larger than {} KiB and is not given to the local model", MAX_FILE >> 10));
            continue;
        } else {
            match text_of(&path, mention.lines) {
                Some(text) => text,
                None => {
                    warn(format!("`{shown}` is not text and is not given to the local model"));
                    continue;
                }
            }
        };
        let kind = if metadata.is_dir() { "folder" } else { "file" };
        let newline = if body.is_empty() || body.ends_with('\n') { "" } else { "\n" };
        attached += &format!("<{kind} path=\"{shown}\">\n{body}{newline}</{kind}>\n\n");
    }
    if attached.is_empty() { prompt } else { attached + &prompt }
}

/// The mentions in their order, the quoted ones first, each once.
fn mentions(prompt: &str) -> Vec<Mention> {
    let names = quoted(prompt).into_iter().chain(prompt.split_whitespace().filter_map(bare));
    let mut known = HashSet::new();
    names.map(split_lines).filter(|mention| known.insert(mention.clone())).collect()
}

fn may_precede(c: char) -> bool {
    c.is_whitespace() || ['。', '、', '？', '！'].contains(&c)
}

fn quoted(prompt: &str) -> Vec<&str> {
    let starts = prompt.match_indices("@\"").filter(|(at, _)| prompt[..*at].chars().next_back().is_none_or(may_precede));
    starts
        .filter_map(|(at, open)| prompt[at + open.len()..].split_once('"'))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty())
        .collect()
}

/// The name in a word that starts with `@`, without the punctuation after it.
fn bare(word: &str) -> Option<&str> {
    let starts = |(at, _): &(usize, &str)| word[..*at].chars().next_back().is_none_or(may_precede);
    let (at, _) = word.match_indices('@').find(starts)?;
    let name = &word[at + 1..];
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let boundaries = name.char_indices().rev().map(|(at, c)| at + c.len_utf8());
    let end = boundaries.into_iter().find(|end| {
        let before = name[..*end].chars().next_back().is_some_and(is_word);
        let after = name[*end..].chars().next().is_some_and(is_word);
        before != after
    })?;
    (!name.starts_with('"')).then_some(&name[..end])
}

/// `file#L2-4`; any other fragment is dropped.
fn split_lines(name: &str) -> Mention {
    let Some((path, fragment)) = name.split_once('#').filter(|(path, _)| !path.is_empty()) else {
        return Mention { path: name.into(), lines: None };
    };
    let range = fragment.strip_prefix('L').map(|range| range.split('#').next().unwrap_or_default());
    let lines = range.and_then(|range| match range.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => range.parse().ok().map(|line| (line, line)),
    });
    Mention { path: path.into(), lines }
}

fn absolute(context: &Context, path: &str) -> PathBuf {
    let path = context.expand(path.into());
    std::path::absolute(&path).unwrap_or(path)
}

fn names_in(dir: &Path) -> String {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join("\n")
}

/// The file's text, or the wanted lines of it. `None` for what is not text.
fn text_of(path: &Path, lines: Option<(usize, usize)>) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    if bytes.contains(&0) {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(match lines {
        None => text,
        Some((first, last)) => {
            let first = first.max(1);
            text.split_inclusive('\n').skip(first - 1).take(last.saturating_add(1).saturating_sub(first)).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prompt: &str) -> Vec<String> {
        mentions(prompt).into_iter().map(|mention| mention.path).collect()
    }

    #[test]
    fn which_words_are_mentions() {
        let one = [
            "@a.txt",
            "see @a.txt",
            "@a.txt,",
            "@a.txt.",
            "@a.txt:",
            "@a.txt)",
            "x\n@a.txt!",
            "。@a.txt",
            "@\"a.txt\"",
            "@a.txt @a.txt",
        ];
        for prompt in one {
            assert_eq!(names(prompt), ["a.txt"], "{prompt:?}");
        }
        let none =
            ["me@a.txt", "(@a.txt)", "\"@a.txt\"", "`@a.txt`", "x,@a.txt", "\\@a.txt", "@.", "@..", "@*", "@~/", "@", "@日本"];
        for prompt in none {
            assert_eq!(names(prompt), Vec::<String>::new(), "{prompt:?}");
        }
        assert_eq!(names("@dir/"), ["dir"]);
        assert_eq!(names("@日本.txt"), ["日本.txt"]);
        assert_eq!(names("@a.txt's"), ["a.txt's"]);
        assert_eq!(names("@b @\"with space.txt\" @c"), ["with space.txt", "b", "c"]);
    }

    #[test]
    fn which_lines() {
        assert_eq!(split_lines("f#L2-4").lines, Some((2, 4)));
        assert_eq!(split_lines("f#L2").lines, Some((2, 2)));
        assert_eq!(split_lines("f#frag"), Mention { path: "f".into(), lines: None });
        assert_eq!(split_lines("f#L2-L4").lines, None);
        assert_eq!(split_lines("#x").path, "#x");
    }
}
