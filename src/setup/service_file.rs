//! The service of an earlier setup, which would win over what is set up now.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::context::Context;
use crate::error::Result;
use crate::server::command::run_within;
use crate::setup::files::remove_ours;
use crate::setup::manifest::Manifest;
use crate::setup::problem;
use crate::shown::shown;

/// How long the user's systemd may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Takes it away, unless it is `kept`.
pub(super) fn remove_other(context: &Context, manifest: &mut Manifest, kept: Option<&Path>) -> Result<()> {
    let Some(file) = manifest.option("service_file").map(PathBuf::from).filter(|file| Some(file.as_path()) != kept) else {
        return Ok(());
    };
    if !remove_ours(manifest, &file)? {
        let reason = shown!("`{}` is not as setup left it, and is in the way", file.display());
        return Err(problem(reason, "move it elsewhere, and run this again"));
    }
    if manifest.option("service") == Some("systemd") {
        reload_systemd(context);
    }
    manifest.forget("option", "service_file")
}

pub(super) fn reload_systemd(context: &Context) {
    systemctl(context, &[OsStr::new("daemon-reload")]);
}

pub(super) fn disable_in_systemd(context: &Context, unit: &OsStr) {
    systemctl(context, &[OsStr::new("disable"), unit]);
}

fn systemctl(context: &Context, words: &[&OsStr]) {
    let Some(program) = context.program_on_path("systemctl") else { return };
    let mut command = Command::new(program);
    // cron and some ssh sessions lack the variable by which systemctl finds the user's manager.
    if context.env("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", nix::unistd::getuid()));
    }
    let _ = run_within(command.arg("--user").args(words), LIMIT);
}
