//! The end of a limit, as Claude Code prints it.

use jiff::civil::{Date, Time};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The time in a text such as `Weekly limit reached ∙ resets Nov 25, 9am (Europe/Stockholm)` or `…reached|1795341530`.
/// A time without a date is its next occurrence in its zone; without a zone, in this machine's.
///
/// Grammar as seen in Claude Code 1.0.77 to 2.1.330 and in reports: `[Mon D[, YYYY][,| at] ]h[:mm][ ]am|pm[ (ZONE)]`, any
/// separator before it, U+202F before am or pm.
pub(super) fn reset_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(seconds) = text.rsplit_once('|').and_then(|(_, end)| end.trim().parse::<i64>().ok()).filter(|at| *at > 0) {
        let seconds = if seconds > 100_000_000_000 { seconds / 1000 } else { seconds };
        return Timestamp::from_second(seconds).ok();
    }
    let lower = text.to_lowercase();
    // `… You will regain access on 2026-12-01 at 00:00 UTC.`, the API's own words.
    if let Some((_, rest)) = lower.split_once("regain access on ") {
        return strtime::parse("%Y-%m-%d at %H:%M", rest.get(..19)?)
            .ok()?
            .to_datetime()
            .ok()?
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp());
    }
    let at = lower.find("resets")? + "resets".len();
    let rest = text.get(at..)?;
    let zone = match rest.split_once('(').and_then(|(_, zone)| zone.split_once(')')) {
        Some((zone, _)) => TimeZone::get(zone.trim()).ok()?,
        None => TimeZone::system(),
    };
    let stated = rest.split('(').next()?.to_lowercase();
    let words: Vec<&str> =
        stated.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').filter(|word| !word.is_empty()).collect();
    let (mut month, mut day, mut year, mut time) = (None, None, None, None);
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let half = words.peek().copied().filter(|next| matches!(*next, "am" | "pm"));
        if let Some(found) = clock(word, half) {
            time = Some(found);
            break;
        } else if let Some(found) = MONTHS.iter().position(|name| word.starts_with(name)) {
            month = Some(found as i8 + 1);
        } else if let Ok(number) = word.parse::<i16>() {
            *(if number > 31 { &mut year } else { &mut day }) = Some(number);
        } else if word != "at" && word != "on" {
            return None;
        }
    }
    let (time, here) = (time?, now.to_zoned(zone.clone()));
    let on = |date: Date| date.to_datetime(time).to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    match (month, day) {
        (Some(month), Some(day)) => {
            let in_year = |year: i16| on(Date::new(year, month, day.try_into().ok()?).ok()?);
            let first = in_year(year.unwrap_or(here.year()))?;
            // Yesterday's is past; last January's is next January's.
            let is_long_past = first < now - 48.hours();
            if year.is_none() && is_long_past { in_year(here.year() + 1) } else { Some(first) }
        }
        // Told to the minute, it may just have passed.
        _ => on(here.date()).filter(|first| *first > now - 2.minutes()).or_else(|| on(here.date().tomorrow().ok()?)),
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// `9am`, `9:59pm`, or `9` and `9:59` where am or pm is the next word.
fn clock(word: &str, next: Option<&str>) -> Option<Time> {
    let (digits, half) = match word.strip_suffix("am").map(|digits| (digits, "am")) {
        Some(found) => found,
        None => word.strip_suffix("pm").map(|digits| (digits, "pm")).or(next.map(|half| (word, half)))?,
    };
    let (hour, minute) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    if !(1..=12).contains(&hour) {
        return None;
    }
    Time::new(hour % 12 + if half == "pm" { 12 } else { 0 }, minute, 0, 0).ok()
}
