//! The service that starts the server: a LaunchAgent, a unit of the user's systemd, or a command among the settings.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::server::command::run_within;
use crate::server::files::log_file;
use crate::setup::engine::{EngineKind, Prepared};
use crate::setup::machine::Machine;
use crate::setup::made::{Made, Written, write_ours};
use crate::shown::{Shown, shown};

const AGENT: &str = include_str!("../../launchd/com.local.mlxserver.plist");

const UNIT: &str = include_str!("../../systemd/com.local.mlxserver.service");

/// How long systemd may take to read its units again.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Launchd(PathBuf),
    Systemd(PathBuf),
    /// `LLM_SERVER_CMD`.
    Child,
}

impl Service {
    /// The one for this machine, with the file that it has there. The property list is for mlx-lm alone.
    ///
    /// # Errors
    /// If the label is none.
    pub(crate) fn choose(context: &Context, machine: &Machine, kind: EngineKind, label: &str) -> Result<Service> {
        if label.is_empty() || label.starts_with('.') || label.contains('/') || *Shown::line(label) != *label {
            return Err(Error::Setup {
                reason: shown!("the service's label is `{label}`"),
                mend: "choose one without a slash, such as com.local.mlxserver".into(),
            });
        }
        let home = context.home()?;
        Ok(if kind == EngineKind::Mlx && machine.has_launchd {
            Service::Launchd(home.join("Library/LaunchAgents").join(format!("{label}.plist")))
        } else if machine.has_systemd {
            Service::Systemd(home.join(".config/systemd/user").join(format!("{label}.service")))
        } else {
            Service::Child
        })
    }

    /// The manifest's word: `launchd`, `systemd`, `child`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Service::Launchd(_) => "launchd",
            Service::Systemd(_) => "systemd",
            Service::Child => "child",
        }
    }

    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Service::Launchd(file) | Service::Systemd(file) => Some(file),
            Service::Child => None,
        }
    }

    /// As a plan names it.
    pub(crate) fn text(&self) -> Shown {
        match self.file() {
            Some(file) => shown!("{}, {}", self.word(), file.display()),
            None => "LLM_SERVER_CMD in the settings".into(),
        }
    }

    /// Writes its file. Returns the value of `LLM_SERVER_CMD`, if it needs one.
    ///
    /// # Errors
    /// If the file that is there was changed by somebody else, or systemd does not take it.
    pub(crate) fn install(
        &self,
        context: &Context,
        prepared: &Prepared,
        label: &str,
        port: u16,
        made: &mut dyn Made,
    ) -> Result<Option<String>> {
        let log = log_file(&context.server_dir()?).display().to_string();
        match self {
            Service::Launchd(file) => {
                put(made, file, &agent(context.home()?, prepared, label, port, &log))?;
                Ok(None)
            }
            Service::Systemd(file) => {
                put(made, file, &unit(prepared, label, port, &log))?;
                reload(context)?;
                Ok(None)
            }
            Service::Child => Ok(Some(child_command(context.home()?, prepared))),
        }
    }
}

pub(super) fn put(made: &mut dyn Made, file: &Path, text: &str) -> Result<()> {
    // launchd takes no property list that it cannot read, or that others may write.
    match write_ours(made, file, text.as_bytes(), 0o644)? {
        Written::New | Written::Same => Ok(()),
        Written::Foreign => Err(Error::Setup {
            reason: shown!("`{}` is not as setup left it, and would have to change", file.display()),
            mend: "move it elsewhere and run this again".into(),
        }),
    }
}

fn agent(home: &Path, prepared: &Prepared, label: &str, port: u16, log: &str) -> String {
    let port = port.to_string();
    let python = prepared.command.first().map(String::as_str).unwrap_or_default();
    let (home, hub) = (home.display().to_string(), prepared.hub_cache.display().to_string());
    let values = [
        ("LABEL", label),
        ("PYTHON", python),
        ("MODEL", &prepared.model_name),
        ("PORT", &port),
        ("HUB_CACHE", &hub),
        ("HOME", &home),
        ("LOG", log),
    ];
    fill(AGENT, &values.map(|(word, value)| (word, xml(value))))
}

fn unit(prepared: &Prepared, label: &str, port: u16, log: &str) -> String {
    let words = prepared.command.iter().map(|word| if is_plain(word) { word.clone() } else { unit_argument(word) });
    let command = words.chain(["--port".into(), port.to_string()]).collect::<Vec<_>>().join(" ");
    let hub = unit_string(&format!("HF_HUB_CACHE={}", prepared.hub_cache.display()));
    let values = [("LABEL", label.into()), ("COMMAND", command), ("HUB_CACHE", hub), ("LOG", log.replace('%', "%%"))];
    fill(UNIT, &values)
}

/// `exec`: no shell stays between, and the value does not begin with a quote, which would be taken for that of the value.
fn child_command(home: &Path, prepared: &Prepared) -> String {
    let mut words: Vec<String> = Vec::new();
    // Calls from elsewhere may not have the variables of this one.
    if prepared.kind == EngineKind::Mlx && prepared.hub_cache != home.join(".cache/huggingface/hub") {
        words.extend(["env".into(), format!("HF_HUB_CACHE={}", prepared.hub_cache.display())]);
    }
    words.extend(prepared.command.iter().cloned());
    let words = words.iter().map(|word| if is_plain(word) { word.clone() } else { shell_argument(word) });
    format!("exec {} --port \"$LLM_PORT\"", words.collect::<Vec<_>>().join(" "))
}

pub(super) fn reload(context: &Context) -> Result<()> {
    systemctl(context, &["daemon-reload"])
}

/// An order to the user's systemd.
pub(super) fn systemctl(context: &Context, words: &[&str]) -> Result<()> {
    let failed = |why: &str| Error::Setup {
        reason: shown!("`systemctl --user {}` fails: {why}", words.join(" ")),
        mend: "see `systemctl --user status`, then run this again".into(),
    };
    let systemctl = context.program_on_path("systemctl").ok_or_else(|| failed("it is not on PATH"))?;
    let mut command = Command::new(systemctl);
    if context.env("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", nix::unistd::getuid()));
    }
    match run_within(command.arg("--user").args(words), RELOAD_LIMIT) {
        Ok(Some(output)) if output.status.success() => Ok(()),
        Ok(Some(output)) => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
        Ok(None) => Err(failed("it does not end")),
        Err(error) => Err(failed(&crate::text::plain(&error))),
    }
}

/// Every `@WORD@` of the template becomes its value, whatever that contains.
pub(super) fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('@') {
        filled.push_str(before);
        let value = after.split_once('@').and_then(|(word, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == word)?;
            Some((value, after))
        });
        match value {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('@');
                rest = after;
            }
        }
    }
    filled + rest
}

/// What needs no quotes anywhere.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte))
}

pub(super) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn unit_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// In a command, `$` is special as well.
pub(super) fn unit_argument(text: &str) -> String {
    unit_string(text).replace('$', "$$")
}

fn shell_argument(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests;
