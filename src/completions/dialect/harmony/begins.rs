//! Whether an answer is in Harmony.

use super::header::CHANNELS;
use super::lexer::{CHANNEL, CONSTRAIN, MESSAGE, START};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Marked,
    /// A server has taken the marks away: `analysisWe think.assistantfinalHello`.
    Unmarked,
    Other,
    Unclear,
}

/// No header is longer before its first mark.
const LONGEST: usize = 200;

/// What a text without white space before it is.
pub(super) fn look(text: &str) -> Sight {
    if text.starts_with('<') {
        return look_at_mark(text);
    }
    // The template may have written any part of the header.
    let end = text.char_indices().find(|(at, c)| *at >= LONGEST || !(c.is_alphanumeric() || "_-.:/= ".contains(*c)));
    let (head, next) = text.split_at(end.map_or(text.len(), |(at, _)| at));
    if is_unmarked(head, next) {
        return Sight::Unmarked;
    }
    let words: Vec<&str> = head.split(' ').filter(|word| !word.is_empty()).collect();
    let Some((last, before)) = words.split_last() else { return if text.is_empty() { Sight::Unclear } else { Sight::Other } };
    let is_first = before.is_empty();
    if !before.iter().enumerate().all(|(at, word)| is_word(word, at == 0)) || head.len() >= LONGEST {
        return Sight::Other;
    }
    let is_header = is_word(last, is_first);
    if next.is_empty() {
        return if is_header || is_begun(last, is_first) { Sight::Unclear } else { Sight::Other };
    }
    match [CHANNEL, CONSTRAIN, MESSAGE]
        .iter()
        .filter(|_| is_header)
        .find(|mark| mark.starts_with(next) || next.starts_with(**mark))
    {
        Some(mark) if next.starts_with(mark) => Sight::Marked,
        Some(_) => Sight::Unclear,
        // `commentary to=functions.Bash json{…`
        None if next.starts_with('{') && is_call(&words) => Sight::Unmarked,
        None => Sight::Other,
    }
}

fn look_at_mark(text: &str) -> Sight {
    for mark in [CHANNEL, START, MESSAGE] {
        if mark.starts_with(text) {
            return Sight::Unclear;
        }
        if let Some(after) = text.strip_prefix(mark) {
            return match after.chars().next() {
                None => Sight::Unclear,
                // A sentence that begins with the mark's name.
                Some(c) if c.is_whitespace() && mark != MESSAGE => Sight::Other,
                Some(_) => Sight::Marked,
            };
        }
    }
    Sight::Other
}

fn is_word(word: &str, is_first: bool) -> bool {
    let is_recipient = word.strip_prefix("to=").is_some_and(|name| !name.is_empty());
    is_recipient || CHANNELS.contains(&word) || if is_first { word == "assistant" } else { ["json", "code"].contains(&word) }
}

fn is_begun(word: &str, is_first: bool) -> bool {
    let more: &[&str] = if is_first { &["assistantanalysis", "assistantcommentary", "to="] } else { &["json", "code", "to="] };
    CHANNELS.iter().chain(more).any(|whole| whole.starts_with(word))
}

/// `analysisWe`: no word goes on so.
fn is_unmarked(head: &str, next: &str) -> bool {
    let head = head.strip_prefix("assistant").unwrap_or(head);
    let Some(after) = head.strip_prefix("analysis") else { return false };
    match after.chars().next() {
        Some(c) => c.is_alphanumeric(),
        None => next.chars().next().is_some_and(|c| !c.is_ascii() && c.is_alphanumeric()),
    }
}

fn is_call(words: &[&str]) -> bool {
    let channel = words.iter().any(|word| word.ends_with("commentary") || word.ends_with("analysis"));
    channel && words.iter().any(|word| word.starts_with("to=functions."))
}
