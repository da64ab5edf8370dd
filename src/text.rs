//! Text that all layers meet: JSON with lone surrogates; yes and no; times and errors for people to read.

use std::io;

use jiff::civil::Time;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::shown::Shown;

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

/// Parses a time of day: `7:30`, `07:30`, `22:00:30`.
pub(crate) fn time_of_day(text: &str) -> Option<Time> {
    ["%H:%M", "%H:%M:%S"].into_iter().find_map(|format| Time::strptime(format, text.trim()).ok())
}

/// When it was last this time of day. A time that a change of the clock leaves out was an hour later on that day; one that came twice
/// was at its first.
pub(crate) fn last_at(time: Time, now: &Zoned) -> Option<Timestamp> {
    let on = |date: jiff::civil::Date| date.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
    let today = on(now.date()).filter(|today| today <= now);
    today.or_else(|| on(now.date().checked_sub(1.day()).ok()?)).map(|time| time.timestamp())
}

/// A length of time, as people say it: `48 s`, `12 min`, `4 h 50 min`.
pub(crate) fn length(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 60, minutes % 60) {
        _ if seconds.round() < 60.0 => format!("{seconds:.0} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// An I/O error in the system's words, without Rust's `(os error N)`.
pub(crate) fn plain(error: &io::Error) -> Shown {
    let text = error.to_string();
    Shown::line(uncapitalised(&text[..text.find(" (os error").unwrap_or(text.len())]))
}

/// The same text with a small first letter, to go on after our name.
pub(crate) fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// What a user has probably meant who wrote `word`, by how few letters are wrong or in another order.
pub(crate) fn nearest(word: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let most = (word.chars().count() / 3).max(1);
    let distance = |name: &String| strsim::damerau_levenshtein(word, name);
    known.map(|name| (distance(&name), name)).filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, Zoned};

    use super::{last_at, length, replace_lone_surrogates, time_of_day};

    #[test]
    fn times_of_day() {
        for (text, expected) in [("7:30", "07:30:00"), (" 07:30 ", "07:30:00"), ("0:00", "00:00:00"), ("23:59:59", "23:59:59")] {
            assert_eq!(time_of_day(text).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "7", "730", "24:00", "12:60", "-1:00", "7:30 am", "07:30Z", "noon", "07.30"] {
            assert_eq!(time_of_day(text), None, "{text}");
        }
    }

    #[test]
    fn it_was_last_this_time_of_day() {
        let table = [
            ("2026-11-27T09:00[Europe/Berlin]", "07:30", "2026-11-27T06:30:00Z"),
            ("2026-11-27T07:30[Europe/Berlin]", "07:30", "2026-11-27T06:30:00Z"),
            ("2026-11-27T07:29:59[Europe/Berlin]", "07:30", "2026-11-26T06:30:00Z"),
            // The clock goes from 2:00 to 3:00 on this day.
            ("2026-03-29T12:00[Europe/Berlin]", "02:30", "2026-03-29T01:30:00Z"),
            ("2026-03-29T03:10[Europe/Berlin]", "02:30", "2026-03-28T01:30:00Z"),
            ("2026-03-29T12:00[Europe/Berlin]", "22:00", "2026-03-28T21:00:00Z"),
            // It goes from 3:00 to 2:00 on this day.
            ("2026-10-25T02:40+02:00[Europe/Berlin]", "02:30", "2026-10-25T00:30:00Z"),
            ("2026-10-25T02:40+01:00[Europe/Berlin]", "02:30", "2026-10-25T00:30:00Z"),
        ];
        for (now, time, expected) in table {
            let last = last_at(time_of_day(time).unwrap(), &now.parse::<Zoned>().unwrap());
            assert_eq!(last, expected.parse::<Timestamp>().ok(), "{time} at {now}");
        }
    }

    #[test]
    fn lengths_of_time() {
        let table = [
            (0.0, "0 s"),
            (0.6, "1 s"),
            (59.4, "59 s"),
            (59.6, "1 min"),
            (3569.0, "59 min"),
            (3571.0, "1 h"),
            (17_400.0, "4 h 50 min"),
            (360_000.0, "100 h"),
        ];
        for (seconds, expected) in table {
            assert_eq!(length(seconds), expected);
        }
    }

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
