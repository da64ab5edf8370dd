//! The flag: one text file that holds one word.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::OFlag;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::atomic_file::{followed, replace_flushed};
use crate::shown::{Shown, shown};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Backend {
    Claude,
    Local,
    /// The real Claude Code, and the local model while Claude is limited or down.
    Auto,
}

impl Backend {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Backend::Claude => "claude",
            Backend::Local => "local",
            Backend::Auto => "auto",
        }
    }
}

pub(crate) struct Flag {
    path: PathBuf,
}

impl Flag {
    /// `LLM_BACKEND_FLAG`, or `~/.local/state/llm-backend`.
    ///
    /// # Errors
    /// If neither the variable nor a home folder is there, or the variable is a relative path.
    pub(crate) fn new(context: &Context) -> Result<Flag> {
        let path = match context.settings.flag_file()? {
            Some(path) => Some(context.expand_home(path)).filter(|path| path.is_absolute()).ok_or(Error::NoHome)?,
            None => context.home()?.join(".local/state/llm-backend"),
        };
        Ok(Flag { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// With a warning if the file cannot be read or understood. Then the backend is Claude: the shim fails open.
    pub(crate) fn read(&self) -> (Backend, Option<Shown>) {
        let fails_open = |why: Shown| (Backend::Claude, Some(shown!("the switch `{}` {why}: using claude", self.path.display())));
        let text = match read_start(&self.path) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return (Backend::Claude, None),
            Err(error) => return fails_open(shown!("cannot be read ({})", crate::text::plain(&error))),
        };
        match understood(&text) {
            Ok(backend) => (backend, None),
            Err(shown) => fails_open(shown!("says `{shown}`, which is none of `claude`, `local` and `auto`")),
        }
    }

    pub(crate) fn last_written(&self) -> Option<SystemTime> {
        fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()
    }

    /// Renames a new, flushed file over the old one: a reader sees the old word or the new one, and a full disk leaves the old
    /// one. A symlink is followed, not replaced.
    pub(crate) fn write(&self, backend: Backend) -> Result<()> {
        let path = followed(&self.path)?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
        }
        let written = replace_flushed(&path, format!("{}\n", backend.word()).as_bytes());
        // On a full disk the flag can still go back to Claude: no file means Claude.
        if written.is_err() && backend == Backend::Claude && fs::remove_file(&path).is_ok() {
            return Ok(());
        }
        written.map_err(Error::file("write", path))
    }
}

/// # Errors
/// What the file says instead, for a person to read.
pub(super) fn understood(text: &[u8]) -> std::result::Result<Backend, Shown> {
    let word = String::from_utf8_lossy(text);
    let word = word.trim_start_matches('\u{feff}').trim();
    match word.to_ascii_lowercase().as_str() {
        "" | "claude" => Ok(Backend::Claude),
        "local" => Ok(Backend::Local),
        "auto" => Ok(Backend::Auto),
        _ => Err(Shown::line(word.lines().collect::<String>()).at_most(40)),
    }
}

/// Opening does not block, even if the file is a pipe.
fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let mut text = Vec::with_capacity(64);
    file.take(4096).read_to_end(&mut text)?;
    Ok(text)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(crate) fn is_auto(context: &Context) -> bool {
    Flag::new(context).is_ok_and(|flag| flag.read().0 == Backend::Auto)
}
