//! What setup has made, a line each: KIND, NAME and VALUE, with tabs between. A line is written before the thing is made, so that a
//! setup that was broken off can be gone on with, and taken away.
//!
//! | kind | name | value |
//! | --- | --- | --- |
//! | `file` | a file of ours | its checksum, as cksum(1) prints it |
//! | `link` | a link of ours | what it leads to |
//! | `dir`, `tree` | a folder; with all that is in it | |
//! | `created` | a file of the user's that was not there | |
//! | `newline` | a file whose last line had no end | |
//! | `setting` | a variable | its line in the settings file |
//! | `block` | a start-up file of a shell | |
//! | `statusline` | Claude Code's settings file | the command |
//! | `model` | a model's folder in the hub's cache | |
//! | `ollama` | a model that Ollama was asked to make | the server's URL |
//! | `option` | what was chosen | |

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::os::atomic_file::replace_private;
use crate::read_file::read_own;
use crate::setup::files::text;
use crate::setup::made::{Kind, Made};

/// The longest manifest, in bytes.
const MOST: u64 = 4 << 20;

#[derive(Debug)]
pub(super) struct Manifest {
    path: PathBuf,
    lines: Vec<[String; 3]>,
}

impl Manifest {
    /// An empty one where there is no file.
    pub(super) fn read(path: &Path) -> Result<Manifest> {
        let bytes = match read_own(path, MOST) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => vec![],
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let line = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_string);
            [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default)
        };
        Ok(Manifest { path: path.into(), lines: text.lines().filter(|line| !line.is_empty()).map(line).collect() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All that is recorded of this thing: several while it is being changed.
    pub(super) fn values<'a>(&'a self, kind: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |[a, b, _]| a == kind && b == name).map(|[_, _, value]| value.as_str())
    }

    pub(super) fn has(&self, kind: &str, name: &str) -> bool {
        self.values(kind, name).next().is_some()
    }

    /// The name and the value of each thing of a kind, in the order in which they were made.
    pub(super) fn of(&self, kind: &str) -> Vec<(String, String)> {
        self.lines.iter().filter(|[a, ..]| a == kind).map(|[_, name, value]| (name.clone(), value.clone())).collect()
    }

    /// Whether nothing but folders is left.
    pub(super) fn has_folders_alone(&self) -> bool {
        self.lines.iter().all(|[kind, ..]| kind == "dir")
    }

    /// What was chosen. None for nothing, too.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let line = self.lines.iter().rfind(|[a, b, _]| a == "option" && b == name)?;
        Some(line[2].as_str()).filter(|value| !value.is_empty())
    }

    /// Records this, and forgets what was recorded of the same thing.
    pub(super) fn record(&mut self, kind: &str, name: &str, value: &str) -> Result<()> {
        let line = [kind, name, value].map(str::to_string);
        if self.values(kind, name).eq([value]) {
            return Ok(());
        }
        self.lines.retain(|[a, b, _]| a != kind || b != name);
        self.lines.push(line);
        self.write()
    }

    /// Records this beside what is recorded of the same thing: it may become the one or stay the other.
    pub(super) fn record_too(&mut self, kind: &str, name: &str, value: &str) -> Result<()> {
        let line = [kind, name, value].map(str::to_string);
        if self.lines.contains(&line) {
            return Ok(());
        }
        self.lines.push(line);
        self.write()
    }

    pub(super) fn forget(&mut self, kind: &str, name: &str) -> Result<()> {
        if !self.has(kind, name) {
            return Ok(());
        }
        self.lines.retain(|[a, b, _]| a != kind || b != name);
        self.write()
    }

    fn write(&self) -> Result<()> {
        let text: String = self.lines.iter().map(|line| line.join("\t") + "\n").collect();
        replace_private(&self.path, text.as_bytes())
    }
}

impl Made for Manifest {
    fn record(&mut self, kind: Kind, name: &Path, value: &str) -> Result<()> {
        Manifest::record(self, kind.word(), &text(name), value)
    }

    fn record_too(&mut self, kind: Kind, name: &Path, value: &str) -> Result<()> {
        Manifest::record_too(self, kind.word(), &text(name), value)
    }

    fn has(&self, kind: Kind, name: &Path, value: &str) -> bool {
        self.values(kind.word(), &text(name)).any(|known| known == value)
    }
}
