//! What a timeline shows, as two tables: its bands, and the calls of each hour or day.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::dashboard::html::{Html, html};
use crate::dashboard::timeline::axis::{Axis, Length};
use crate::dashboard::timeline::bands::Band;
use crate::dashboard::view::clock;
use crate::state::ledger::Entry;

pub(super) struct Row {
    label: String,
    claude: u64,
    local: u64,
    failed: u64,
}

/// Those that have calls.
pub(super) fn rows(calls: &[&Entry], axis: &Axis, length: Length, zone: &TimeZone) -> Vec<Row> {
    let format = match length {
        Length::Day => "%a %H:00",
        Length::Week => "%a %-d %b",
    };
    let mut rows: Vec<Row> = Vec::new();
    for entry in calls.iter().filter(|entry| axis.column(entry.time).is_some()) {
        let label = entry.time.to_zoned(zone.clone()).strftime(format).to_string();
        if rows.last().is_none_or(|row| row.label != label) {
            rows.push(Row { label, claude: 0, local: 0, failed: 0 });
        }
        if let Some(row) = rows.last_mut() {
            *(if entry.is_local() { &mut row.local } else { &mut row.claude }) += 1;
            row.failed += u64::from(entry.exit.is_some_and(|code| code != 0));
        }
    }
    rows
}

pub(super) fn table(rows: &[Row], bands: &[Band], length: Length, now: Timestamp, zone: &TimeZone) -> Html {
    if rows.is_empty() && bands.is_empty() {
        return html!["<p>No calls.</p>"];
    }
    let first = match length {
        Length::Day => "Hour",
        Length::Week => "Day",
    };
    let row = |row: &Row| {
        html![
            "<tr><th scope=\"row\">",
            row.label,
            "</th><td>",
            row.claude,
            "</td><td>",
            row.local,
            "</td><td>",
            row.failed,
            "</td></tr>"
        ]
    };
    let band = |band: &Band| {
        let kind = if band.is_limit() { "limit" } else { "outage" };
        html!["<tr><th scope=\"row\">", band.title(), "</th><td>", kind, "</td><td>", times(band, now, zone), "</td></tr>"]
    };
    let bands = (!bands.is_empty()).then(|| {
        html![
            "<table class=\"words\"><caption>Limits and outages</caption><thead><tr><th scope=\"col\">What</th><th scope=\"col\">Kind</th>",
            "<th scope=\"col\">When</th></tr></thead><tbody>", bands.iter().map(band).collect::<Vec<_>>(), "</tbody></table>"
        ]
    });
    let rows = (!rows.is_empty()).then(|| {
        html![
            "<table><caption>Calls</caption><thead><tr><th scope=\"col\">",
            first,
            "</th><th scope=\"col\">Claude</th>",
            "<th scope=\"col\">Local</th><th scope=\"col\">Failed</th></tr></thead><tbody>",
            rows.iter().map(row).collect::<Vec<_>>(),
            "</tbody></table>"
        ]
    });
    html![bands, rows]
}

/// From when to when.
pub(super) fn times(band: &Band, now: Timestamp, zone: &TimeZone) -> String {
    let begin = clock(band.begin, now, zone);
    match band.end {
        _ if band.is_over && band.end.is_none_or(|end| clock(end, now, zone) == begin) => format!("at {begin}"),
        Some(end) if band.is_over => format!("{begin} to {}", clock(end, band.begin, zone)),
        Some(end) => format!("since {begin}, until {}", clock(end, now, zone)),
        None => format!("since {begin}"),
    }
}
