//! The settings: their file, their names and their values.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Uid;

use crate::context::Context;
use crate::doctor::check::Check;
use crate::error::Error;
use crate::settings::Origin;
use crate::settings::report::variable_named;
use crate::shown::{Shown, shown};

const OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o044;

pub(super) fn checks(context: &Context) -> Vec<Check> {
    let mut checks = vec![file(context)];
    checks.extend(names(context));
    let before = checks.len();
    checks.extend(values(context));
    if checks.len() == before {
        checks.push(Check::ok("settings", "each has a value that can be used"));
    }
    checks
}

fn file(context: &Context) -> Check {
    let id = "settings-file";
    let Ok(path) = context.settings_file() else {
        return Check::problem(id, Shown::line(Error::NoHome), "set HOME to an absolute path");
    };
    let shown = shown!("{}", path.display());
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(_) if fs::symlink_metadata(&path).is_ok() => {
            return Check::problem(id, shown!("`{shown}` leads to nothing"), shown!("put the file there, or take the link away"));
        }
        Err(_) => return Check::ok(id, shown!("there is none at `{shown}`; the defaults and the environment count")),
    };
    let owner = Uid::from_raw(metadata.uid());
    let mode = metadata.mode() & 0o7777;
    if owner != Uid::effective() && !owner.is_root() {
        return Check::problem(
            id,
            shown!("`{shown}` belongs to another user, and is not read"),
            shown!("chown {} {shown}", Uid::effective()),
        );
    }
    if mode & OTHERS_WRITE != 0 {
        let text = shown!("others may write to `{shown}` (mode {mode:o}), so it is not read");
        return Check::problem(id, text, shown!("chmod 600 {shown}"));
    }
    if let Some(warning) = context.settings_warnings().first() {
        return Check::problem(id, Shown::line(warning), shown!("mend that line in `{shown}`"));
    }
    if mode & OTHERS_READ != 0 && holds_secret(context) {
        let text = shown!("`{shown}` holds a key, and others may read it (mode {mode:o})");
        return Check::warning(id, text, shown!("chmod 600 {shown}"));
    }
    Check::ok(id, shown!("`{shown}` is yours (mode {mode:o})"))
}

/// Whether a key or a token stands in the settings file.
fn holds_secret(context: &Context) -> bool {
    context.settings.reports().any(|report| report.variable.is_secret() && matches!(report.origin, Some(Origin::File(_))))
}

/// Names that are none of ours, but nearly.
fn names(context: &Context) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in context.settings.unknown_in_file() {
        let mend = meant(&name).map_or_else(|| "take it out".into(), |known| shown!("did you mean {known}?"));
        checks.push(Check::warning("settings-names", shown!("`{name}` in the settings file is no setting"), mend));
    }
    for name in context.variable_names() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("LLM_") || name.starts_with("LOCAL_LLM_")) else {
            continue;
        };
        // Other programs have such names, too.
        if let Some(known) = meant(name) {
            let text = shown!("`{name}` in the environment is no setting");
            checks.push(Check::warning("settings-names", text, shown!("did you mean {known}?")));
        }
    }
    if let Some(unused) = context.settings.unused_links() {
        checks.push(Check::warning("settings-names", unused, "number them without a gap, from 2 on"));
    }
    checks
}

/// The setting that a name that is none is close to.
fn meant(name: &str) -> Option<Shown> {
    match variable_named(name) {
        Err(Error::UnknownSetting { meant, .. }) => meant,
        _ => None,
    }
}

/// Each value that cannot be used.
fn values(context: &Context) -> impl Iterator<Item = Check> + '_ {
    context.settings.reports().filter_map(|report| {
        let (error, name) = (report.problem?, report.variable.name());
        Some(match report.origin {
            Some(Origin::File(line)) => {
                let mend = shown!("llm-failover config set {name} VALUE, or llm-failover config unset {name}");
                Check::problem("settings", shown!("{error} (line {line} of the settings file)"), mend)
            }
            _ => {
                Check::problem("settings", shown!("{error} (in the environment)"), shown!("export {name}=VALUE, or unset {name}"))
            }
        })
    })
}
