//! The server as a LaunchAgent of macOS, driven by launchctl(1).

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::supervisor::{Running, Supervisor, failed, run};

/// How long an agent may take to end. Its property list sets `ExitTimeOut` to less.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// launchctl's exit status for a service that is not loaded (macOS 11 to 15: 3 from `bootout`, 113 from `print`), and
/// for one that is on its way out (36).
const GONE_OR_GOING: [i32; 3] = [3, 113, 36];

pub(crate) struct Launchd {
    launchctl: Option<PathBuf>,
    plist: Option<PathBuf>,
    label: String,
}

impl Launchd {
    pub(crate) fn new(context: &Context) -> Launchd {
        let label = context.settings.service_label();
        let plist = context.home().ok().map(|home| home.join(format!("Library/LaunchAgents/{label}.plist")));
        Launchd { launchctl: context.program_on_path("launchctl"), plist, label }
    }

    fn plist(&self) -> Result<&PathBuf> {
        let missing = |plist: &PathBuf| Error::NotInstalled { reason: format!("`{}` is missing", plist.display()) };
        match (&self.launchctl, &self.plist) {
            (Some(_), Some(plist)) if plist.is_file() => Ok(plist),
            (Some(_), Some(plist)) => Err(missing(plist)),
            _ => Err(Error::NotInstalled { reason: "`launchctl` is not on PATH".into() }),
        }
    }

    fn launchctl(&self, args: &[&str]) -> Result<Output> {
        let program =
            self.launchctl.as_deref().ok_or_else(|| Error::NotInstalled { reason: "`launchctl` is not on PATH".into() })?;
        run(Command::new(program).args(args))
    }

    /// The domains that may hold the user's agent: that of the login at the screen, and that of the user, which holds it
    /// where nobody is logged in at the screen (over ssh).
    fn domains(&self) -> [String; 2] {
        let uid = nix::unistd::getuid();
        [format!("gui/{uid}"), format!("user/{uid}")]
    }

    fn domain_to_load_into(&self) -> Result<String> {
        let [screen, user] = self.domains();
        Ok(if self.launchctl(&["print", &screen])?.status.success() { screen } else { user })
    }

    /// The targets under which the agent is loaded, each with what `print` shows of it.
    fn loaded(&self) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for domain in self.domains() {
            let target = format!("{domain}/{}", self.label);
            let print = self.launchctl(&["print", &target])?;
            if print.status.success() {
                found.push((target, String::from_utf8_lossy(&print.stdout).into_owned()));
            }
        }
        Ok(found)
    }

    /// What `list` says of the agent. `print` is of OS X 10.10, and says nothing of an agent that the old `load` put
    /// elsewhere; `list` says nothing of one in the screen's session to a caller over ssh.
    fn listed(&self) -> Result<Option<String>> {
        let list = self.launchctl(&["list", &self.label])?;
        Ok(list.status.success().then(|| String::from_utf8_lossy(&list.stdout).into_owned()))
    }

    fn is_loaded(&self) -> Result<bool> {
        Ok(!self.loaded()?.is_empty() || self.listed()?.is_some())
    }

    fn load(&self) -> Result<()> {
        let plist = self.plist()?.to_string_lossy().into_owned();
        let bootstrap = self.launchctl(&["bootstrap", &self.domain_to_load_into()?, &plist])?;
        if bootstrap.status.success() || self.is_loaded()? {
            return Ok(());
        }
        // The old command reports success whatever happens: only a loaded agent proves it.
        self.launchctl(&["load", &plist])?;
        if self.is_loaded()? { Ok(()) } else { Err(failed("launchctl bootstrap", &bootstrap)) }
    }
}

impl Supervisor for Launchd {
    fn name(&self) -> &'static str {
        "launchd"
    }

    fn check_installed(&self) -> Result<()> {
        self.plist().map(|_| ())
    }

    fn start(&self, _: &File) -> Result<()> {
        self.check_installed()?;
        if !self.is_loaded()? {
            self.load()?;
        }
        let target = self.loaded()?.into_iter().next().map(|(target, _)| target);
        let target = target.map_or_else(|| Ok(format!("{}/{}", self.domain_to_load_into()?, self.label)), Ok)?;
        let kickstart = self.launchctl(&["kickstart", &target])?;
        if kickstart.status.success() || self.launchctl(&["start", &self.label])?.status.success() {
            return Ok(());
        }
        Err(failed("launchctl kickstart", &kickstart))
    }

    fn running(&self) -> Running {
        let has_pid = |printed: &str| printed.lines().any(|line| line.trim().starts_with("pid = "));
        if self.loaded().is_ok_and(|loaded| loaded.iter().any(|(_, printed)| has_pid(printed))) {
            return Running::Yes;
        }
        let list = self.listed().ok().flatten().unwrap_or_default();
        let value = |key: &str| {
            let line = list.lines().find(|line| line.trim_start().starts_with(&format!("\"{key}\"")))?;
            Some(line.split_once('=')?.1.trim().trim_end_matches(';').to_string())
        };
        match value("PID") {
            Some(_) => Running::Yes,
            None => {
                Running::No(value("LastExitStatus").map(|status| format!("it ended while starting (launchd status {status})")))
            }
        }
    }

    /// Unloads the agent from every domain.
    fn stop(&self) -> Result<()> {
        if self.launchctl.is_none() {
            return Ok(());
        }
        let mut refusal = None;
        for (target, _) in self.loaded()? {
            let bootout = self.launchctl(&["bootout", &target])?;
            let is_gone_or_going = bootout.status.code().is_some_and(|code| GONE_OR_GOING.contains(&code));
            if !bootout.status.success() && !is_gone_or_going {
                refusal = Some(bootout);
            }
        }
        let begun = Instant::now();
        while self.is_loaded()? {
            if begun.elapsed() > STOP_LIMIT {
                let error = refusal.map(|bootout| failed("launchctl bootout", &bootout));
                return Err(
                    error.unwrap_or_else(|| Error::Supervisor { reason: format!("`{}` does not end under launchd", self.label) })
                );
            }
            // In no domain, and there all the same: an old launchd has it. Asked in this order, an agent that ends in between is gone.
            let is_old = refusal.is_some() || self.loaded()?.is_empty() && self.is_loaded()?;
            if let (true, Ok(plist)) = (is_old, self.plist()) {
                self.launchctl(&["unload", &plist.to_string_lossy()])?;
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}
