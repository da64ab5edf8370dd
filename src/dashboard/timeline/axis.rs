//! The axis of time: from the past to now, and into the future as far as an open limit is stated to last. It is cut into columns, each of
//! the same length, so that a picture changes only once per column.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// How much a timeline shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Day,
    /// Seven days of the calendar: one of them has 23 or 25 hours where the clock changes.
    Week,
}

pub(super) struct Axis {
    pub begin: Timestamp,
    pub now: Timestamp,
    pub columns: usize,
    length: Length,
}

pub(super) struct Tick {
    pub time: Timestamp,
    pub label: String,
    pub is_midnight: bool,
    /// Left out where there is little room.
    pub is_minor: bool,
}

impl Length {
    /// In seconds.
    fn column(self) -> i64 {
        match self {
            Length::Day => 120,
            Length::Week => 720,
        }
    }

    /// How much of the future is shown at most.
    fn ahead(self) -> SignedDuration {
        match self {
            Length::Day => SignedDuration::from_hours(6),
            Length::Week => SignedDuration::from_hours(36),
        }
    }

    /// Where the time that ends at `end` begins.
    pub(super) fn begin(self, end: Timestamp, zone: &TimeZone) -> Timestamp {
        let begin = match self {
            Length::Day => end.checked_sub(24.hours()).ok(),
            Length::Week => end.to_zoned(zone.clone()).checked_sub(7.days()).ok().map(|begin| begin.timestamp()),
        };
        begin.unwrap_or(end)
    }
}

impl Axis {
    /// `until`: the stated end of what is open.
    pub(super) fn new(length: Length, now: Timestamp, until: Option<Timestamp>, zone: &TimeZone) -> Axis {
        let end = round_up(now, length.column());
        let begin = length.begin(end, zone);
        let latest = end.checked_add(length.ahead()).unwrap_or(end);
        let shown = until.map_or(end, |until| round_up(until.min(latest), length.column())).max(end);
        let columns = (shown.as_second() - begin.as_second()).max(1) as u64;
        Axis { begin, now, columns: columns.div_ceil(length.column() as u64) as usize, length }
    }

    pub(super) fn span_of(&self, columns: i64) -> SignedDuration {
        SignedDuration::from_secs(columns * self.length.column())
    }

    pub(super) fn end(&self) -> Timestamp {
        let seconds = self.columns as i64 * self.length.column();
        self.begin.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(self.now)
    }

    /// The place of a time in columns, within the axis.
    pub(super) fn place(&self, time: Timestamp) -> f64 {
        let seconds = time.duration_since(self.begin).as_secs_f64();
        (seconds / self.length.column() as f64).clamp(0.0, self.columns as f64)
    }

    /// None outside the axis.
    pub(super) fn column(&self, time: Timestamp) -> Option<usize> {
        let column = (time.as_second() - self.begin.as_second()).div_euclid(self.length.column());
        usize::try_from(column).ok().filter(|column| *column < self.columns)
    }

    /// From 0 to 100.
    pub(super) fn percent(&self, time: Timestamp) -> f64 {
        self.place(time) * 100.0 / self.columns as f64
    }

    /// Midnights, and hours between them, in local time. An hour that the clock leaves out has no tick, and one that comes twice
    /// has one, at its first time.
    pub(super) fn ticks(&self, zone: &TimeZone) -> Vec<Tick> {
        let first = self.begin.to_zoned(zone.clone()).date();
        let days = first.series(1.day()).take(11);
        days.flat_map(|date| self.ticks_of(date, zone)).filter(|tick| self.begin <= tick.time && tick.time < self.end()).collect()
    }

    fn ticks_of(&self, date: Date, zone: &TimeZone) -> Vec<Tick> {
        let hours: &[i8] = match self.length {
            Length::Day => &[0, 3, 6, 9, 12, 15, 18, 21],
            Length::Week => &[0],
        };
        let tick = |hour: i8| {
            let time = date.at(hour, 0, 0, 0).to_zoned(zone.clone()).ok()?;
            // A midnight that the clock leaves out is where the day begins.
            if time.hour() != hour && hour != 0 {
                return None;
            }
            let label = time.strftime(if hour == 0 { "%a %-d" } else { "%H:%M" }).to_string();
            Some(Tick { time: time.timestamp(), label, is_midnight: hour == 0, is_minor: hour % 6 != 0 })
        };
        hours.iter().filter_map(|hour| tick(*hour)).collect()
    }
}

