//! The calls of a time as a picture: two lanes of marks, one for each backend, over bands for limits and outages. It is an SVG whose
//! size follows its place: lengths across are shares of the width, and texts keep their size.

mod axis;
mod bands;
mod labels;
mod lane;
mod table;

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::dashboard::html::{Html, html};
pub(crate) use crate::dashboard::timeline::axis::Length;
use crate::dashboard::timeline::axis::{Axis, Tick};
use crate::dashboard::timeline::bands::{Band, bands, merged};
use crate::dashboard::timeline::labels::{Label, Late, placed};
use crate::dashboard::timeline::lane::{Lane, lanes};
use crate::dashboard::view::clock;
use crate::state::breaker::Condition;
use crate::state::ledger::{Entry, RouteName};

/// From top to bottom, in pixels: the names of the bands, two lanes with a name each, and the axis.
const TOP: u32 = 18;
const BASES: [u32; 2] = [70, 128];
const STRIP: u32 = 4;
const BOTTOM: u32 = 136;
const HEIGHT: u32 = 154;

const NAMES: [(&str, &str); 2] = [("claude", "Claude"), ("local", "Local model")];

/// Failed calls that are closer than this, in columns, have one mark.
const DISTANCE: usize = 8;

/// Bands of the same cause that are closer than this, in columns, are one.
const NEAR: i64 = 4;

/// A timeline of the calls that are in the ledger.
pub(crate) struct Timeline {
    length: Length,
    axis: Axis,
    zone: TimeZone,
    bands: Vec<Band>,
    lanes: [Lane; 2],
    hours: Vec<table::Row>,
}

