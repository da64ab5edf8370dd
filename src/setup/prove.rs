//! The end of a setup: a real answer of the local model, through our own link, as a call of the user's would get it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::{OWN_NAME, STATE_DIR};
use crate::os::process::own_path;
use crate::server::Server;
use crate::server::probe::ServerState;
use crate::settings::Setting;
use crate::setup::places::Places;
use crate::setup::problem;
use crate::shown::{Shown, shown};
use crate::text::plain;

const PROMPT: &str = "Say hello in one short sentence.";

/// A small model may not find an end.
const MOST_SHOWN: usize = 300;

/// What the model said. The switch is local for this one call alone, and the call leaves no session and no line in the ledger.
/// A server of ours that was down is unloaded again, unless `stays_up`.
pub(super) fn answer(places: &Places, names: &[&str], stays_up: bool) -> Result<Shown> {
    // With the settings that were just written.
    let context = Context::from_process();
    let server = Server::new(&context)?;
    let was_down = server.state() == ServerState::Down;
    let folder = Folder::new(&context)?;
    let answer = ask(&context, places, names, &folder.0);
    if was_down && !stays_up && server.is_ours() {
        server.stop(&mut |_| {})?;
    }
    answer
}

fn ask(context: &Context, places: &Places, names: &[&str], folder: &Path) -> Result<Shown> {
    let flag = folder.join("switch");
    fs::write(&flag, "local\n").map_err(Error::file("write", &flag))?;
    let mut command = match names.iter().find(|name| **name != "llm-failover") {
        Some(name) => Command::new(places.bin.join(name)),
        None => {
            let mut command = Command::new(own_path()?);
            command.arg0(OWN_NAME).arg("claude");
            command
        }
    };
    command
        .args(["-p", PROMPT, "--no-session-persistence"])
        .env(Setting::FlagFile.name(), &flag)
        .env(STATE_DIR, folder.join("state"))
        .env(Setting::Agent.name(), "never")
        .env(Setting::NotifyCommand.name(), "true")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for name in context.variable_names().filter(|name| name == "ANTHROPIC_BASE_URL") {
        command.env_remove(name);
    }
    let output = command.output().map_err(|error| failed(shown!("the call could not be made: {}", plain(&error))))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.success() && !said.trim().is_empty() {
        true => Ok(Shown::squeezed(said).at_most(MOST_SHOWN)),
        false => Err(failed(shown!("the local model did not answer: {}", Shown::squeezed(&said)))),
    }
}

fn failed(reason: Shown) -> Error {
    problem(reason, "all else is set up; mend that, and run `llm-failover setup` again")
}

/// Private to this user, and removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(context: &Context) -> Result<Folder> {
        let path = context.temp_dir().join(format!("claude-failover-setup-{}", uuid::Uuid::new_v4()));
        DirBuilder::new().mode(0o700).create(&path).map_err(Error::file("create", &path))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
