//! The words of a prompt that Claude Code 2.1.330 takes for mentions of files: `@src/main.rs`, `@"with space.txt"`, `@file#L2-4`.

use std::collections::HashSet;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mention {
    pub path: String,
    /// The first and the last line, from 1; otherwise the whole file.
    pub lines: Option<(usize, usize)>,
}

/// The mentions in the prompt's order, the quoted ones first, without repetition.
pub(crate) fn mentions(prompt: &str) -> Vec<Mention> {
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

/// Parses `file#L2-4`, and drops any other fragment.
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
