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
    // EXAONE Deep.
    ("<thought>", "</thought>"),
    // Apriel.
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
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

/// The closing mark that a text begins with: of thinking that the server has told apart, or that was empty.
pub(super) fn closed_by(text: &str) -> Option<&'static str> {
    unopened_marks().map(|(_, close)| *close).find(|close| text.starts_with(close))
}

/// Marks whose closing one says by itself what it is.
fn unopened_marks() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    MARKS.iter().filter(|(open, _)| !open.starts_with("Here"))
}

/// Whether an opening mark may begin with this text, which is shorter.
pub(super) fn is_begun(text: &str) -> bool {
    MARKS.iter().any(|(open, _)| open.len() > text.len() && open.starts_with(text))
}

/// Whether a closing mark may begin with this text, which is shorter.
pub(super) fn is_begun_close(text: &str) -> bool {
    unopened_marks().any(|(_, close)| close.len() > text.len() && close.starts_with(text))
}

/// How many of the last bytes of a text may be the beginning of `mark`.
pub(super) fn begun(text: &str, mark: &str) -> usize {
    let longest = (mark.len() - 1).min(text.len());
    (1..=longest).rev().find(|length| text.as_bytes().ends_with(&mark.as_bytes()[..*length])).unwrap_or_default()
}

/// The first mark of thinking that stands anywhere in a text, code included.
pub(crate) fn mark_in(text: &str) -> Option<&'static str> {
    unopened_marks().flat_map(|(open, close)| [*open, *close]).find(|mark| text.contains(mark))
}

/// The thinking before a closing mark that has no opening one, and the answer behind it.
///
/// A mark counts if it is no code and not quoted. If it stands on a line of its own it closes whatever stands before it, since
/// thoughts leave fences open, but not for a model that is known not to think so: its answer shows such a mark.
pub(super) fn split_unopened(text: &str, thinks_unopened: Option<bool>) -> Option<(&str, &str)> {
    MARKS.iter().filter(|(open, _)| !is_words(open)).find_map(|(open, close)| {
        let at = text
            .match_indices(close)
            .map(|(at, _)| at)
            .take(MOST_TRIED)
            .find(|at| closes(text, *at, close, thinks_unopened != Some(false)))?;
        (!text[..at].contains(open)).then(|| (text[..at].trim(), text[at + close.len()..].trim_start()))
    })
}

/// Whether a closing mark, with a character behind it, ends in what was added to a text of `begun` bytes.
pub(super) fn is_past_closing_mark(text: &str, begun: usize) -> bool {
    MARKS.iter().any(|(_, close)| {
        let mut from = begun.saturating_sub(close.len());
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        text[from..].find(close).is_some_and(|at| from + at + close.len() < text.len())
    })
}

/// How many closing marks are looked at: each is looked at with all that stands before it.
const MOST_TRIED: usize = 16;

fn closes(text: &str, at: usize, close: &str, leaves_fences_open: bool) -> bool {
    let (before, after) = (&text[..at], &text[at + close.len()..]);
    let is_own_line = before.is_empty() || before.ends_with('\n');
    if leaves_fences_open && is_own_line && (after.is_empty() || after.starts_with(['\n', '\r'])) {
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
            assert_eq!(split_unopened(text, None), expected, "{text:?}");
        }
        let shown = "The template:\n```\nhm\n</think>\n```\n";
        assert_eq!(split_unopened(shown, Some(false)), None);
        assert_eq!(split_unopened("hm\n</think>\nyes", Some(false)), Some(("hm", "yes")));
    }

    #[test]
    fn closing_marks_that_have_just_come() {
        let is_past = |before: &str, added: &str| is_past_closing_mark(&format!("{before}{added}"), before.len());
        assert!(is_past("hm</thi", "nk>y") && is_past("hm</think>", "\n") && is_past("é", "</think>x"));
        assert!(!is_past("hm</thi", "nk>") && !is_past("hm</think>yes, ", "it is") && !is_past("", "hm"));
    }

    #[test]
    fn beginnings_of_marks() {
        assert_eq!(begun("a</th", "</think>"), 4);
        assert_eq!(begun("a◁/", "◁/think▷"), 4);
        assert_eq!(begun("a</think>", "</think>"), 0);
        assert_eq!(begun("", "</think>"), 0);
    }
}
