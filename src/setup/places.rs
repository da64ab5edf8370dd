//! Where setup puts things: all of it in the user's home.

use std::path::PathBuf;

use nix::unistd::Uid;

use crate::context::Context;
use crate::error::Result;
use crate::names::DATA_DIR;
use crate::setup::problem;
use crate::shown::{Shown, shown};

pub(super) struct Places {
    pub home: PathBuf,
    /// The binary, its links, the engine, and the manifest.
    pub data: PathBuf,
    pub bin: PathBuf,
    pub config: PathBuf,
    pub state: PathBuf,
}

impl Places {
    /// # Errors
    /// If the home folder cannot be used, or is another user's.
    pub(super) fn new(context: &Context) -> Result<Places> {
        let home = context.home()?.clone();
        let text = home.to_string_lossy();
        if home.to_str().is_none() || text.contains(':') || *Shown::line(&text) != *text {
            let reason = shown!("HOME is `{text}`, which PATH cannot hold");
            return Err(problem(reason, "use a home folder without `:` and without control characters"));
        }
        if !home.is_dir() {
            return Err(problem(shown!("HOME is `{text}`, which is no folder"), "set it to your home folder"));
        }
        if Uid::effective().is_root() && context.env("SUDO_USER").is_some() {
            return Err(problem("this is set up for one user, and sudo makes that root".into(), "run it without sudo"));
        }
        let data = home.join(DATA_DIR);
        Ok(Places {
            bin: data.join("bin"),
            config: home.join(".config/claude-failover/config.env"),
            state: context.server_dir()?,
            data,
            home,
        })
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.data.join("manifest")
    }
}
