//! The values that Claude Code 2.1.330 refuses while it reads its command line.

use crate::claude_code::options::Opt;
use crate::error::{Error, Result};

/// # Errors
/// The real CLI's message for a value that it refuses.
pub(super) fn value(option: &Opt, value: &str) -> Result<()> {
    match option.name() {
        "--output-format" => choice(option, value, &["text", "json", "stream-json"]),
        "--input-format" => choice(option, value, &["text", "stream-json"]),
        "--thinking" => choice(option, value, &["enabled", "adaptive", "disabled"]),
        "--thinking-display" => choice(option, value, &["summarized", "omitted", "highlights"]),
        "--permission-prompts" => choice(option, value, &["host", "none"]),
        "--system-prompt-snapshot" => choice(option, value, &["on", "off"]),
        "--proactivity" => choice(option, value, &["ask", "default", "proactive"]),
        "--teammate-mode" => choice(option, value, &["auto", "tmux", "iterm2", "in-process"]),
        "--forward-home-settings" => choice(option, value, &["true", "false", "1", "0"]),
        "--prompt-suggestions" => {
            let choices = ["true", "false", "1", "0", "yes", "no", "on", "off"];
            match choices.contains(&value.trim().to_lowercase().as_str()) {
                true => Ok(()),
                false => choice(option, value, &choices),
            }
        }
        "--permission-mode" | "--inherit-permission-mode" => match value {
            "default" => Ok(()),
            _ => choice(option, value, &["acceptEdits", "auto", "bypassPermissions", "manual", "dontAsk", "plan"]),
        },
        "--max-turns" | "--max-thinking-tokens" => match grouped_number(value) {
            Some(_) => Ok(()),
            None => invalid(option, value, "must be a number"),
        },
        "--max-budget-usd" => match number(value) {
            Some(number) if number > 0.0 => Ok(()),
            _ => invalid(option, value, "--max-budget-usd must be a number greater than 0"),
        },
        "--task-budget" => match grouped_number(value) {
            Some(number) if number > 0.0 && number.fract() == 0.0 => Ok(()),
            _ => invalid(option, value, "--task-budget must be a positive integer"),
        },
        _ => Ok(()),
    }
}

fn choice(option: &Opt, value: &str, choices: &[&str]) -> Result<()> {
    match choices.contains(&value) {
        true => Ok(()),
        false => invalid(option, value, &format!("Allowed choices are {}.", choices.join(", "))),
    }
}

fn invalid(option: &Opt, value: &str, why: &str) -> Result<()> {
    Err(Error::as_claude(format_args!("error: option '{}' argument '{value}' is invalid. {why}", option.flags)))
}

/// JavaScript's `Number(text)`, `None` for NaN.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|number| number as f64);
    match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => return radix(&text[2..], 16),
        Some("0o") => return radix(&text[2..], 8),
        Some("0b") => return radix(&text[2..], 2),
        _ => {}
    }
    match text.strip_prefix(['+', '-']).unwrap_or(text) {
        "" => text.is_empty().then_some(0.0),
        "Infinity" => Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

/// A number, or one with its thousands set apart: `100,000`, `100_000`, `100 000`.
fn grouped_number(text: &str) -> Option<f64> {
    number(text).or_else(|| {
        let text = text.trim();
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let separator = digits.chars().find(|c| !c.is_ascii_digit())?;
        let mut groups = digits.split(separator);
        let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
        let first = groups.next().filter(|group| (1..=3).contains(&group.len()) && is_digits(group))?;
        let rest: Vec<&str> = groups.collect();
        let fits = ['_', ',', '\u{a0}', '\u{202f}', ' '].contains(&separator) && text.chars().count() <= 32;
        let grouped = fits && rest.iter().all(|group| group.len() == 3 && is_digits(group));
        grouped.then(|| format!("{first}{}", rest.concat()).parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::{grouped_number, number};

    #[test]
    fn numbers_as_javascript_reads_them() {
        let table = [
            ("", Some(0.0)),
            (" ", Some(0.0)),
            ("5", Some(5.0)),
            ("-1", Some(-1.0)),
            ("+1.5", Some(1.5)),
            (".5", Some(0.5)),
            ("1.", Some(1.0)),
            ("0x10", Some(16.0)),
            ("1e3", Some(1000.0)),
            ("Infinity", Some(f64::INFINITY)),
            ("abc", None),
            ("1a", None),
            ("nan", None),
            ("inf", None),
            ("-", None),
            ("1,000", None),
        ];
        for (text, expected) in table {
            assert_eq!(number(text), expected, "{text:?}");
        }
        assert_eq!(grouped_number("100,000"), Some(100_000.0));
        assert_eq!(grouped_number("1_000_000"), Some(1_000_000.0));
        assert_eq!(grouped_number("1,00"), None);
        assert_eq!(grouped_number("1,000_000"), None);
        assert_eq!(grouped_number("abc"), None);
    }
}
