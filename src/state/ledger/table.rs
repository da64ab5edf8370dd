//! The ledger as people read it: a line for each call, in columns.

use jiff::tz::TimeZone;

use crate::shown::{Shown, shown};
use crate::state::ledger::Entry;
use crate::text::clock;

/// The calls in the order in which they began, in local time, one to a line.
pub(crate) fn table(entries: &[&Entry]) -> Shown {
    let zone = TimeZone::system();
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.time);
    let rows: Vec<[Shown; COLUMNS]> = entries.into_iter().map(|entry| row(entry, &zone)).collect();
    let widths = std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    Shown::lines(rows.iter().map(|row| line(row, &widths)).collect::<String>())
}

const COLUMNS: usize = 11;

const RIGHT_ALIGNED: std::ops::Range<usize> = 6..9;

fn row(entry: &Entry, zone: &TimeZone) -> [Shown; COLUMNS] {
    let tokens = |count: Option<u64>, what: &str| count.map(|count| shown!("{count} {what}")).unwrap_or_default();
    [
        Shown::line(entry.time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S")),
        Shown::line(&entry.applet),
        entry.answered_by.word().into(),
        Shown::line(entry.verdict.as_deref().unwrap_or_default()),
        entry.until.map(|until| shown!("until {}", clock(until, entry.time))).unwrap_or_default(),
        Shown::line(entry.model.as_deref().unwrap_or_default()),
        tokens(entry.input_tokens, "in"),
        tokens(entry.output_tokens, "out"),
        shown!("{:.1} s", entry.seconds),
        entry.exit.filter(|code| *code != 0).map(|code| shown!("exit {code}")).unwrap_or_default(),
        marks(entry),
    ]
}

fn marks(entry: &Entry) -> Shown {
    let markup = entry.unknown_markup.as_ref().map(|markup| shown!("unknown markup {markup}"));
    let server = entry.server.as_ref().map(|server| shown!("at {server}"));
    let truncated = entry.truncated.then(|| "truncated".into());
    Shown::line(server.into_iter().chain(truncated).chain(markup).collect::<Vec<Shown>>().join(", "))
}

/// A column that is empty in all rows takes no room.
fn line(row: &[Shown; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let filled = (0..COLUMNS).filter(|column| widths[*column] > 0);
    let cells = filled.map(|column| match (&row[column], widths[column]) {
        (cell, width) if RIGHT_ALIGNED.contains(&column) => format!("{cell:>width$}"),
        (cell, width) => format!("{cell:<width$}"),
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
}
