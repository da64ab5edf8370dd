//! The ledger as people read it: a line for each call, in columns.

use jiff::tz::TimeZone;

use crate::state::ledger::Entry;
use crate::text::clock;

/// The calls in the order in which they began, in local time, one to a line.
pub(crate) fn table(entries: &[&Entry]) -> String {
    let zone = TimeZone::system();
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.time);
    let rows: Vec<[String; COLUMNS]> = entries.into_iter().map(|entry| row(entry, &zone)).collect();
    let widths = std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    rows.iter().map(|row| line(row, &widths)).collect()
}

const COLUMNS: usize = 11;

const RIGHT_ALIGNED: std::ops::Range<usize> = 6..9;

fn row(entry: &Entry, zone: &TimeZone) -> [String; COLUMNS] {
    let tokens = |count: Option<u64>, what: &str| count.map(|count| format!("{count} {what}")).unwrap_or_default();
    [
        entry.time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        printable(&entry.applet),
        entry.answered_by.word().into(),
        printable(entry.verdict.as_deref().unwrap_or_default()),
        entry.until.map(|until| format!("until {}", clock(until, entry.time))).unwrap_or_default(),
        printable(entry.model.as_deref().unwrap_or_default()),
        tokens(entry.input_tokens, "in"),
        tokens(entry.output_tokens, "out"),
        format!("{:.1} s", entry.seconds),
        entry.exit.filter(|code| *code != 0).map(|code| format!("exit {code}")).unwrap_or_default(),
        marks(entry),
    ]
}

fn marks(entry: &Entry) -> String {
    let markup = entry.unknown_markup.as_ref().map(|markup| format!("unknown markup {}", printable(markup)));
    let server = entry.server.as_ref().map(|server| format!("at {}", printable(server)));
    let truncated = entry.truncated.then(|| "truncated".into());
    server.into_iter().chain(truncated).chain(markup).collect::<Vec<String>>().join(", ")
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A column that is empty in all rows takes no room.
fn line(row: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let filled = (0..COLUMNS).filter(|column| widths[*column] > 0);
    let cells = filled.map(|column| match (&row[column], widths[column]) {
        (cell, width) if RIGHT_ALIGNED.contains(&column) => format!("{cell:>width$}"),
        (cell, width) => format!("{cell:<width$}"),
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
}
