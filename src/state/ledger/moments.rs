//! How a user names a time that has been: a length of time before now, a day, a time of day, a time.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{Span, Timestamp, ToSpan, Zoned};

use crate::text::{last_at, time_of_day};

/// Parses `--since` and `--until`.
///
/// # Errors
/// The forms that there are.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    moment(text.trim(), &Zoned::now()).ok_or_else(|| {
        format!(
            "`{text}` is neither a length of time, such as `24h` or `7d`, nor `today`, `yesterday`, a weekday, a date, such as \
             `2026-11-22`, a time of day, such as `22:00`, or a time, such as `2026-11-22T02:10:00Z`"
        )
    })
}

/// A day means its beginning.
fn moment(text: &str, now: &Zoned) -> Option<Timestamp> {
    let ago = |span: Span| now.checked_sub(span.abs()).ok();
    let in_zone = |time: DateTime| time.to_zoned(now.time_zone().clone()).ok();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    if let Some(time) = time_of_day(text) {
        return last_at(time, now);
    }
    let (day, time) = text.split_once(' ').map_or((text, None), |(day, time)| (day, Some(time)));
    let time = match day_named(day, now) {
        Some(day) => in_zone(day.to_datetime(time.map_or(Some(Time::midnight()), time_of_day)?)),
        None => text.parse().ok().or_else(|| text.parse().ok().and_then(in_zone)).or_else(|| text.parse().ok().and_then(ago)),
    };
    time.map(|time| time.timestamp())
}

/// The last day of this name, which may be today.
fn day_named(name: &str, now: &Zoned) -> Option<Date> {
    let name = name.to_ascii_lowercase();
    let days_ago = match name.as_str() {
        "today" => 0,
        "yesterday" => 1,
        _ => now.date().weekday().since(WEEKDAYS.iter().find(|(known, _)| name == *known || name == known[..3])?.1),
    };
    now.date().checked_sub(days_ago.days()).ok()
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, Zoned};

    use super::moment;

    #[test]
    fn each_form_means_a_time() {
        // A Friday.
        let now: Zoned = "2026-11-27T09:15[Europe/Berlin]".parse().unwrap();
        let table = [
            ("30m", "2026-11-27T07:45:00Z"),
            ("24h", "2026-11-26T08:15:00Z"),
            ("7d", "2026-11-20T08:15:00Z"),
            ("-1h", "2026-11-27T07:15:00Z"),
            ("2 days", "2026-11-25T08:15:00Z"),
            ("today", "2026-11-26T23:00:00Z"),
            ("Yesterday", "2026-11-25T23:00:00Z"),
            ("yesterday 22:00", "2026-11-26T21:00:00Z"),
            ("friday", "2026-11-26T23:00:00Z"),
            ("thursday", "2026-11-25T23:00:00Z"),
            ("SAT", "2026-11-20T23:00:00Z"),
            ("monday 7:30", "2026-11-23T06:30:00Z"),
            ("22:00", "2026-11-26T21:00:00Z"),
            ("09:15", "2026-11-27T08:15:00Z"),
            ("2026-11-22", "2026-11-21T23:00:00Z"),
            ("2026-11-22 02:10", "2026-11-22T01:10:00Z"),
            ("2026-11-22T02:10", "2026-11-22T01:10:00Z"),
            ("2026-11-22T02:10:00Z", "2026-11-22T02:10:00Z"),
            ("2026-11-22T02:10:00-05:00", "2026-11-22T07:10:00Z"),
            ("2026-11-22T02:10[America/New_York]", "2026-11-22T07:10:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(moment(text, &now), expected.parse::<Timestamp>().ok(), "{text}");
        }
        for text in
            ["", "noon", "mo", "mond", "tomorrow", "25:00", "7", "yesterday noon", "2026-13-01", "2026-11-31", "today 24:00"]
        {
            assert_eq!(moment(text, &now), None, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_its_midnight_whatever_the_clock_does() {
        let table = [
            // Of 23 hours, and of 25.
            ("2026-03-30T08:00[Europe/Berlin]", "yesterday", "2026-03-28T23:00:00Z"),
            ("2026-03-29T08:00[Europe/Berlin]", "today", "2026-03-28T23:00:00Z"),
            ("2026-10-25T08:00[Europe/Berlin]", "today", "2026-10-24T22:00:00Z"),
            ("2026-10-26T08:00[Europe/Berlin]", "sunday", "2026-10-24T22:00:00Z"),
            ("2026-10-26T08:00[Europe/Berlin]", "1d", "2026-10-25T07:00:00Z"),
            ("2026-10-26T08:00[Europe/Berlin]", "24h", "2026-10-25T07:00:00Z"),
            ("2026-10-25T08:00[Europe/Berlin]", "24h", "2026-10-24T07:00:00Z"),
            ("2026-10-25T08:00[Europe/Berlin]", "1d", "2026-10-24T06:00:00Z"),
            // It has no midnight: its first moment is 1:00.
            ("2024-03-31T08:00[Asia/Beirut]", "today", "2024-03-30T22:00:00Z"),
            ("2024-03-31T08:00[Asia/Beirut]", "2024-03-31", "2024-03-30T22:00:00Z"),
        ];
        for (now, text, expected) in table {
            assert_eq!(moment(text, &now.parse().unwrap()), expected.parse::<Timestamp>().ok(), "{text} at {now}");
        }
    }
}
