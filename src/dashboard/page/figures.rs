//! What the calls of a time add up to.

use jiff::Timestamp;

use crate::dashboard::html::{Html, html};
use crate::state::ledger::Entry;
use crate::state::ledger::figures;

pub(super) fn figures(entries: &[&Entry], begin: Timestamp, now: Timestamp) -> Html {
    let figures = figures::figures(entries, &(begin..now), now);
    let calls = figures.calls.claude + figures.calls.local;
    if calls == 0 {
        return html![
            "<p class=\"kind\">No calls in this time. Those of <code>claude -p</code> that go through the switch will show up here.</p>"
        ];
    }
    let failed = figures.failed.claude + figures.failed.local;
    let tile = |name: &'static str, value: Html, more: Html| {
        html!["<div><dt>", name, "</dt><dd>", value, "<span class=\"more\">", more, "</span></dd></div>"]
    };
    let share = figures.local_share.unwrap_or_default() * 100.0;
    let share = if figures.calls.local > 0 && share < 1.0 { "under 1 %".to_string() } else { format!("{share:.0} %") };
    let failed_locally = match failed {
        0 => html!["no call ended in an error"],
        _ => html![grouped(figures.failed.local as u64), " of them local"],
    };
    let wait = match figures.wait.calls {
        0 => tile("A wait would have cost", html!["nothing"], html!["no call needed the local model"]),
        calls => {
            let calls = if calls == 1 { "1 call would".to_string() } else { format!("{} calls would", grouped(calls as u64)) };
            tile("A wait would have cost", html![time(figures.wait.seconds)], html![calls, " have waited or failed"])
        }
    };
    html![
        "<dl class=\"figures\">",
        tile("Calls", html![grouped(calls as u64)], html![grouped(figures.calls.claude as u64), " by Claude"]),
        tile(
            "Answered locally",
            html![share],
            html![grouped(figures.calls.local as u64), if figures.calls.local == 1 { " call" } else { " calls" }]
        ),
        tile("Failed", html![grouped(failed as u64)], failed_locally),
        tile("Local tokens", html![grouped(figures.output_tokens)], html!["written, ", grouped(figures.input_tokens), " read"]),
        tile(
            "Time",
            html![time(figures.seconds.claude + figures.seconds.local)],
            html![time(figures.seconds.local), " of it local"]
        ),
        wait,
        "</dl>"
    ]
}

/// A number whose thousands are set apart by a narrow space that does not break.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// In seconds, minutes or hours.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 99.5 => format!("{seconds:.0} s"),
        seconds if seconds < 99.5 * 60.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 99.5 * 3600.0 => format!("{:.1} h", seconds / 3600.0),
        seconds => format!("{} h", grouped((seconds / 3600.0).round() as u64)),
    }
}
