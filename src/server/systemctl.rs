//! The server as a service of the user's systemd, driven by systemctl(1).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::supervisor::{Running, Supervisor, failed, run};

pub(crate) struct Systemd {
    systemctl: Option<PathBuf>,
    unit_file: Option<PathBuf>,
    unit: String,
    runtime_dir: Option<PathBuf>,
}

impl Systemd {
    pub(crate) fn new(context: &Context) -> Systemd {
        let unit = format!("{}.service", context.settings.service_label());
        let unit_file = context.home().ok().map(|home| home.join(".config/systemd/user").join(&unit));
        // cron and some ssh sessions lack the variable by which systemctl finds the user's manager.
        let usual = PathBuf::from(format!("/run/user/{}", nix::unistd::getuid()));
        let runtime_dir = (context.env("XDG_RUNTIME_DIR").is_none() && usual.is_dir()).then_some(usual);
        Systemd { systemctl: context.program_on_path("systemctl"), unit_file, unit, runtime_dir }
    }

    fn systemctl(&self, args: &[&str]) -> Result<Output> {
        let program =
            self.systemctl.as_deref().ok_or_else(|| Error::NotInstalled { reason: "`systemctl` is not on PATH".into() })?;
        let mut command = Command::new(program);
        command.arg("--user").args(args).arg(&self.unit);
        if let Some(dir) = &self.runtime_dir {
            command.env("XDG_RUNTIME_DIR", dir);
        }
        run(&mut command)
    }
}

impl Supervisor for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn check_installed(&self) -> Result<()> {
        match (&self.systemctl, &self.unit_file) {
            (Some(_), Some(file)) if Path::new(file).is_file() => Ok(()),
            (Some(_), Some(file)) => Err(Error::NotInstalled { reason: format!("`{}` is missing", file.display()) }),
            _ => Err(Error::NotInstalled { reason: "`systemctl` is not on PATH".into() }),
        }
    }

    fn start(&self, _: &File) -> Result<()> {
        self.check_installed()?;
        let _ = self.systemctl(&["reset-failed"])?;
        let start = self.systemctl(&["start"])?;
        if start.status.success() { Ok(()) } else { Err(failed("systemctl --user start", &start)) }
    }

    fn running(&self) -> Running {
        let Ok(output) = self.systemctl(&["is-active"]) else { return Running::No(None) };
        match String::from_utf8_lossy(&output.stdout).trim() {
            "active" | "activating" | "reloading" | "deactivating" => Running::Yes,
            "failed" => Running::No(Some("it ended while starting (systemd: failed)".into())),
            _ => Running::No(None),
        }
    }

    fn stop(&self) -> Result<()> {
        if self.systemctl.is_none() {
            return Ok(());
        }
        let stop = self.systemctl(&["stop"])?;
        if stop.status.success() || self.running() != Running::Yes { Ok(()) } else { Err(failed("systemctl --user stop", &stop)) }
    }
}
