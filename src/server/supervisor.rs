//! What runs the local server: launchd, systemd, this program, or something that is not ours.

use std::fs::File;

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::child::ChildServer;
use crate::server::launchctl::Launchd;
use crate::server::systemctl::Systemd;
use crate::settings::{FIRST, Setting};
use crate::shown::{Shown, shown};

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
    Ok(match context.settings.supervisor()? {
        "launchd" => Box::new(Launchd::new(context)?),
        "systemd" => Box::new(Systemd::new(context)?),
        "child" => Box::new(ChildServer::new(context, endpoint.port())?),
        "none" => Box::new(NoSupervisor::of_foreign_server(endpoint)),
        _ => choose_automatically(context, endpoint)?,
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
    let (launchd, systemd) = (Launchd::new(context)?, Systemd::new(context)?);
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
    place: Option<(Shown, Shown)>,
}

/// The name of the supervisor of a server that is not ours.
pub(crate) const NOT_OURS: &str = "none";

impl NoSupervisor {
    fn nothing_installed() -> NoSupervisor {
        NoSupervisor { name: "not installed", place: None }
    }

    fn of_foreign_server(endpoint: &Endpoint) -> NoSupervisor {
        let url = endpoint.variable(Setting::Url);
        let variables =
            if endpoint.link() == FIRST { shown!("{url} and {}", Setting::Supervisor.name()) } else { Shown::line(url) };
        NoSupervisor { name: NOT_OURS, place: Some((endpoint.place(), variables)) }
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
                reason: shown!("nothing answers at {url}, and that server is not ours to start"),
                log: vec![],
                hint: shown!("start it yourself, or check {variables}"),
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
