//! Changes of the settings file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::context::{Context, MOST_SETTINGS};
use crate::error::{Error, Result};
use crate::os::atomic_file::{open_private, replace_private_followed};
use crate::read_file::read_trusted;
use crate::settings::{Variable, file};

pub(crate) struct SettingsFile {
    path: PathBuf,
    lock: PathBuf,
}

impl SettingsFile {
    /// # Errors
    /// If there is no home folder.
    pub(crate) fn new(context: &Context) -> Result<SettingsFile> {
        Ok(SettingsFile { path: context.settings_file()?, lock: context.server_dir()?.join("settings.lock") })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Empty if there is no file.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        match read_trusted(&self.path, MOST_SETTINGS) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
            read => read.map_err(Error::file("read", &self.path)),
        }
    }

    /// Held while the file is read and written again.
    pub(crate) fn lock(&self) -> Result<File> {
        let file = open_private(&self.lock)?;
        file.lock().map_err(Error::file("lock", &self.lock))?;
        Ok(file)
    }

    /// A link stays, and leads to the new file. One that is too long to be read is not written.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > MOST_SETTINGS {
            let error = io::Error::other(format!("it would have more than {MOST_SETTINGS} bytes"));
            return Err(Error::file("write", &self.path)(error));
        }
        replace_private_followed(&self.path, bytes)
    }

    /// Gives a variable this value.
    ///
    /// # Errors
    /// If the value cannot be used, or no line can hold it.
    pub(crate) fn set(&self, variable: Variable, value: &OsStr) -> Result<()> {
        variable.check(value)?;
        let _only_one = self.lock()?;
        let name = variable.name();
        let changed = file::with(&self.read()?, &name, value);
        self.write(&changed.ok_or_else(|| variable.error("…", "one line, with one kind of quotes at most"))?)
    }

    /// False if no line sets the variable.
    pub(crate) fn unset(&self, variable: Variable) -> Result<bool> {
        let _only_one = self.lock()?;
        let before = self.read()?;
        let after = file::without(&before, &variable.name());
        if after == before {
            return Ok(false);
        }
        self.write(&after).map(|()| true)
    }
}
