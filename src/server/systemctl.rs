//! The server as a service of the user's systemd, driven by systemctl(1).

use std::fs::File;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::command::{LEAST_LIMIT, Program, failed};
use crate::server::supervisor::{Running, Supervisor};
use crate::shown::shown;

/// systemd itself kills a service after 90 s if its unit sets no `TimeoutStopSec`; ours sets less.
const STOP_LIMIT: Duration = Duration::from_secs(100);

const ADVICE: &str = "the user's systemd does not answer: see `systemctl --user status`, or log out and in again";

pub(crate) struct Systemd {
    systemctl: Program,
    /// A service may say itself when it is ready: then `start` takes as long as the server needs.
    start_limit: Duration,
    unit_file: Option<PathBuf>,
    unit: String,
}

impl Systemd {
    pub(crate) fn new(context: &Context) -> Result<Systemd> {
        Systemd::of_label(context, &context.settings.service_label())
    }

    pub(crate) fn of_label(context: &Context, label: &str) -> Result<Systemd> {
        let unit = format!("{label}.service");
        let unit_file = context.home().ok().map(|home| home.join(".config/systemd/user").join(&unit));
        let start_timeout = context.settings.start_timeout()?;
        let mut systemctl = Program::new(context, "systemctl", ADVICE, start_timeout);
        // cron and some ssh sessions lack the variable by which systemctl finds the user's manager.
        let usual = PathBuf::from(format!("/run/user/{}", nix::unistd::getuid()));
        if context.env("XDG_RUNTIME_DIR").is_none() && usual.is_dir() {
            systemctl.set("XDG_RUNTIME_DIR", usual);
        }
        Ok(Systemd { systemctl, start_limit: start_timeout.max(LEAST_LIMIT), unit_file, unit })
    }

    fn ask(&self, verb: &str) -> Result<Output> {
        self.systemctl.ask(&["--user", verb, &self.unit])
    }

    fn order(&self, verb: &str, limit: Duration) -> Result<Output> {
        let args = ["--user", verb, &self.unit];
        self.systemctl.order(&args, limit)?.ok_or_else(|| self.systemctl.too_long(&args, limit))
    }
}

impl Supervisor for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn check_installed(&self) -> Result<()> {
        match &self.unit_file {
            Some(file) if self.systemctl.is_installed() && file.is_file() => Ok(()),
            Some(file) if self.systemctl.is_installed() => {
                Err(Error::NotInstalled { reason: shown!("`{}` is missing", file.display()) })
            }
            _ => Err(self.systemctl.missing()),
        }
    }

    fn start(&self, _: &File) -> Result<()> {
        self.check_installed()?;
        let _ = self.ask("reset-failed")?;
        let start = self.order("start", self.start_limit)?;
        if start.status.success() { Ok(()) } else { Err(failed("systemctl --user start", &start)) }
    }

    fn running(&self) -> Running {
        if !self.systemctl.is_installed() {
            return Running::No(None);
        }
        let output = match self.ask("is-active") {
            Ok(output) => output,
            Err(error) => return Running::No(Some(error.to_string())),
        };
        match String::from_utf8_lossy(&output.stdout).trim() {
            "active" | "activating" | "reloading" | "deactivating" => Running::Yes,
            "failed" => Running::No(Some("it ended while starting (systemd: failed)".into())),
            _ => Running::No(None),
        }
    }

    fn stop(&self) -> Result<()> {
        if !self.systemctl.is_installed() {
            return Ok(());
        }
        let stop = self.order("stop", STOP_LIMIT)?;
        if stop.status.success() || self.running() != Running::Yes { Ok(()) } else { Err(failed("systemctl --user stop", &stop)) }
    }
}
