//! The server as a LaunchAgent of macOS, driven by launchctl(1).

use std::fs::File;
use std::path::PathBuf;
use std::process::Output;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::command::{LEAST_LIMIT, Program, failed};
use crate::server::launchd_print::Printed;
use crate::server::supervisor::{Running, Supervisor};
use crate::shown::shown;

/// How long an agent may take to end: `ExitTimeOut` is 20 s if its property list does not set it; ours sets less.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// How long it may take to start an agent. For one that waits in `spawn scheduled`, `launchctl kickstart` waits for ever
/// (kirodotdev/KiroCrew#1698).
const START_LIMIT: Duration = Duration::from_secs(15);

/// launchd starts the same agent only once in 10 s (`ThrottleInterval` in launchd.plist(5)), and until then it is
/// `spawn scheduled`.
const SCHEDULED_LIMIT: Duration = Duration::from_secs(12);

/// How long a label may still be taken after its `bootout`: 5 s on macOS 26.5 (headroomlabs-ai/headroom#1289).
const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// What `bootstrap` says meanwhile: 5 input/output error, 37 operation already in progress (Layr-Labs/d-inference#1102), 149.
const DRAINING: [i32; 3] = [5, 37, 149];

/// launchctl's exit status for a service that is not loaded (macOS 11 to 15: 3 from `bootout`, 113 from `print`), and
/// for one that is on its way out (36).
const GONE_OR_GOING: [i32; 3] = [3, 113, 36];

/// What `kickstart` says of an agent that is just being started.
const IN_PROGRESS: i32 = 37;

const ADVICE: &str = "launchd does not answer: log out and in again, or restart the Mac";

pub(crate) struct Launchd {
    launchctl: Program,
    plist: Option<PathBuf>,
    label: String,
    /// How long each order may take that starts the server.
    start_limit: Duration,
    /// When the agent was first seen `spawn scheduled`, since it was last told to start: one that ends again and again is
    /// scheduled for longer than one that is started once.
    scheduled_since: Mutex<Option<Instant>>,
}

impl Launchd {
    pub(crate) fn new(context: &Context) -> Result<Launchd> {
        Launchd::of_label(context, context.settings.service_label())
    }

    pub(crate) fn of_label(context: &Context, label: String) -> Result<Launchd> {
        let plist = context.home().ok().map(|home| home.join(format!("Library/LaunchAgents/{label}.plist")));
        let start_timeout = context.settings.start_timeout()?;
        let launchctl = Program::new(context, "launchctl", ADVICE, start_timeout);
        let start_limit = START_LIMIT.min(start_timeout.max(LEAST_LIMIT));
        Ok(Launchd { launchctl, plist, label, start_limit, scheduled_since: None.into() })
    }

    fn plist(&self) -> Result<&PathBuf> {
        match &self.plist {
            Some(plist) if self.launchctl.is_installed() && plist.is_file() => Ok(plist),
            Some(plist) if self.launchctl.is_installed() => {
                Err(Error::NotInstalled { reason: shown!("`{}` is missing", plist.display()) })
            }
            _ => Err(self.launchctl.missing()),
        }
    }

    fn order(&self, args: &[&str]) -> Result<Output> {
        let limit = self.start_limit;
        self.launchctl.order(args, limit)?.ok_or_else(|| self.launchctl.too_long(args, limit))
    }

    /// The domains that may hold the user's agent: that of the login at the screen, and that of the user, which holds it
    /// where nobody is logged in at the screen (over ssh).
    fn domains(&self) -> [String; 2] {
        let uid = nix::unistd::getuid();
        [format!("gui/{uid}"), format!("user/{uid}")]
    }

    fn domain_to_load_into(&self) -> Result<String> {
        let [screen, user] = self.domains();
        Ok(if self.launchctl.ask(&["print", &screen])?.status.success() { screen } else { user })
    }

    /// The targets under which the agent is loaded, each with what `print` shows of it.
    fn loaded(&self) -> Result<Vec<(String, Printed)>> {
        let mut found = Vec::new();
        for domain in self.domains() {
            let target = format!("{domain}/{}", self.label);
            let print = self.launchctl.ask(&["print", &target])?;
            if print.status.success() {
                found.push((target, Printed::read(&String::from_utf8_lossy(&print.stdout))));
            }
        }
        Ok(found)
    }

    /// What `list` says of the agent. `print` is of OS X 10.10, and says nothing of an agent that the old `load` put
    /// elsewhere; `list` says nothing of one in the screen's session to a caller over ssh.
    fn listed(&self) -> Result<Option<Printed>> {
        let list = self.launchctl.ask(&["list", &self.label])?;
        Ok(list.status.success().then(|| Printed::read_list(&String::from_utf8_lossy(&list.stdout))))
    }

    fn is_loaded(&self) -> Result<bool> {
        Ok(!self.loaded()?.is_empty() || self.listed()?.is_some())
    }

