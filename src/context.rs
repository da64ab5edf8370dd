//! The only reader of process state: arguments, environment, settings file, home folder, standard streams.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::error;
use crate::error::{Error, Result};
use crate::names::STATE_DIR;

/// What a call was given: its arguments and its settings.
pub(crate) struct Context {
    /// `argv[0]`, empty if there was none.
    pub name: OsString,
    /// The arguments after `argv[0]`.
    pub args: Vec<OsString>,
    home: Option<PathBuf>,
    settings: Vec<(Vec<u8>, OsString)>,
}

impl Context {
    /// Reads the process's arguments and the settings file.
    pub(crate) fn from_process() -> Context {
        let mut args = env::args_os();
        let name = args.next().unwrap_or_default();
        let home = env::home_dir().filter(|home| home.is_absolute());
        let mut context = Context { name, args: args.collect(), home, settings: Vec::new() };
        context.read_settings_file();
        context
    }

    /// The same context for the applet `name` with fewer arguments: the long form `claude-failover APPLET …`.
    pub(crate) fn for_applet(&self, name: &str, args: &[OsString]) -> Context {
        Context { name: name.into(), args: args.to_vec(), home: self.home.clone(), settings: self.settings.clone() }
    }

    /// A setting from the environment or else the settings file. Empty means unset.
    pub(crate) fn setting(&self, key: &str) -> Option<OsString> {
        self.env(key).or_else(|| {
            let last = self.settings.iter().rfind(|(name, _)| name == key.as_bytes());
            last.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        })
    }

    /// The names in the settings file that look like ours and are none: slips of the pen.
    pub(crate) fn unknown_settings(&self) -> Vec<String> {
        let names = self.settings.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        let looks_like_ours = |name: &String| name.starts_with("LLM_") || name.starts_with("LOCAL_LLM_");
        names.filter(|name| looks_like_ours(name) && !SETTINGS.contains(&name.as_str())).collect()
    }

    /// A setting that must be text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<String>> {
        let text = |value: OsString| {
            let value = value.into_string();
            value.map_err(|_| Error::Setting { key, value: "…".into(), expected: "UTF-8 text" })
        };
        self.setting(key).map(text).transpose()
    }

    /// A setting that must be a number of type `T`, or `default` if it is unset.
    ///
    /// # Errors
    /// If it is no such number; `expected` says what it should be.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &'static str, default: T, expected: &'static str) -> Result<T> {
        match self.text(key)? {
            None => Ok(default),
            Some(value) => value.trim().parse().map_err(|_| Error::Setting { key, value, expected }),
        }
    }

    /// An environment variable that is set and not empty.
    pub(crate) fn env(&self, key: &str) -> Option<OsString> {
        env::var_os(key).filter(|value| !value.is_empty())
    }

    /// The home folder.
    ///
    /// # Errors
    /// If there is none, or HOME is a relative path.
    pub(crate) fn home(&self) -> Result<&PathBuf> {
        self.home.as_ref().ok_or(Error::NoHome)
    }

    /// `path` with a leading `~/` replaced by the home folder, as a shell would have done.
    pub(crate) fn expand(&self, path: OsString) -> PathBuf {
        match (path.as_bytes().strip_prefix(b"~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(OsStr::from_bytes(rest)),
            _ => path.into(),
        }
    }

    /// The settings file, `~/.config/claude-failover/config.env`.
    ///
    /// # Errors
    /// If there is no home folder.
    pub(crate) fn settings_file(&self) -> Result<PathBuf> {
        Ok(self.home()?.join(".config/claude-failover/config.env"))
    }

    /// The folder for state other than the switch, not made yet. A drill gives its call another.
    ///
    /// # Errors
    /// If there is no home folder: none is made.
    pub(crate) fn state_dir(&self) -> Result<PathBuf> {
        match self.env(STATE_DIR) {
            Some(dir) => Ok(dir.into()),
            None if self.home()?.is_dir() => self.server_dir(),
            None => Err(Error::NoHome),
        }
    }

    /// Whether this is the call of a drill.
    pub(crate) fn is_drill(&self) -> bool {
        self.env(STATE_DIR).is_some()
    }

    /// The folder for the local server's state, not made yet: there is one server, in a drill too.
    ///
    /// # Errors
    /// If there is no home folder.
    pub(crate) fn server_dir(&self) -> Result<PathBuf> {
        Ok(self.home()?.join(".local/state/claude-failover"))
    }

    /// The program `name` on PATH as an absolute path, if it is there and executable.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let runs = |path: &PathBuf| path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
        self.path_entries().map(|dir| dir.join(name)).find(runs)
    }

    /// The absolute entries of PATH. Empty and relative ones mean the working directory: a shim must not run what lies there.
    pub(crate) fn path_entries(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let path = env::var_os("PATH").unwrap_or_default();
        let entries: Vec<PathBuf> = env::split_paths(&path).filter(|entry| entry.is_absolute()).collect();
        entries.into_iter()
    }

    /// Whether stdout is a terminal.
    pub(crate) fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    fn read_settings_file(&mut self) {
        let Ok(path) = self.settings_file() else { return };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return,
            Err(error) => {
                let reason = error::plain(&error);
                return error::warn("claude-failover", &format!("cannot read `{}`: {reason}", path.display()));
            }
        };
        // Some editors begin a file with a byte order mark.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match assignment(line) {
                Some((key, value)) => self.settings.push((key.to_vec(), OsString::from_vec(value.to_vec()))),
                None => {
                    let place = format!("`{}` line {}", path.display(), number + 1);
                    error::warn("claude-failover", &format!("{place} is not KEY=VALUE and is ignored"));
                }
            }
        }
    }
}

/// The settings, as the README lists them.
const SETTINGS: [&str; 26] = [
    "LLM_BACKEND_FLAG",
    "CLAUDE_BIN",
    "LOCAL_LLM_URL",
    "LOCAL_LLM_MODEL",
    "LOCAL_LLM_MAX_TOKENS",
    "LOCAL_LLM_CONTEXT",
    "LOCAL_LLM_TEMPERATURE",
    "LOCAL_LLM_API_KEY",
    "LOCAL_LLM_IDLE_TIMEOUT",
    "LOCAL_LLM_EXTRA_BODY",
    "LOCAL_LLM_AGENT",
    "LLM_PORT",
    "LLM_LAUNCHAGENT",
    "LLM_SUPERVISOR",
    "LLM_SERVER_CMD",
    "LLM_START_TIMEOUT",
    "LLM_NOTIFY_CMD",
    "LLM_PREWARM",
    "LLM_IDLE_UNLOAD",
    "LLM_FAILOVER_POLICY",
    "LLM_FAILOVER_RETRIES",
    "LLM_FAILOVER_STALL",
    "LLM_FAILOVER_REPLAY",
    "LLM_FAILOVER_RESUME",
    "LLM_FAILOVER_QUIET",
    "LLM_GATEWAY_TOKEN",
];

/// `KEY=VALUE`, with `export ` before it and quotes around the value allowed, as a shell would read it.
fn assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
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
    use super::assignment;

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
            assert_eq!(assignment(line.as_bytes()), expected, "{line:?}");
        }
    }
}
