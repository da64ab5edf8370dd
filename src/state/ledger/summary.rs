//! A summary of the ledger: how many calls, and when Claude could not answer.

use std::ops::Range;

use jiff::Timestamp;

use crate::shown::Shown;
use crate::state::ledger::outages::{outages, within};
use crate::state::ledger::{Entry, count};

/// The calls that began within `span`, and Claude's limits and outages then. Times are shown as from `now`.
pub(crate) fn summarize(entries: &[&Entry], span: &Range<Timestamp>, now: Timestamp) -> Shown {
    let counts = count(entries.iter().copied().filter(|entry| span.contains(&entry.time)));
    let calls = counts.claude + counts.local;
    let counted = format!("{calls} call{}, {} answered locally", if calls == 1 { "" } else { "s" }, counts.local);
    let shown: Vec<String> = within(span, outages(entries)).map(|outage| outage.text(now)).collect();
    Shown::lines(match shown.as_slice() {
        [] => format!("{counted}\n"),
        [only] => format!("{counted}, {only}\n"),
        several => format!("{counted}\n  {}\n", several.join("\n  ")),
    })
}
