//! The only reader of process state: arguments, environment, settings file, home folder, working directory.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::names::STATE_DIR;
use crate::read_file::read_trusted;
use crate::real_claude::RealClaude;
use crate::settings::Settings;
use crate::settings::file::{self, Assignment};
use crate::shown::{Shown, shown};
use crate::stderr::{self, Silence};

/// A call's arguments, settings and environment.
#[derive(Clone)]
pub(crate) struct Context {
    /// `argv[0]`, empty if there was none.
    pub name: OsString,
    /// Without `argv[0]`.
    pub args: Vec<OsString>,
    pub settings: Settings,
    /// The Claude Code that the caller names.
    pub given_claude: Option<RealClaude>,
    home: Option<PathBuf>,
    /// What is wrong with the settings file.
    warnings: Vec<String>,
}

impl Context {
    pub(crate) fn from_process() -> Context {
        let mut args = env::args_os();
        let name = args.next().unwrap_or_default();
        let home = home::home_dir().filter(|home| home.is_absolute());
        let (lines, warnings) = home.as_deref().map(read_settings_file).unwrap_or_default();
        let settings = Settings::new(|name| env::var_os(name), lines);
        Context { name, args: args.collect(), settings, given_claude: None, home, warnings }
    }

    /// Before anything is written on stderr. `may_spoil_stdout`: for a program that prints in Claude Code's formats.
    pub(crate) fn begin_stderr(&self, applet: &str, may_spoil_stdout: bool) {
        let (is_quiet, warning) = match self.settings.is_quiet() {
            Ok(is_quiet) => (is_quiet, None),
            Err(warning) => (false, Some(Shown::line(format_args!("{applet}: warning: {warning}")))),
        };
        // A drill tells the two apart itself.
        let spoils_stdout = may_spoil_stdout && self.asks_for_json() && stderr::is_stdout() && !self.is_drill();
        stderr::set_silence(Silence { is_quiet, spoils_stdout, warning });
        self.warn_of_settings_file();
    }

    /// What is wrong with the settings file, a line each.
    pub(crate) fn settings_warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The settings file, which may be missing.
    ///
    /// # Errors
    /// Without a home folder.
    pub(crate) fn settings_file(&self) -> Result<PathBuf> {
        Ok(self.home()?.join(SETTINGS_FILE))
    }

    pub(crate) fn warn_of_settings_file(&self) {
        for warning in &self.warnings {
            stderr::warn("claude-failover", &Shown::line(warning));
        }
    }

    /// Whether Claude Code's last `--output-format` is one of JSON.
    fn asks_for_json(&self) -> bool {
        let mut format: &[u8] = b"";
        let mut args = self.args.iter().map(|arg| arg.as_bytes()).take_while(|arg| *arg != b"--");
        while let Some(arg) = args.next() {
            if arg == b"--output-format" {
                format = args.next().unwrap_or_default();
            } else if let Some(value) = arg.strip_prefix(b"--output-format=") {
                format = value;
            }
        }
        format == b"json" || format == b"stream-json"
    }

    /// With other arguments and the same settings: for the long form `claude-failover APPLET …`.
    pub(crate) fn for_applet(&self, name: &str, args: &[OsString]) -> Context {
        Context { name: name.into(), args: args.to_vec(), ..self.clone() }
    }

    /// For a call that names the Claude Code to run.
    pub(crate) fn for_claude(&self, claude: RealClaude, args: &[OsString]) -> Context {
        Context { given_claude: Some(claude), args: args.to_vec(), ..self.clone() }
    }

    /// None for an empty variable, too.
    pub(crate) fn env(&self, key: &str) -> Option<OsString> {
        env::var_os(key).filter(|value| !value.is_empty())
    }

    pub(crate) fn variable_names(&self) -> impl Iterator<Item = OsString> + use<> {
        env::vars_os().map(|(name, _)| name)
    }

    /// For the program that this process becomes. `Command::env` would sort the environment, and drop doubled and malformed
    /// variables.
    pub(crate) fn set_variable(&self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        env::set_var(name, value);
    }

