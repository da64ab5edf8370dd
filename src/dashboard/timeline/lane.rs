//! The calls that one backend answered: a mark for each column that has some, and the stretches of time in which it answered.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};

use crate::dashboard::timeline::axis::Axis;
use crate::state::ledger::Entry;

/// Without a call for so many columns, nobody knows who would have answered.
const GAP: f64 = 30.0;

/// In pixels, of a mark of one call and of the most calls that a column has.
const LEAST: f64 = 7.0;
const MOST: f64 = 22.0;

pub(super) struct Lane {
    /// Calls of each column.
    counts: Vec<u32>,
    failed: Vec<bool>,
    pub calls: usize,
    pub failures: usize,
    pub runs: Vec<Run>,
}

/// In columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub begin: f64,
    pub end: f64,
    pub calls: usize,
}

/// The lanes of Claude and of the local model. A call of the other one ends a run.
pub(super) fn lanes(entries: &[&Entry], axis: &Axis) -> [Lane; 2] {
    let mut lanes = [Lane::new(axis.columns), Lane::new(axis.columns)];
    let mut last = None;
    for entry in entries {
        let Some(column) = axis.column(entry.time) else { continue };
        let local = usize::from(entry.is_local());
        lanes[local].add(column, entry, axis, last == Some(local));
        last = Some(local);
    }
    lanes
}

impl Lane {
    fn new(columns: usize) -> Lane {
        Lane { counts: vec![0; columns], failed: vec![false; columns], calls: 0, failures: 0, runs: Vec::new() }
    }

    /// `goes_on`: the call before was answered here, too.
    fn add(&mut self, column: usize, entry: &Entry, axis: &Axis, goes_on: bool) {
        self.counts[column] += 1;
        self.calls += 1;
        let has_failed = entry.exit.is_some_and(|code| code != 0);
        self.failed[column] |= has_failed;
        self.failures += usize::from(has_failed);
        let (begin, end) = (axis.place(entry.time), axis.place(end(entry).min(axis.now)));
        match self.runs.last_mut() {
            Some(run) if goes_on && begin - run.end <= GAP => {
                run.end = run.end.max(end);
                run.calls += 1;
            }
            _ => self.runs.push(Run { begin, end: end.max(begin), calls: 1 }),
        }
    }

    /// Lines that rise from `base`, as data of a path.
    pub(super) fn marks(&self, base: u32) -> String {
        let most = f64::from(self.counts.iter().copied().max().unwrap_or(0)).max(1.0);
        let mut path = String::new();
        for (column, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = if most > 1.0 { f64::from(*count).ln() / most.ln() } else { 0.0 };
            let height = LEAST + (MOST - LEAST) * share;
            let _ = write!(path, "M{column}.5 {base}v-{height:.0}");
        }
        path
    }

    /// The columns in which calls failed, the first of those that lie closer than `distance` columns.
    pub(super) fn failed(&self, distance: usize) -> Vec<usize> {
        let mut places: Vec<usize> = Vec::new();
        for (column, _) in self.failed.iter().enumerate().filter(|(_, failed)| **failed) {
            if places.last().is_none_or(|last| column - last >= distance) {
                places.push(column);
            }
        }
        places
    }
}

fn end(entry: &Entry) -> Timestamp {
    let lasted = SignedDuration::try_from_secs_f64(entry.seconds).unwrap_or_default();
    entry.time.checked_add(lasted).unwrap_or(entry.time)
}
