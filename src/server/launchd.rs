//! The server as a LaunchAgent of macOS, driven by launchctl(1).

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Running, Supervisor};
use crate::context::Context;
use crate::error::{Error, Result, plain};

/// The label of the agent unless `LLM_LAUNCHAGENT` says otherwise; also the name of the systemd unit.
pub const DEFAULT_LABEL: &str = "com.local.mlxserver";

/// How long an agent may take to end. Its property list sets `ExitTimeOut` to less.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// launchctl's exit status for a service that is not loaded (macOS 11 to 15: 3 from `bootout`, 113 from `print`), and
/// for one that is on its way out (36).
const GONE_OR_GOING: [i32; 3] = [3, 113, 36];

/// A LaunchAgent.
pub struct Launchd {
    launchctl: Option<PathBuf>,
    plist: Option<PathBuf>,
    label: String,
}

impl Launchd {
    /// The agent that the settings name.
    pub fn new(context: &Context) -> Launchd {
        let label = label(context);
        let plist = context.home().ok().map(|home| home.join(format!("Library/LaunchAgents/{label}.plist")));
        Launchd { launchctl: context.program("launchctl"), plist, label }
    }

    fn plist(&self) -> Result<&PathBuf> {
        let missing = |plist: &PathBuf| Error::NotInstalled(format!("`{}` is missing", plist.display()));
        match (&self.launchctl, &self.plist) {
            (Some(_), Some(plist)) if plist.is_file() => Ok(plist),
            (Some(_), Some(plist)) => Err(missing(plist)),
            _ => Err(Error::NotInstalled("`launchctl` is not on PATH".into())),
        }
    }

    fn launchctl(&self, args: &[&str]) -> Result<Output> {
        let program = self.launchctl.as_deref().ok_or_else(|| Error::NotInstalled("`launchctl` is not on PATH".into()))?;
        run(Command::new(program).args(args))
    }

    /// The user's domain: that of the screen session, or of the user alone over ssh, where there is none.
    fn domain(&self) -> Result<String> {
        let uid = nix::unistd::getuid();
        let gui = format!("gui/{uid}");
        let has_screen = self.launchctl(&["print", &gui])?.status.success();
        Ok(if has_screen { gui } else { format!("user/{uid}") })
    }

    /// `list` shows the caller's own session: over ssh not the agent that runs in the screen's.
    fn is_printed_with_a_pid(&self) -> bool {
        let print = self.domain().and_then(|domain| self.launchctl(&["print", &format!("{domain}/{}", self.label)]));
        print.is_ok_and(|print| String::from_utf8_lossy(&print.stdout).lines().any(|line| line.trim().starts_with("pid = ")))
    }

    fn is_loaded(&self, target: &str) -> Result<bool> {
        // `print` is of OS X 10.10, and says nothing of an agent that the old `load` put elsewhere.
        Ok(self.launchctl(&["print", target])?.status.success() || self.launchctl(&["list", &self.label])?.status.success())
    }
}

impl Supervisor for Launchd {
    fn name(&self) -> &'static str {
        "launchd"
    }

    fn installed(&self) -> Result<()> {
        self.plist().map(|_| ())
    }

    fn start(&self, _: &File) -> Result<()> {
        let plist = self.plist()?.to_string_lossy().into_owned();
        let domain = self.domain()?;
        let target = format!("{domain}/{}", self.label);
        if !self.is_loaded(&target)? {
            let bootstrap = self.launchctl(&["bootstrap", &domain, &plist])?;
            if !bootstrap.status.success() && !self.is_loaded(&target)? {
                let load = self.launchctl(&["load", &plist])?;
                // The old command reports success whatever happens; what it says on stderr and whether the agent is there count.
                if !load.status.success() || !self.is_loaded(&target)? {
                    return Err(failed("launchctl bootstrap", &bootstrap));
                }
            }
        }
        let kickstart = self.launchctl(&["kickstart", &target])?;
        if !kickstart.status.success() {
            let start = self.launchctl(&["start", &self.label])?;
            if !start.status.success() {
                return Err(failed("launchctl kickstart", &kickstart));
            }
        }
        Ok(())
    }

    fn running(&self) -> Running {
        let Ok(list) = self.launchctl(&["list", &self.label]) else { return Running::No(None) };
        let text = String::from_utf8_lossy(&list.stdout).into_owned();
        let value = |key: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(&format!("\"{key}\"")))?;
            Some(line.split_once('=')?.1.trim().trim_end_matches(';').to_string())
        };
        if list.status.success() && value("PID").is_some() || self.is_printed_with_a_pid() {
            return Running::Yes;
        }
        Running::No(value("LastExitStatus").map(|status| format!("it ended while starting (launchd status {status})")))
    }

    fn stop(&self) -> Result<()> {
        if self.plist().is_err() {
            return Ok(());
        }
        let target = format!("{}/{}", self.domain()?, self.label);
        let bootout = self.launchctl(&["bootout", &target])?;
        let is_gone_or_going = bootout.status.code().is_some_and(|code| GONE_OR_GOING.contains(&code));
        if !bootout.status.success() && !is_gone_or_going && self.is_loaded(&target)? {
            let plist = self.plist()?.to_string_lossy().into_owned();
            let _ = self.launchctl(&["unload", &plist])?;
        }
        let begun = Instant::now();
        while self.is_loaded(&target)? || self.running() == Running::Yes {
            if begun.elapsed() > STOP_LIMIT {
                return Err(failed("launchctl bootout", &bootout));
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

/// The label or unit name that the settings give the service.
pub fn label(context: &Context) -> String {
    let given = context.setting("LLM_LAUNCHAGENT").and_then(|label| label.into_string().ok());
    given.map(|label| label.trim().to_string()).unwrap_or_else(|| DEFAULT_LABEL.into())
}

/// Runs a supervisor's program to its end, without a terminal.
pub fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error| Error::Supervisor(format!("cannot run `{program}`: {}", plain(&error)));
    command.stdin(Stdio::null()).output().map_err(failed)
}

/// What a supervisor's program said when it failed, on one line.
pub fn failed(what: &str, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let status = output.status;
    Error::Supervisor(if said.is_empty() {
        format!("`{what}` failed ({status})")
    } else {
        format!("`{what}` failed ({status}): {said}")
    })
}
