//! The marks that begin calls, and the text between them and their ends.

pub(super) const TOOL_CALL: &str = "<tool_call>";
pub(super) const FUNCTION: &str = "<function=";
pub(super) const TOOL_CALLS: &str = "[TOOL_CALLS]";
pub(super) const PYTHON_TAG: &str = "<|python_tag|>";

/// What begins a call, wherever it stands.
const OPENERS: [&str; 4] = [TOOL_CALL, FUNCTION, TOOL_CALLS, PYTHON_TAG];

/// What ends a call that `TOOL_CALL` began.
pub(super) const TOOL_CALL_END: &str = "</tool_call>";

pub(super) fn first_opener(text: &str) -> Option<(usize, &'static str)> {
    let opener = |at: usize| Some((at, OPENERS.into_iter().find(|opener| text[at..].starts_with(opener))?));
    memchr::memchr2_iter(b'<', b'[', text.as_bytes()).find_map(opener)
}

/// How many of the last bytes may be the beginning of an opener.
pub(super) fn begun_opener(text: &str) -> usize {
    let begins = |length: &usize| text.is_char_boundary(text.len() - length);
    let is_begun = |length: &usize| OPENERS.iter().any(|opener| opener.starts_with(&text[text.len() - length..]));
    let longest = OPENERS.iter().map(|opener| opener.len() - 1).max().unwrap_or_default().min(text.len());
    (1..=longest).rev().filter(begins).find(is_begun).unwrap_or_default()
}

/// What stands before `end`, and what behind it; all of it if there is none.
pub(super) fn cut<'t>(text: &'t str, end: &str) -> (&'t str, &'t str) {
    text.split_once(end).unwrap_or((text, ""))
}

/// The same, but another call ends it too.
pub(super) fn up_to<'t>(text: &'t str, end: &str) -> (&'t str, &'t str) {
    let limit = first_opener(text).map_or(text.len(), |(at, _)| at);
    match text[..limit].split_once(end) {
        Some((before, _)) => (before, &text[before.len() + end.len()..]),
        None => text.split_at(limit),
    }
}

pub(super) fn without<'t>(text: &'t str, end: &str) -> &'t str {
    text.trim_start().strip_prefix(end).unwrap_or(text)
}
