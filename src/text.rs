//! Text that all layers meet: JSON with lone surrogates; yes and no; times and errors for people to read.

use std::io;

use jiff::Timestamp;

/// The JSON text with U+FFFD in place of each lone surrogate. JavaScript and Python write them into JSON where a text was cut in the
/// middle of a character, and no Rust string can hold them.
pub(crate) fn replace_lone_surrogates(json: &str) -> String {
    let mut replaced = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        replaced.push_str(&rest[..at]);
        let escape = &rest[at..];
        let is_pair = || matches!(escape.get(6..).and_then(unit), Some(0xdc00..=0xdfff));
        let (written, length) = match unit(escape) {
            Some(0xd800..=0xdbff) if is_pair() => (&escape[..12], 12),
            Some(0xd800..=0xdfff) => ("\\ufffd", 6),
            Some(_) => (&escape[..6], 6),
            None => {
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                (&escape[..length], length)
            }
        };
        replaced.push_str(written);
        rest = &escape[length..];
    }
    replaced + rest
}

/// The code unit of the escape `\uXXXX` with which a text begins.
fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// What a setting may say that is yes or no.
pub(crate) const YES_OR_NO: &str = "1/true/yes/on or 0/false/no/off";

/// An empty value means no.
pub(crate) fn parse_yes_or_no(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "" | "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A local time, with the day if it is not the day of `now`.
pub(crate) fn clock(time: Timestamp, now: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    let (time, now) = (time.to_zoned(zone.clone()), now.to_zoned(zone));
    let format = if time.date() == now.date() { "%H:%M" } else { "%a %d %b %H:%M" };
    time.strftime(format).to_string()
}

/// An I/O error in the system's words, without Rust's `(os error N)`.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    uncapitalised(&text[..text.find(" (os error").unwrap_or(text.len())])
}

/// The same text with a small first letter, to go on after our name.
pub(crate) fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::replace_lone_surrogates;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        let table = [
            (r#""a\ud83db""#, r#""a\ufffdb""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud83d \n\u0041\é""#, r#""\\ud83d \n\u0041\é""#),
            (r#""\ud8""#, r#""\ud8""#),
            ("\\", "\\"),
            ("\\u", "\\u"),
        ];
        for (json, expected) in table {
            assert_eq!(replace_lone_surrogates(json), expected, "{json}");
        }
    }
}