    pub(crate) fn remove_variable(&self, name: impl AsRef<OsStr>) {
        env::remove_var(name);
    }

    pub(crate) fn working_dir(&self) -> io::Result<PathBuf> {
        env::current_dir()
    }

    pub(crate) fn temp_dir(&self) -> PathBuf {
        env::temp_dir()
    }

    /// # Errors
    /// If there is none, or HOME is a relative path.
    pub(crate) fn home(&self) -> Result<&PathBuf> {
        self.home.as_ref().ok_or(Error::NoHome)
    }

    /// Replaces a leading `~/` with the home folder, as a shell does.
    pub(crate) fn expand_home(&self, path: OsString) -> PathBuf {
        match (path.as_bytes().strip_prefix(b"~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(OsStr::from_bytes(rest)),
            _ => path.into(),
        }
    }

    /// For state other than the flag. A drill gives its call another folder. The folder may be missing; a missing home folder is
    /// an error, since this program makes none.
    pub(crate) fn state_dir(&self) -> Result<PathBuf> {
        match self.env(STATE_DIR) {
            Some(dir) => Ok(dir.into()),
            None if self.home()?.is_dir() => self.server_dir(),
            None => Err(Error::NoHome),
        }
    }

    /// What `auto` has to say where it has no place for its state, and so does nothing.
    pub(crate) fn no_place_for_state(&self) -> Option<Shown> {
        self.state_dir().err()?;
        let home = self
            .home
            .as_deref()
            .map_or_else(|| "HOME is no absolute path".into(), |home| shown!("HOME `{}` is no folder", home.display()));
        Some(shown!("{home}, so the switch's `auto` has no place for what it knows: using claude"))
    }

    /// Whether a drill makes this call.
    pub(crate) fn is_drill(&self) -> bool {
        self.env(STATE_DIR).is_some()
    }

    /// For the local server's state, which a drill shares. The folder may be missing.
    pub(crate) fn server_dir(&self) -> Result<PathBuf> {
        Ok(self.home()?.join(".local/state/claude-failover"))
    }

    /// Executable, and as an absolute path.
    pub(crate) fn program_on_path(&self, name: &str) -> Option<PathBuf> {
        let is_executable = |path: &PathBuf| path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
        self.path_entries().map(|dir| dir.join(name)).find(is_executable)
    }

    /// The absolute entries of PATH. Empty and relative ones mean the working directory: a shim must not run what lies there.
    pub(crate) fn path_entries(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let path = env::var_os("PATH").unwrap_or_default();
        let entries: Vec<PathBuf> = env::split_paths(&path).filter(|entry| entry.is_absolute()).collect();
        entries.into_iter()
    }

    pub(crate) fn stdin_is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    pub(crate) fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

/// Below the home folder.
const SETTINGS_FILE: &str = ".config/claude-failover/config.env";

/// The longest settings file, in bytes.
pub(crate) const MOST_SETTINGS: u64 = 1 << 20;

/// How many of its lines are named: it may be no file of settings at all.
const MOST_WARNINGS: usize = 5;

/// With a warning of a file that is not used, and of each line that is no assignment, which is skipped.
fn read_settings_file(home: &Path) -> (Vec<Assignment>, Vec<String>) {
    let path = home.join(SETTINGS_FILE);
    let mut warnings = Vec::new();
    let bytes = match read_trusted(&path, MOST_SETTINGS) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return (vec![], warnings);
        }
        Err(error) => {
            let reason = crate::text::plain(&error);
            warnings.push(format!("cannot read `{}`: {reason}", path.display()));
            return (vec![], warnings);
        }
    };
    let (assignments, ignored) = file::parse(&bytes);
    let warning = |number| format!("`{}` line {number} is not KEY=VALUE and is ignored", path.display());
    warnings.extend(ignored.iter().take(MOST_WARNINGS).map(warning));
    if let rest @ 1.. = ignored.len().saturating_sub(MOST_WARNINGS) {
        warnings.push(format!("`{}` has {rest} more such lines", path.display()));
    }
    (assignments, warnings)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
