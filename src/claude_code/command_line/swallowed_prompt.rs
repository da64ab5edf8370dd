//! The warning about a prompt that an option with many values has taken: `--allowedTools Read "what is this"`.

use crate::claude_code::command_line::scan::{Token, is_option};
use crate::claude_code::options::{Arity, find};
use crate::shown::{Shown, shown};

/// The real CLI's warning (2.1.330), if the last value of such an option looks like a sentence and nothing else looks
/// like a prompt.
pub(super) fn warning(args: &[String], tokens: &[Token]) -> Option<Shown> {
    if tokens.iter().any(|token| !is_option(token.text)) {
        return None;
    }
    let takes_many = |token: &&Token| find(token.text).is_some_and(|option| option.arity() == Arity::Variadic);
    let last_value = |token: &Token| (token.end > token.at + 2).then(|| (token.text.to_string(), args[token.end - 1].trim()));
    let (option, value) = tokens.iter().filter(takes_many).filter_map(last_value).find(|(_, value)| is_sentence(value))?;
    let shown = shortened(value);
    Some(shown!("\"{shown}\" was read as a value of {option}, not as a prompt · put a prompt before {option} or after --"))
}

fn is_sentence(value: &str) -> bool {
    let has_prose = value.chars().any(|c| c.is_whitespace() || !c.is_ascii());
    has_prose && !looks_like_value(value) && has_small_word(value)
}

/// A path, JSON, or `key:value`.
fn looks_like_value(value: &str) -> bool {
    if value.starts_with(['.', '~', '{', '\\']) {
        return true;
    }
    if let Some(rest) = value.strip_prefix('/') {
        return rest.find(|c: char| c == '/' || c.is_whitespace()).is_some_and(|at| rest[at..].starts_with('/'));
    }
    let word = value.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(value.len());
    let after_colon = value[word..].strip_prefix(':').and_then(|rest| rest.chars().next());
    word > 0 && after_colon.is_some_and(|c| !c.is_whitespace())
}

/// Whether some word outside brackets begins with neither a capital nor `mcp__`: tools' names do.
fn has_small_word(value: &str) -> bool {
    let outside = match (value.find('('), value.rfind(')')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", &value[..open], &value[close + 1..]),
        _ => value.to_string(),
    };
    let mut words = outside.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    words.any(|word| !word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.starts_with("mcp__"))
}

/// One line of at most 40 characters.
fn shortened(value: &str) -> Shown {
    let line = Shown::squeezed(value);
    match line.chars().count() {
        0..=40 => line,
        _ => shown!("{}…", line.at_most(39)),
    }
}
