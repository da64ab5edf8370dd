//! How models mark their thinking, which is kept out of the answer.
//!
//! Servers that know the model's template send thinking in a field of its own. Others leave it in the text: before the
//! answer, or without the opening mark where the template has written that already.

use crate::completions::dialect::prose::Prose;

/// What opens thinking, and what closes it.
pub(super) const MARKS: &[(&str, &str)] = &[
    ("<think>", "</think>"),
    // Magistral.
    ("[THINK]", "[/THINK]"),
    // Gemma 4.
    ("<|channel>thought", "<channel|>"),
    // Kimi.
    ("◁think▷", "◁/think▷"),
    // Seed-OSS.
    ("<seed:think>", "</seed:think>"),
    // Command R.
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    // Granite 3.2.
    ("Here is my thought process:", "Here is my response:"),
    ("Here's my thought process:", "Here's my response:"),
];

/// The marks of thinking that a text begins with.
pub(super) fn opened_by(text: &str) -> Option<(&'static str, &'static str)> {
    MARKS.iter().find(|(open, _)| text.starts_with(open)).copied()
}

/// Whether a mark is a sentence that an answer may have for its own: the mark that closes the thinking has to follow.
pub(super) fn is_words(open: &str) -> bool {
    open.starts_with("Here")
}

/// Whether an opening mark may begin with this text, which is shorter.
pub(super) fn is_begun(text: &str) -> bool {
    MARKS.iter().any(|(open, _)| open.len() > text.len() && open.starts_with(text))
}

/// How many of the last bytes of a text may be the beginning of `mark`.
pub(super) fn begun(text: &str, mark: &str) -> usize {
    let longest = (mark.len() - 1).min(text.len());
    (1..=longest).rev().find(|length| text.as_bytes().ends_with(&mark.as_bytes()[..*length])).unwrap_or_default()
}

/// The thinking before a closing mark that has no opening one, and the answer behind it.
///
/// A mark on a line of its own closes whatever stands before it, since thoughts leave fences open. Within a line it does if it
/// is no code and not quoted.
pub(super) fn split_unopened(text: &str) -> Option<(&str, &str)> {
    MARKS.iter().filter(|(open, _)| !is_words(open)).find_map(|(open, close)| {
        let at = text.match_indices(close).map(|(at, _)| at).take(MOST_TRIED).find(|at| closes(text, *at, close))?;
        (!text[..at].contains(open)).then(|| (text[..at].trim(), text[at + close.len()..].trim_start()))
    })
}

/// How many closing marks are looked at: each is looked at with all that stands before it.
const MOST_TRIED: usize = 16;

fn closes(text: &str, at: usize, close: &str) -> bool {
    let (before, after) = (&text[..at], &text[at + close.len()..]);
    let is_own_line = before.is_empty() || before.ends_with('\n');
    if is_own_line && (after.is_empty() || after.starts_with(['\n', '\r'])) {
        return true;
    }
    let mut prose = Prose::default();
    prose.push(before);
    prose.is_plain()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unopened_thinking() {
        let table = [
            ("hm\nhm\n</think>\n\nyes", Some(("hm\nhm", "yes"))),
            ("</think>yes", Some(("", "yes"))),
            ("hm.</think>yes", Some(("hm.", "yes"))),
            ("```\nhm\n</think>\nyes", Some(("```\nhm", "yes"))),
            ("hm\n[/THINK]yes", Some(("hm", "yes"))),
            ("hm<channel|>yes", Some(("hm", "yes"))),
            ("the tag `</think>` closes", None),
            ("the tag \"</think>\" closes", None),
            ("```\n<think>\n</think>\n```", None),
            ("<think>\n</think>\n", None),
            ("none", None),
        ];
        for (text, expected) in table {
            assert_eq!(split_unopened(text), expected, "{text:?}");
        }
    }

    #[test]
    fn beginnings_of_marks() {
        assert_eq!(begun("a</th", "</think>"), 4);
        assert_eq!(begun("a◁/", "◁/think▷"), 4);
        assert_eq!(begun("a</think>", "</think>"), 0);
        assert_eq!(begun("", "</think>"), 0);
    }
}
