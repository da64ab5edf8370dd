//! The call that a drill makes: this binary as `claude`, with a temporary folder in place of the user's state.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::candidate::Skip;
use crate::claude_code::locate;
use crate::claude_code::settings::is_claudes;
use crate::context::Context;
use crate::drill::scenario::Scenario;
use crate::drill::{DrillEvent, PROMPT};
use crate::error::{Error, Result};
use crate::names::{OWN_NAME, STATE_DIR};
use crate::os::process::own_path;
use crate::settings::Setting;
use crate::shown::shown;
use crate::text::plain;

/// The stall timeout in the drill `hang`, in seconds. Claude Code's start counts, too.
const STALL: &str = "8";

/// How long an interrupted call may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Removed on drop.
pub(crate) struct TempFolder(PathBuf);

impl TempFolder {
    /// Private to this user.
    pub(crate) fn new(context: &Context) -> Result<TempFolder> {
        let path = context.temp_dir().join(format!("claude-failover-drill-{}", uuid::Uuid::new_v4()));
        let make = |path: &Path| DirBuilder::new().mode(0o700).create(path).map_err(Error::file("create", path));
        make(&path)?;
        let folder = TempFolder(path);
        make(&folder.0.join("work"))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct DrillCall {
    process: Child,
    lines: BufReader<PipeReader>,
}

/// The name under which scripts call this program: some leave `claude` to Claude Code.
pub(crate) fn applet(context: &Context) -> &'static str {
    let is_there =
        |name| context.path_entries().any(|dir| matches!(locate::look_at(dir.join(name)).skipped, Some(Skip::Ourselves)));
    if is_there("agent-llm") && !is_there("claude") { "agent-llm" } else { "claude" }
}

/// Starts the call, with Claude's API at `url`.
pub(crate) fn start(context: &Context, applet: &str, scenario: Scenario, url: &str, folder: &TempFolder) -> Result<DrillCall> {
    let (flag, inside) = (folder.path().join("switch"), |name: &str| folder.path().join(name));
    fs::write(&flag, "auto\n").map_err(Error::file("write", &flag))?;
    let mut command = Command::new(own_path()?);
    command.arg0(OWN_NAME).args([applet, "-p", PROMPT, "--output-format", "stream-json", "--verbose"]);
    // The drill has a sign-in and settings of its own.
    for name in context.variable_names().filter(|name| is_claudes(name) && name != Setting::ClaudeBin.name()) {
        command.env_remove(name);
    }
    command
        .env("ANTHROPIC_BASE_URL", url)
        .env("CLAUDE_CODE_OAUTH_TOKEN", "drill")
        .env("CLAUDE_CONFIG_DIR", inside("claude"))
        .env("CLAUDE_CODE_TMPDIR", folder.path())
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .env(Setting::FlagFile.name(), flag)
        .env(STATE_DIR, inside("state"))
        // An empty variable counts as unset: then the settings file would apply.
        .env(Setting::NotifyCommand.name(), "true")
        .env(Setting::Policy.name(), "local");
    if scenario == Scenario::Hang {
        command.env(Setting::Stall.name(), STALL);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let mut hosts = context.env(name).unwrap_or_default();
        hosts.push(if hosts.is_empty() { "127.0.0.1" } else { ",127.0.0.1" });
        command.env(name, hosts);
    }
    let failed = |error: io::Error| Error::DrillFailed { reason: shown!("cannot run ourselves: {}", plain(&error)) };
    // One pipe for both keeps the lines in order.
    let (reader, writer) = io::pipe().map_err(failed)?;
    command.current_dir(inside("work")).stdin(Stdio::null()).stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    Ok(DrillCall { process: command.spawn().map_err(failed)?, lines: BufReader::new(reader) })
}

impl DrillCall {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Each line, then the end.
    pub(crate) fn send_events(mut self, events: Sender<DrillEvent>) {
        thread::spawn(move || {
            for line in self.lines.split(b'\n').map_while(std::result::Result::ok) {
                let _ = events.send(DrillEvent::Wrote(String::from_utf8_lossy(&line).into_owned()));
            }
            if let Ok(status) = self.process.wait() {
                let _ = events.send(DrillEvent::Ended(status));
            }
        });
    }
}

/// The thread of [`DrillCall::send_events`] reaps the process.
pub(crate) fn terminate(pid: Pid) {
    let is_alive = || kill(pid, None).is_ok();
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let begun = Instant::now();
        let _ = is_alive().then(|| kill(pid, signal));
        while is_alive() && begun.elapsed() < GRACE {
            sleep(Duration::from_millis(20));
        }
    }
}