fn round_up(time: Timestamp, seconds: i64) -> Timestamp {
    let rounded = time.as_second().div_euclid(seconds).saturating_add(1).saturating_mul(seconds);
    Timestamp::from_second(rounded).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a zone")
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn labels(length: Length, now: &str, zone: &TimeZone) -> Vec<(String, u64)> {
        let axis = Axis::new(length, time(now), None, zone);
        axis.ticks(zone).into_iter().map(|tick| (tick.label, axis.place(tick.time).round() as u64)).collect()
    }

    #[test]
    fn a_day_has_its_hours_and_its_midnight() {
        let berlin = zone("Europe/Berlin");
        let found = labels(Length::Day, "2026-11-27T09:15:52Z", &berlin);
        let places = [("12:00", 52), ("15:00", 142), ("18:00", 232), ("21:00", 322), ("Fri 27", 412), ("03:00", 502)];
        let places: Vec<(String, u64)> =
            places.into_iter().chain([("06:00", 592), ("09:00", 682)]).map(|(label, at)| (label.to_string(), at)).collect();
        assert_eq!(found, places);
    }

    #[test]
    fn where_the_clock_changes_a_day_is_an_hour_shorter_or_longer() {
        let berlin = zone("Europe/Berlin");
        let widths = |now: &str| {
            let places: Vec<u64> = labels(Length::Week, now, &berlin).into_iter().map(|(_, place)| place).collect();
            places.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 5.0).collect::<Vec<_>>()
        };
        // 2026-03-29 has 23 hours, 2026-10-25 has 25.
        assert_eq!(widths("2026-04-01T10:00:00Z"), [24.0, 24.0, 24.0, 23.0, 24.0, 24.0]);
        assert_eq!(widths("2026-10-28T10:00:00Z"), [24.0, 24.0, 24.0, 25.0, 24.0, 24.0]);
        let hours = |now: &str| {
            let axis = Axis::new(Length::Week, time(now), None, &berlin);
            axis.columns as f64 / 5.0
        };
        assert_eq!((hours("2026-04-01T10:00:00Z"), hours("2026-10-28T10:00:00Z")), (167.0, 169.0));
    }

    #[test]
    fn hours_beside_a_change_of_the_clock_are_where_they_are() {
        let berlin = zone("Europe/Berlin");
        let after = |now: &str, from: &str, to: &str| {
            let found = labels(Length::Day, now, &berlin);
            let place = |label: &str| found.iter().find(|(found, _)| found == label).expect(label).1;
            (place(to) - place(from)) / 30
        };
        assert_eq!(after("2026-03-29T20:00:00Z", "Sun 29", "03:00"), 2);
        assert_eq!(after("2026-10-25T20:00:00Z", "Sun 25", "03:00"), 4);
        // In Santiago the clock goes from 24:00 to 01:00.
        let santiago = zone("America/Santiago");
        assert!(labels(Length::Day, "2026-09-06T15:00:00Z", &santiago).iter().any(|(label, _)| label == "Sun 6"));
    }

    #[test]
    fn an_open_limit_is_seen_in_the_future() {
        let utc = TimeZone::UTC;
        let hours = |length, until: Option<&str>| {
            let axis = Axis::new(length, time("2026-11-27T09:00:30Z"), until.map(time), &utc);
            let ahead = axis.end().duration_since(axis.now).as_secs_f64() / 3600.0;
            (ahead * 10.0).round() / 10.0
        };
        assert_eq!(hours(Length::Day, None), 0.0);
        assert_eq!(hours(Length::Day, Some("2026-11-27T08:00:00Z")), 0.0);
        assert_eq!(hours(Length::Day, Some("2026-11-27T12:00:00Z")), 3.0);
        assert_eq!(hours(Length::Day, Some("2026-12-03T12:00:00Z")), 6.1);
        assert_eq!(hours(Length::Week, Some("2026-12-03T12:00:00Z")), 36.4);
    }

    #[test]
    fn what_is_no_time_of_the_axis_has_no_column() {
        let axis = Axis::new(Length::Day, time("2026-11-27T09:00:30Z"), None, &TimeZone::UTC);
        let table = [
            ("2026-11-26T09:01:59Z", None),
            ("2026-11-26T09:02:00Z", Some(0)),
            ("2026-11-27T09:01:59Z", Some(719)),
            ("2026-11-27T09:02:00Z", None),
        ];
        for (at, expected) in table {
            assert_eq!(axis.column(time(at)), expected, "{at}");
        }
        for extreme in [Timestamp::MIN, Timestamp::MAX] {
            let axis = Axis::new(Length::Week, extreme, Some(extreme), &TimeZone::UTC);
            assert!(axis.columns <= 2000 && axis.ticks(&TimeZone::UTC).len() <= 10, "{extreme}");
        }
    }
}
