//! This machine: what a call finds here, from a shell, from cron and from the system's own programs.

mod claude;
mod claude_settings;
mod config;
mod copies;
mod ours;
mod path;
mod server;
mod shell_files;
mod state;

use crate::context::Context;
use crate::doctor::check::Report;
use crate::doctor::machine::ours::Ours;

pub(super) fn check(context: &Context, report: &mut Report) {
    let ours = Ours::find(context);
    report.add_all(path::checks(context, &ours));
    report.add(shell_files::check(context, &ours));
    report.add_all(ours.checks());
    report.add_all(copies::checks(context));
    report.add_all(claude::checks(context));
    report.add_all(config::checks(context));
    report.add_all(state::checks(context));
    report.add_all(claude_settings::checks(context));
    report.add_all(server::checks(context));
}
