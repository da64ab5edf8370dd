//! The only reader of process state: arguments, environment, settings file, home folder, working directory.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::names::STATE_DIR;
use crate::settings::Settings;
use crate::stderr::{self, Silence};

/// A call's arguments, settings and environment.
pub(crate) struct Context {
    /// `argv[0]`, empty if there was none.
    pub name: OsString,
    /// Without `argv[0]`.
    pub args: Vec<OsString>,
    pub settings: Settings,
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
        Context { name, args: args.collect(), settings, home, warnings }
    }

    /// Before anything is written on stderr. `may_spoil_stdout`: for a program that prints in Claude Code's formats.
    pub(crate) fn begin_stderr(&self, applet: &str, may_spoil_stdout: bool) {
        let (is_quiet, warning) = match self.settings.is_quiet() {
            Ok(is_quiet) => (is_quiet, None),
            Err(warning) => (false, Some(format!("{applet}: warning: {warning}"))),
        };
        // A drill tells the two apart itself.
        let spoils_stdout = may_spoil_stdout && self.asks_for_json() && stderr::is_stdout() && !self.is_drill();
        stderr::set_silence(Silence { is_quiet, spoils_stdout, warning });
        self.warn_of_settings_file();
    }

    pub(crate) fn warn_of_settings_file(&self) {
        for warning in &self.warnings {
            stderr::warn("claude-failover", warning);
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
        Context {
            name: name.into(),
            args: args.to_vec(),
            settings: self.settings.clone(),
            home: self.home.clone(),
            warnings: self.warnings.clone(),
        }
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

type Assignments = Vec<(Vec<u8>, OsString)>;

/// With a warning of each line that is no assignment, which is skipped.
fn read_settings_file(home: &Path) -> (Assignments, Vec<String>) {
    let path = home.join(".config/claude-failover/config.env");
    let (mut assignments, mut warnings) = (Vec::new(), Vec::new());
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return (assignments, warnings);
        }
        Err(error) => {
            let reason = crate::text::plain(&error);
            warnings.push(format!("cannot read `{}`: {reason}", path.display()));
            return (assignments, warnings);
        }
    };
    // Some editors begin a file with a byte order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match parse_assignment(line) {
            Some((key, value)) => assignments.push((key.to_vec(), OsString::from_vec(value.to_vec()))),
            None => {
                let place = format!("`{}` line {}", path.display(), number + 1);
                warnings.push(format!("{place} is not KEY=VALUE and is ignored"));
            }
        }
    }
    (assignments, warnings)
}

/// `KEY=VALUE`, with an optional `export ` and optional quotes around the value, as a shell reads it.
fn parse_assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_prefix(b"export ").unwrap_or(line).trim_ascii();
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let key = line[..equals].trim_ascii_end();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if key.is_empty() || !key.iter().all(is_name) {
        return None;
    }
    let value = line[equals + 1..].trim_ascii();
    let unquoted = |quote: u8| value.strip_prefix(&[quote])?.strip_suffix(&[quote]).filter(|inside| !inside.contains(&quote));
    let value = unquoted(b'"').or_else(|| unquoted(b'\'')).unwrap_or(value);
    (!value.contains(&0)).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::parse_assignment;

    #[test]
    fn assignments() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("A=b", Some(("A", "b"))),
            ("A=", Some(("A", ""))),
            ("export A = b c ", Some(("A", "b c"))),
            ("A='b c'", Some(("A", "b c"))),
            ("A=\"b\"", Some(("A", "b"))),
            ("A='", Some(("A", "'"))),
            ("A='b c' d 'e'", Some(("A", "'b c' d 'e'"))),
            ("A=b=c # d", Some(("A", "b=c # d"))),
            ("junk", None),
            ("a b=c", None),
            ("=c", None),
            ("A=\0", None),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|(key, value)| (key.as_bytes(), value.as_bytes()));
            assert_eq!(parse_assignment(line.as_bytes()), expected, "{line:?}");
        }
    }
}