impl Timeline {
    /// `entries`: in the order of their times.
    pub(crate) fn new(length: Length, entries: &[&Entry], conditions: &[Condition], now: Timestamp, zone: &TimeZone) -> Timeline {
        let calls: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.route != RouteName::Gateway).collect();
        let mut bands = bands(&calls, conditions, now);
        let until = bands.iter().filter(|band| !band.is_over).filter_map(|band| band.end).max();
        let axis = Axis::new(length, now, until, zone);
        bands.retain(|band| axis.has(band));
        let bands = merged(bands, axis.span_of(NEAR), now);
        let (lanes, hours) = (lanes(&calls, &axis), table::rows(&calls, &axis, length, zone));
        Timeline { length, lanes, hours, bands, axis, zone: zone.clone() }
    }

    /// The first moment that it shows.
    pub(crate) fn begin(&self) -> Timestamp {
        self.axis.begin
    }

    fn name(&self) -> (&'static str, &'static str) {
        match self.length {
            Length::Day => ("day", "The last 24 hours"),
            Length::Week => ("week", "The last 7 days"),
        }
    }

    pub(crate) fn svg(&self) -> Html {
        let (id, title) = self.name();
        let ticks = self.axis.ticks(&self.zone);
        html![
            "<svg class=\"timeline\" role=\"img\" width=\"100%\" height=\"",
            HEIGHT,
            "\" aria-labelledby=\"title-",
            id,
            " desc-",
            id,
            "\">",
            "<title id=\"title-",
            id,
            "\">",
            title,
            "</title><desc id=\"desc-",
            id,
            "\">",
            self.description(),
            "</desc>",
            self.plot(&ticks),
            "<g aria-hidden=\"true\">",
            self.texts(&ticks),
            "</g></svg>"
        ]
    }

    /// What the picture shows, in words.
    pub(crate) fn description(&self) -> String {
        let [claude, local] = &self.lanes;
        let calls = |count: usize| if count == 1 { "1 call".to_string() } else { format!("{count} calls") };
        let mut text = format!("{} answered by Claude, {} by the local model.", calls(claude.calls), calls(local.calls));
        match claude.failures + local.failures {
            0 => {}
            failures => {
                let _ = write!(text, " {} failed.", calls(failures));
            }
        }
        for band in &self.bands {
            let _ = write!(text, " {}: {}.", band.title(), table::times(band, self.axis.now, &self.zone));
        }
        text
    }

    /// What is stretched to the width.
    fn plot(&self, ticks: &[Tick]) -> Html {
        let lines = |is_midnight: bool| {
            let places = ticks.iter().filter(|tick| tick.is_midnight == is_midnight).map(|tick| self.axis.place(tick.time));
            places.map(|place| format!("M{place:.1} {TOP}V{BOTTOM}")).collect::<String>()
        };
        let now = (self.axis.end() > self.axis.now + jiff::SignedDuration::from_mins(15))
            .then(|| html!["<path class=\"now\" d=\"M", number(self.axis.place(self.axis.now)), " ", TOP, "V", BOTTOM, "\"/>"]);
        html![
            "<svg aria-hidden=\"true\" width=\"100%\" height=\"",
            HEIGHT,
            "\" viewBox=\"0 0 ",
            self.axis.columns,
            " ",
            HEIGHT,
            "\" preserveAspectRatio=\"none\">",
            self.bands.iter().map(|band| self.band(band)).collect::<Vec<_>>(),
            "<path class=\"grid\" d=\"",
            lines(false),
            "\"/><path class=\"midnight\" d=\"",
            lines(true),
            "\"/>",
            "<path class=\"base\" d=\"M0 ",
            BASES[0],
            "H",
            self.axis.columns,
            "M0 ",
            BASES[1],
            "H",
            self.axis.columns,
            "\"/>",
            (0..2).map(|lane| self.lane(lane)).collect::<Vec<_>>(),
            now,
            "</svg>"
        ]
    }

    /// Up to now it is filled; what is stated for later has a dashed outline.
    fn band(&self, band: &Band) -> Html {
        let kind = if band.is_limit() { "limit" } else { "outage" };
        let (begin, end) = (self.axis.place(band.begin), self.axis.place(band.shown_end(self.axis.now)));
        let now = self.axis.place(self.axis.now);
        let past = end.min(now).max(begin);
        let times = table::times(band, self.axis.now, &self.zone);
        let ahead = (end > past).then(|| {
            html![
                "<rect class=\"ahead\" x=\"",
                number(past),
                "\" y=\"",
                TOP,
                "\" width=\"",
                number(end - past),
                "\" height=\"",
                BOTTOM - TOP,
                "\"/>",
                "<path class=\"ahead-top\" d=\"M",
                number(past),
                " ",
                TOP + 1,
                "H",
                number(end),
                "\"/>"
            ]
        });
        html![
            "<g class=\"band ",
            kind,
            "\"><title>",
            band.title(),
            ": ",
            times,
            "</title>",
            "<rect x=\"",
            number(begin),
            "\" y=\"",
            TOP,
            "\" width=\"",
            number((past - begin).max(0.5)),
            "\" height=\"",
            BOTTOM - TOP,
            "\"/>",
            "<path class=\"top\" d=\"M",
            number(begin),
            " ",
            TOP + 1,
            "H",
            number(past.max(begin + 0.5)),
            "\"/>",
            ahead,
            "</g>"
        ]
    }

    fn lane(&self, number_of_lane: usize) -> Html {
        let (lane, base, (class, _)) = (&self.lanes[number_of_lane], BASES[number_of_lane], NAMES[number_of_lane]);
        let mut strip = String::new();
        for run in &lane.runs {
            let _ = write!(strip, "M{:.1} {}H{:.1}", run.begin, base + STRIP, run.end.max(run.begin + 1.0));
        }
        html![
            "<g class=\"",
            class,
            "\"><path class=\"strip\" d=\"",
            strip,
            "\"/><path class=\"marks\" d=\"",
            lane.marks(base),
            "\"/></g>"
        ]
    }

    fn texts(&self, ticks: &[Tick]) -> Html {
        let names =
            (0..2).map(|lane| html!["<text class=\"lane\" x=\"3\" y=\"", BASES[lane] - 37, "\">", NAMES[lane].1, "</text>"]);
        let failed = (0..2).flat_map(|lane| {
            let percent = |column: usize| number((column as f64 + 0.5) * 100.0 / self.axis.columns as f64);
            let mark =
                move |column| html!["<text class=\"failed\" x=\"", percent(column), "%\" y=\"", BASES[lane] - 24, "\">×</text>"];
            self.lanes[lane].failed(DISTANCE).into_iter().map(mark).collect::<Vec<_>>()
        });
        let names_of_bands = self
            .bands
            .iter()
            .map(|band| Label { percent: self.axis.percent(band.begin.max(self.axis.begin)), text: self.label(band) });
        let of_ticks = ticks.iter().map(|tick| Label { percent: self.axis.percent(tick.time), text: tick.label.clone() });
        html![
            names.collect::<Vec<_>>(),
            failed.collect::<Vec<_>>(),
            placed(names_of_bands, "name", 12, Late::EndsThere, |_| false),
            placed(of_ticks, "tick", HEIGHT - 4, Late::IsLeftOut, |index| ticks[index].is_minor)
        ]
    }

    /// With its end if that is ahead.
    fn label(&self, band: &Band) -> String {
        match band.end.filter(|_| !band.is_over) {
            Some(end) => format!("{} until {}", band.name, clock(end, self.axis.now, &self.zone)),
            None => band.name.to_string(),
        }
    }

    /// The same as a table, for those who cannot see the picture.
    pub(crate) fn table(&self) -> Html {
        table::table(&self.hours, &self.bands, self.length, self.axis.now, &self.zone)
    }
}

/// With two digits at most after the point.
fn number(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests;
