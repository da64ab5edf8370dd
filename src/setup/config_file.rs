//! The user's settings file: a line of ours is brought up to date, and one of the user's stays.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::settings::file::parse_assignment;
use crate::setup::files::{leave_users, read_users, text, write_users};
use crate::setup::manifest::Manifest;
use crate::setup::problem;
use crate::shown::shown;

/// The settings file as it is, with what is ours in it.
pub(super) struct ConfigFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// What would become of the line of a variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is right as it is.
    None,
    Write,
    /// The user's own line, which stays, says something else.
    UsersStays(String),
}

impl ConfigFile {
    pub(super) fn read(path: &Path) -> Result<ConfigFile> {
        Ok(ConfigFile { path: path.into(), bytes: read_users(path)? })
    }

    /// The line that counts for a variable: the last.
    fn line(&self, key: &str) -> Option<String> {
        let is_of_key = |line: &&[u8]| parse_assignment(line.trim_ascii()).is_some_and(|(name, _)| name == key.as_bytes());
        let mut lines = self.bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
        lines.rfind(is_of_key).map(|line| String::from_utf8_lossy(line).into_owned())
    }

    /// The value that is written there.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        let line = self.line(key)?;
        let (_, value) = parse_assignment(line.trim().as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned()).filter(|value| !value.is_empty())
    }

    /// Whether there is no line, or one that setup has written.
    pub(super) fn is_ours(&self, manifest: &Manifest, key: &str) -> bool {
        self.line(key).is_none_or(|line| manifest.values("setting", key).any(|known| known == line))
    }

    /// What [`ConfigFile::set`] would do.
    pub(super) fn change(&self, manifest: &Manifest, key: &str, value: Option<&str>) -> Change {
        let there = self.line(key);
        let is_same = self.value(key).as_deref() == value;
        match there {
            None if value.is_none() => Change::None,
            Some(_) if is_same => Change::None,
            Some(line) if !self.is_ours(manifest, key) => Change::UsersStays(line),
            _ => Change::Write,
        }
    }

    /// Sets a variable, or takes its line away.
    pub(super) fn set(&mut self, manifest: &mut Manifest, key: &str, value: Option<&str>) -> Result<()> {
        if self.change(manifest, key, value) != Change::Write {
            return Ok(());
        }
        let there = self.line(key).filter(|_| self.is_ours(manifest, key));
        let line = value.map(|value| assignment(key, value)).transpose()?;
        match (there, line) {
            (Some(there), Some(line)) => {
                manifest.record_too("setting", key, &line)?;
                self.write(manifest, replaced(&self.bytes, &there, Some(&line)))?;
                manifest.record("setting", key, &line)
            }
            (None, Some(line)) => {
                manifest.record("setting", key, &line)?;
                let mut bytes = self.bytes.clone();
                end_last_line(manifest, &self.path, &mut bytes)?;
                bytes.extend_from_slice(format!("{line}\n").as_bytes());
                self.write(manifest, bytes)
            }
            (there, None) => {
                if let Some(there) = there {
                    self.write(manifest, replaced(&self.bytes, &there, None))?;
                }
                manifest.forget("setting", key)
            }
        }
    }

    fn write(&mut self, manifest: &mut Manifest, bytes: Vec<u8>) -> Result<()> {
        write_users(manifest, &self.path, &bytes, 0o600)?;
        self.bytes = bytes;
        Ok(())
    }
}

/// The line that says this, and nothing else: a value may be what a server has told of its models.
fn assignment(key: &str, value: &str) -> Result<String> {
    let says_it = |line: &String| {
        !line.contains(['\n', '\r']) && parse_assignment(line.trim().as_bytes()) == Some((key.as_bytes(), value.as_bytes()))
    };
    let ways = [format!("{key}={value}"), format!("{key}='{value}'"), format!("{key}=\"{value}\"")];
    ways.into_iter().find(says_it).ok_or_else(|| {
        problem(shown!("no line of the settings file can hold `{value}` as {key}"), "choose another one, on one line")
    })
}

/// Ends the last line of a file of the user's, before something is added.
pub(super) fn end_last_line(manifest: &mut Manifest, path: &Path, bytes: &mut Vec<u8>) -> Result<()> {
    if bytes.last().is_some_and(|byte| *byte != b'\n') {
        manifest.record("newline", &text(path), "")?;
        bytes.push(b'\n');
    }
    Ok(())
}

/// With each such line replaced, or left out.
fn replaced(bytes: &[u8], old: &str, new: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match (line.strip_suffix(b"\n").unwrap_or(line) == old.as_bytes(), new) {
            (false, _) => out.extend_from_slice(line),
            (true, Some(new)) => {
                out.extend_from_slice(new.as_bytes());
                out.push(b'\n');
            }
            (true, None) => {}
        }
    }
    out
}

/// Takes all lines of ours out of the settings file.
pub(super) fn take_away(manifest: &Manifest, path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let (bytes, ours) = (read_users(path)?, manifest.of("setting"));
    let is_ours = |line: &[u8]| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        ours.iter().any(|(_, known)| known.as_bytes() == line)
    };
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut left: Vec<u8> = lines.iter().filter(|line| !is_ours(line)).flat_map(|line| line.iter().copied()).collect();
    // Nobody has written behind our first line: the end of the line before is ours, too.
    let first = lines.iter().position(|line| is_ours(line)).unwrap_or(lines.len());
    if first < lines.len() && lines[first..].iter().all(|line| is_ours(line)) && manifest.has("newline", &text(path)) {
        left.truncate(left.len() - usize::from(left.ends_with(b"\n")));
    }
    if left == bytes && !left.is_empty() { Ok(()) } else { leave_users(manifest, path, &left) }
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn a_value_is_all_that_its_line_says() {
        let table = [
            ("qwen3:8b", Some("A=qwen3:8b")),
            ("exec x 'y' --port \"$LLM_PORT\"", Some("A=exec x 'y' --port \"$LLM_PORT\"")),
            ("'quoted'", Some("A=\"'quoted'\"")),
            (" a ", Some("A=' a '")),
            ("a\nLLM_NOTIFY_CMD=x", None),
            ("a\rb", None),
            ("a\0", None),
        ];
        for (value, expected) in table {
            assert_eq!(assignment("A", value).ok().as_deref(), expected, "{value:?}");
        }
    }
}
