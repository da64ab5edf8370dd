//! `llm-failover doctor`: what is wrong with this machine, with the local model and with the whole way, and what mends it.

mod check;
mod machine;
mod model;
mod whole_way;

use std::process::ExitCode;
use std::time::Duration;

use crate::context::Context;
use crate::doctor::check::Report;
use crate::shown::Shown;
use crate::style::{Colours, Painted};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The local model is not tried.
    pub quick: bool,
    pub json: bool,
    /// How long one trial of the local model may take.
    pub limit: Duration,
    /// The user's program is sent a message.
    pub notify: bool,
}

/// Where the checks are printed.
pub(crate) struct Printers<'a> {
    /// One line.
    pub line: &'a dyn Fn(&Painted),
    /// All of a JSON text.
    pub json: &'a dyn Fn(&Shown),
}

/// Fails if a problem is left.
pub(crate) fn run(context: &Context, options: Options, printers: &Printers) -> ExitCode {
    let colours = Colours::of_stdout(context);
    let mut report =
        Report::new(context.home().cloned().unwrap_or_default(), (!options.json).then_some((colours, printers.line)));
    machine::check(context, &mut report);
    // The server that was started for the trials serves the drill, too.
    let started = (!options.quick).then(|| model::check(context, options.limit, &mut report));
    whole_way::check(context, options, &mut report);
    drop(started);
    match options.json {
        true => (printers.json)(&report.json()),
        false => (printers.line)(&(&report.summary()).into()),
    }
    if report.has_problem() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
