//! `llm-failover log`: the ledger as rows, as its own lines, or summed up.

use jiff::{SignedDuration, Timestamp};

use crate::cli::llm_failover::NAME;
use crate::cli::llm_failover::options::Log;
use crate::context::Context;
use crate::error::{self, Error, Result};
use crate::shown::{Shown, shown};
use crate::state::ledger::{self, summary, table, words};

/// What `--summary` looks back on without `--since`.
const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn text(context: &Context, options: &Log) -> Result<Shown> {
    let now = Timestamp::now();
    let until = options.until.unwrap_or(Timestamp::MAX);
    let since = options.since.or_else(|| options.summary.then(|| until.min(now).saturating_sub(DAY).unwrap_or(now)));
    if since.is_some_and(|since| options.until.is_some_and(|until| until < since)) {
        return Err(Error::Usage { message: "`--until` is a time before `--since`".into() });
    }
    let lines = ledger::read(context)?;
    if lines.is_empty() {
        error::say(&shown!("{NAME}: no calls in the ledger yet"));
    }
    let entries: Vec<_> = lines.iter().map(|line| &line.entry).collect();
    Ok(match since.map(|since| since..until) {
        Some(span) if options.summary && options.json => words::as_json(&entries, &span, now),
        Some(span) if options.summary => words::in_sentences(&entries, &span, now),
        Some(span) if !options.json => summary::summarize(&entries, &span, now),
        span => {
            let count = if span.is_some() { usize::MAX } else { options.lines };
            let span = span.unwrap_or(Timestamp::MIN..until);
            let wanted: Vec<_> = lines.iter().filter(|line| span.contains(&line.entry.time)).collect();
            let last = &wanted[wanted.len().saturating_sub(count)..];
            match options.json {
                true => Shown::json(&last.iter().map(|line| format!("{}\n", line.raw)).collect::<String>()),
                false => table::table(&last.iter().map(|line| &line.entry).collect::<Vec<_>>()),
            }
        }
    })
}
