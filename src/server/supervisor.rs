//! What runs the local server: launchd, systemd, this program, or something that is not ours.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::child::ChildServer;
use crate::server::launchctl::Launchd;
use crate::server::systemctl::Systemd;
use crate::settings::{FIRST, Setting};
use crate::text::plain;

pub(crate) trait Supervisor: Send + Sync {
    /// As the status shows it: `launchd`, `systemd`, `child`, `none`, `not installed`.
    fn name(&self) -> &'static str;
    /// An error says what is missing.
    fn check_installed(&self) -> Result<()>;
    /// Harmless if the server runs already. The caller holds `lock`; a supervisor whose server becomes visible only after this
    /// call may keep a copy of it.
    fn start(&self, lock: &File) -> Result<()>;
    /// Whether the server's process runs. It may still be loading, or have lost its model.
    fn running(&self) -> Running;
    /// Waits until the server is gone. Harmless if it does not run.
    fn stop(&self) -> Result<()>;
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Running {
    Yes,
    /// With how it ended, if that is known.
    No(Option<String>),
}

/// The supervisor that `LLM_SUPERVISOR` names. With `auto`, the first of these: a child that runs already; launchd or systemd,
/// where their service is installed and `LOCAL_LLM_URL` points at its port on this machine; the command of `LLM_SERVER_CMD`. A
/// server on another machine, or at another port than the service's, is not ours.
pub(crate) fn choose(context: &Context, endpoint: &Endpoint) -> Result<Box<dyn Supervisor>> {
    let name = context.settings.supervisor()?;
    Ok(match name.as_deref() {
        Some("launchd") => Box::new(Launchd::new(context)),
        Some("systemd") => Box::new(Systemd::new(context)),
        Some("child") => Box::new(ChildServer::new(context, endpoint.port())?),
        Some("none") => Box::new(NoSupervisor::of_foreign_server(endpoint)),
        Some("auto") | None => choose_automatically(context, endpoint)?,
        Some(other) => {
            let expected = "`auto`, `launchd`, `systemd`, `child` or `none`";
            return Err(Setting::Supervisor.error(other, expected));
        }
    })
}

fn choose_automatically(context: &Context, endpoint: &Endpoint) -> Result<Box<dyn Supervisor>> {
    if !endpoint.is_loopback() {
        return Ok(Box::new(NoSupervisor::of_foreign_server(endpoint)));
    }
    let child = ChildServer::new(context, endpoint.port())?;
    if child.running() == Running::Yes {
        return Ok(Box::new(child));
    }
    let is_service_port = endpoint.port() == context.settings.port()?;
    let (launchd, systemd) = (Launchd::new(context), Systemd::new(context));
    Ok(if is_service_port && launchd.check_installed().is_ok() {
        Box::new(launchd)
    } else if is_service_port && systemd.check_installed().is_ok() {
        Box::new(systemd)
    } else if child.check_installed().is_ok() {
        Box::new(child)
    } else if is_service_port {
        Box::new(NoSupervisor::nothing_installed())
    } else {
        Box::new(NoSupervisor::of_foreign_server(endpoint))
    })
}

/// For a server that is another's in any case.
pub(crate) fn none(endpoint: &Endpoint) -> Box<dyn Supervisor> {
    Box::new(NoSupervisor::of_foreign_server(endpoint))
}

/// Nothing is installed, or the server is not ours: Ollama, LM Studio, another machine.
struct NoSupervisor {
    name: &'static str,
    /// The address, and the variables that lead there.
    place: Option<(String, String)>,
}

/// The name of the supervisor of a server that is not ours.
pub(crate) const NOT_OURS: &str = "none";

impl NoSupervisor {
    fn nothing_installed() -> NoSupervisor {
        NoSupervisor { name: "not installed", place: None }
    }

    fn of_foreign_server(endpoint: &Endpoint) -> NoSupervisor {
        let url = endpoint.variable(Setting::Url);
        let variables = if endpoint.link() == FIRST { format!("{url} and {}", Setting::Supervisor.name()) } else { url };
        NoSupervisor { name: NOT_OURS, place: Some((endpoint.shown(), variables)) }
    }
}

impl Supervisor for NoSupervisor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check_installed(&self) -> Result<()> {
        Err(match &self.place {
            None => Error::NotInstalled { reason: "no local server is installed".into() },
            Some((url, variables)) => Error::DidNotComeUp {
                reason: format!("nothing answers at {url}, and that server is not ours to start"),
                log: vec![],
                hint: format!("start it yourself, or check {variables}"),
            },
        })
    }

    fn start(&self, _: &File) -> Result<()> {
        self.check_installed()
    }

    fn running(&self) -> Running {
        Running::No(None)
    }

    fn stop(&self) -> Result<()> {
        Ok(())
    }
}

/// Runs a supervisor's program to its end, without a terminal. The caller checks its exit status.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error| Error::Supervisor { reason: format!("cannot run `{program}`: {}", plain(&error)) };
    command.stdin(Stdio::null()).output().map_err(failed)
}

/// With what the program wrote to stderr, on one line.
pub(crate) fn failed(what: &str, output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let status = output.status;
    Error::Supervisor {
        reason: if stderr.is_empty() {
            format!("`{what}` failed ({status})")
        } else {
            format!("`{what}` failed ({status}): {stderr}")
        },
    }
}
