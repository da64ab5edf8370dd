//! Who runs the local server: launchd, systemd, we ourselves, or somebody else.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::child::ChildServer;
use crate::server::launchctl::Launchd;
use crate::server::systemctl::Systemd;
use crate::settings::Setting;
use crate::text::plain;

/// Whoever runs the server.
pub(crate) trait Supervisor: Send + Sync {
    /// Its name in the status: `launchd`, `systemd`, `child`, `none`, `not installed`.
    fn name(&self) -> &'static str;
    /// Whether there is something to start, and if not, what is missing.
    fn installed(&self) -> Result<()>;
    /// Sets the server going. Harmless if it runs already. `lock` is held by the caller; who needs longer than this
    /// call to make the server known may keep it in a copy.
    fn start(&self, lock: &File) -> Result<()>;
    /// Whether it runs, as the supervisor sees it. A server that runs may still be loading, or dead inside.
    fn running(&self) -> Running;
    /// Ends it and waits until it is gone. Harmless if it does not run.
    fn stop(&self) -> Result<()>;
}

/// What a supervisor says of its server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// It runs.
    Yes,
    /// It does not, and how it ended if that is known.
    No(Option<String>),
}

/// The supervisor that `LLM_SUPERVISOR` names. By itself: a child that runs already; launchd or systemd where their
/// service is installed and `LOCAL_LLM_URL` points at its port on this machine; the command of `LLM_SERVER_CMD`. What
/// is not on this machine, or at another port than the service's, is somebody else's.
///
/// # Errors
/// If a setting cannot be used, or there is no home folder.
pub(crate) fn choose(context: &Context, endpoint: &Endpoint) -> Result<Box<dyn Supervisor>> {
    let wanted = context.settings.supervisor()?;
    Ok(match wanted.as_deref() {
        Some("launchd") => Box::new(Launchd::new(context)),
        Some("systemd") => Box::new(Systemd::new(context)),
        Some("child") => Box::new(ChildServer::new(context, endpoint.port())?),
        Some("none") => Box::new(Nobody::is_asked(endpoint)),
        Some("auto") | None => by_what_is_there(context, endpoint)?,
        Some(other) => {
            let expected = "`auto`, `launchd`, `systemd`, `child` or `none`";
            return Err(Setting::Supervisor.error(other, expected));
        }
    })
}

fn by_what_is_there(context: &Context, endpoint: &Endpoint) -> Result<Box<dyn Supervisor>> {
    if !endpoint.is_loopback() {
        return Ok(Box::new(Nobody::is_asked(endpoint)));
    }
    let child = ChildServer::new(context, endpoint.port())?;
    if child.running() == Running::Yes {
        return Ok(Box::new(child));
    }
    let is_service_port = endpoint.port() == context.settings.port()?;
    let (launchd, systemd) = (Launchd::new(context), Systemd::new(context));
    Ok(if is_service_port && launchd.installed().is_ok() {
        Box::new(launchd)
    } else if is_service_port && systemd.installed().is_ok() {
        Box::new(systemd)
    } else if child.installed().is_ok() {
        Box::new(child)
    } else if is_service_port {
        Box::new(Nobody::is_installed())
    } else {
        Box::new(Nobody::is_asked(endpoint))
    })
}

/// No supervisor: nothing is installed, or the server is Ollama, LM Studio, a machine down the hall.
struct Nobody {
    name: &'static str,
    url: Option<String>,
}

/// The name of the supervisor of a server that is not ours.
pub(crate) const SOMEBODY_ELSE: &str = "none";

impl Nobody {
    fn is_installed() -> Nobody {
        Nobody { name: "not installed", url: None }
    }

    fn is_asked(endpoint: &Endpoint) -> Nobody {
        Nobody { name: SOMEBODY_ELSE, url: Some(endpoint.shown()) }
    }
}

impl Supervisor for Nobody {
    fn name(&self) -> &'static str {
        self.name
    }

    fn installed(&self) -> Result<()> {
        Err(match &self.url {
            None => Error::NotInstalled { reason: "no local server is installed".into() },
            Some(url) => Error::DidNotComeUp {
                reason: format!("nothing answers at {url}, and that server is not ours to start"),
                log: vec![],
                hint: "start it yourself, or check LOCAL_LLM_URL and LLM_SUPERVISOR".into(),
            },
        })
    }

    fn start(&self, _: &File) -> Result<()> {
        self.installed()
    }

    fn running(&self) -> Running {
        Running::No(None)
    }

    fn stop(&self) -> Result<()> {
        Ok(())
    }
}

/// Runs a supervisor's program to its end, without a terminal.
///
/// # Errors
/// If it cannot be run. Its exit status is not looked at.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error| Error::Supervisor { reason: format!("cannot run `{program}`: {}", plain(&error)) };
    command.stdin(Stdio::null()).output().map_err(failed)
}

/// What a supervisor's program said when it failed, on one line.
pub(crate) fn failed(what: &str, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let status = output.status;
    Error::Supervisor {
        reason: if said.is_empty() {
            format!("`{what}` failed ({status})")
        } else {
            format!("`{what}` failed ({status}): {said}")
        },
    }
}