    /// Everything that launchd tells of the agent, in whatever place it is.
    fn all_printed(&self) -> Result<Vec<Printed>> {
        Ok(self.loaded()?.into_iter().map(|(_, printed)| printed).chain(self.listed()?).collect())
    }

    /// Asks again for a while where launchd still holds the label of an agent that was booted out, by whomever.
    fn load(&self) -> Result<()> {
        let plist = self.plist()?.to_string_lossy().into_owned();
        let domain = self.domain_to_load_into()?;
        let begun = Instant::now();
        let refusal = loop {
            let bootstrap = self.order(&["bootstrap", &domain, &plist])?;
            if bootstrap.status.success() || self.is_loaded()? {
                return Ok(());
            }
            let may_pass = bootstrap.status.code().is_some_and(|code| DRAINING.contains(&code));
            if !may_pass || begun.elapsed() > DRAIN_LIMIT.min(self.start_limit) {
                break bootstrap;
            }
            sleep(Duration::from_millis(250));
        };
        // The old command reports success whatever happens: only a loaded agent proves it.
        self.order(&["load", &plist])?;
        if self.is_loaded()? { Ok(()) } else { Err(failed("launchctl bootstrap", &refusal)) }
    }

    /// Returns false if launchd cannot start the agent as it is loaded.
    fn kick(&self) -> Result<bool> {
        let target = self.loaded()?.into_iter().next().map(|(target, _)| target);
        let target = target.map_or_else(|| Ok(format!("{}/{}", self.domain_to_load_into()?, self.label)), Ok)?;
        let Some(kickstart) = self.launchctl.order(&["kickstart", &target], self.start_limit)? else { return Ok(false) };
        if kickstart.status.success() || kickstart.status.code() == Some(IN_PROGRESS) {
            return Ok(true);
        }
        if self.order(&["start", &self.label])?.status.success() {
            return Ok(true);
        }
        if kickstart.status.code().is_some_and(|code| GONE_OR_GOING.contains(&code)) {
            return Ok(false);
        }
        Err(failed("launchctl kickstart", &kickstart))
    }

    fn scheduled_for(&self) -> Duration {
        let mut since = self.scheduled_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now).elapsed()
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
        *self.scheduled_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let printed = self.all_printed()?;
        // Loaded anew, an agent that has ended starts at once, and `kickstart` does not wait.
        if printed.iter().any(Printed::is_dead) && !printed.iter().any(|one| one.has_process) {
            self.stop()?;
            self.load()?;
        } else if printed.is_empty() {
            self.load()?;
        }
        if self.kick()? {
            return Ok(());
        }
        self.stop()?;
        self.load()?;
        if self.kick()? { Ok(()) } else { Err(self.launchctl.too_long(&["kickstart", &self.label], self.start_limit)) }
    }

    fn running(&self) -> Running {
        if !self.launchctl.is_installed() {
            return Running::No(None);
        }
        let printed = match self.all_printed() {
            Ok(printed) => printed,
            Err(error) => return Running::No(Some(error.to_string())),
        };
        if printed.iter().any(|one| one.has_process) {
            return Running::Yes;
        }
        let is_scheduled = printed.iter().any(|one| one.is_scheduled);
        if is_scheduled && self.scheduled_for() < SCHEDULED_LIMIT {
            return Running::Yes;
        }
        let what = if is_scheduled { "launchd does not start it again" } else { "it ended while starting" };
        Running::No(printed.iter().rev().find_map(|one| one.ending.as_ref()).map(|ending| format!("{what} ({ending})")))
    }

    /// Unloads the agent from every domain.
    fn stop(&self) -> Result<()> {
        if !self.launchctl.is_installed() {
            return Ok(());
        }
        let begun = Instant::now();
        let rest = || STOP_LIMIT.saturating_sub(begun.elapsed()).max(LEAST_LIMIT);
        let mut refusal = None;
        for (target, _) in self.loaded()? {
            let args = ["bootout", &target];
            match self.launchctl.order(&args, rest())? {
                Some(bootout) if bootout.status.success() => {}
                Some(bootout) if bootout.status.code().is_some_and(|code| GONE_OR_GOING.contains(&code)) => {}
                Some(bootout) => refusal = Some(failed("launchctl bootout", &bootout)),
                None => refusal = Some(self.launchctl.too_long(&args, STOP_LIMIT)),
            }
        }
        while self.is_loaded()? {
            if begun.elapsed() > STOP_LIMIT {
                let endless = || Error::Supervisor { reason: shown!("`{}` does not end under launchd", self.label) };
                return Err(refusal.unwrap_or_else(endless));
            }
            // In no domain, and there all the same: an old launchd has it. Asked in this order, an agent that ends in between is gone.
            let is_old = refusal.is_some() || self.loaded()?.is_empty() && self.is_loaded()?;
            if let (true, Ok(plist)) = (is_old, self.plist()) {
                self.launchctl.order(&["unload", &plist.to_string_lossy()], rest())?;
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}
