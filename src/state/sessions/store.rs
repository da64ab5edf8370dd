//! Where conversations are kept.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::atomic_file::private_file;
use crate::state::sessions::{Entry, Record, Unknown, is_uuid, transcript};

/// How long a conversation is kept, as Claude Code keeps its own.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How much all conversations may take, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// How often old conversations are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The conversations of one working directory: ours, and the transcripts that Claude Code has of its own.
#[derive(Clone)]
pub(super) struct Store {
    folder: String,
    root: PathBuf,
    projects: PathBuf,
}

/// A conversation that was found.
pub(super) struct Found {
    /// What was said in it.
    pub entries: Vec<Entry>,
    /// Our file of it, which may be still to make.
    pub file: PathBuf,
}

impl Store {
    /// The conversations of this working directory.
    ///
    /// # Errors
    /// If there is no home folder or no working directory.
    pub(super) fn new(context: &Context) -> Result<Store> {
        let cwd = context.working_dir().map_err(Error::file("read", "."))?;
        let folder = folder_name(&cwd);
        let (home, root) = (context.home()?, context.state_dir()?.join("sessions"));
        let claude = context.env("CLAUDE_CONFIG_DIR").map_or_else(|| home.join(".claude"), PathBuf::from);
        Ok(Store { folder, root, projects: claude.join("projects") })
    }

    /// Whether it has a conversation of this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.file(id).exists() || self.transcript(id).exists()
    }

    /// Whether Claude Code has a conversation of this id, and we have nothing of it.
    pub(super) fn is_claudes(&self, id: &str) -> bool {
        find(&self.projects, &self.folder, id).is_some() && find(&self.root, &self.folder, id).is_none()
    }

    /// A conversation with the turns of ours and of Claude Code's in the order of time. As the real CLI does, it looks
    /// into this working directory's folder first, then for the one other folder that has it, where it then goes on.
    pub(super) fn read(&self, id: &str) -> Option<Found> {
        let ours = find(&self.root, &self.folder, id);
        let theirs = find(&self.projects, &self.folder, id);
        let records = ours.as_deref().and_then(read_records);
        let turns = theirs.as_deref().and_then(transcript::read);
        if records.is_none() && turns.is_none() {
            return None;
        }
        let beside = theirs.as_ref().and_then(|theirs| Some(self.root.join(theirs.strip_prefix(&self.projects).ok()?)));
        let file = ours.or(beside).unwrap_or_else(|| self.file(id));
        let (_, mut entries) = records.unwrap_or_default();
        transcript::in_order(&mut entries);
        let mut all = turns.unwrap_or_default();
        all.extend(entries);
        all.sort_by_key(|entry| entry.at);
        Some(Found { entries: all, file })
    }

    /// The ids of this working directory's conversations, that in which was last spoken first.
    pub(super) fn newest_first(&self) -> Vec<String> {
        let mut found: Vec<_> = self.files().map(|(id, _, changed)| (id, changed)).collect();
        found.sort_by_key(|(_, changed)| Reverse(*changed));
        found.into_iter().map(|(id, _)| id).collect()
    }

    /// The id of the conversation of this working directory that has this title, in whatever case.
    ///
    /// # Errors
    /// If none has it, or several have.
    pub(super) fn titled(&self, title: &str) -> std::result::Result<String, Unknown> {
        let title = title.trim().to_lowercase();
        let title_in = |path: &Path| match path.starts_with(&self.root) {
            true => read_records(path).and_then(|(title, _)| title),
            false => transcript::title(path),
        };
        let titled = self.files().filter(|(_, path, _)| title_in(path).is_some_and(|known| known.to_lowercase() == title));
        let mut found: Vec<_> = titled.map(|(id, _, changed)| (id, changed)).collect();
        found.sort_by_key(|(_, changed)| Reverse(*changed));
        let mut seen = HashSet::new();
        found.retain(|(id, _)| seen.insert(id.clone()));
        match found.len() {
            0 => Err(Unknown::Title),
            1 => Ok(found.remove(0).0),
            _ => Err(Unknown::Ambiguous(
                found.into_iter().filter_map(|(id, changed)| Some((id, Timestamp::try_from(changed).ok()?))).collect(),
            )),
        }
    }

    /// Adds to a conversation's file, in one write, so that whoever else adds to it at the same time loses nothing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn append(&self, path: &Path, record: &Record) -> Result<()> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let mut file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => private_file(path)?,
            file => file.map_err(Error::file("open", path))?,
        };
        if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            self.prune();
        }
        // A line that was torn by a full disk is ended first.
        let mut line = b"\n".to_vec();
        let _ = serde_json::to_writer(&mut line, record);
        line.push(b'\n');
        file.write_all(&line).map_err(Error::file("write", path))
    }

    /// Takes away what is too old, and the oldest of what is too much, now and then: the time of a file says when last.
    fn prune(&self) {
        let (now, stamp) = (SystemTime::now(), self.root.join("pruned"));
        let age = |changed: SystemTime| now.duration_since(changed).unwrap_or_default();
        let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
        if changed(&stamp).is_ok_and(|done| age(done) < PRUNE_EVERY) {
            return;
        }
        let folders = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let mut known: Vec<(SystemTime, u64, PathBuf)> = files
            .filter_map(|file| {
                let metadata = file.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), file.path()))
            })
            .filter(|(_, _, path)| path.extension().is_some_and(|found| found == "jsonl"))
            .collect();
        known.sort_by_key(|(changed, _, _)| Reverse(*changed));
        let mut total = 0;
        for (changed, size, path) in known {
            total += size;
            if total > MAX_SIZE || age(changed) > MAX_AGE {
                let _ = fs::remove_file(&path);
                // A folder that is not empty stays.
                let _ = path.parent().map(fs::remove_dir);
            }
        }
        let _ = private_file(&stamp).and_then(|file| file.set_modified(now).map_err(Error::file("write", stamp)));
    }

    /// Our file of a conversation that begins in this working directory.
    pub(super) fn file(&self, id: &str) -> PathBuf {
        self.root.join(&self.folder).join(format!("{id}.jsonl"))
    }

    fn transcript(&self, id: &str) -> PathBuf {
        self.projects.join(&self.folder).join(format!("{id}.jsonl"))
    }

    /// The ids of this working directory's conversations, each with a file of it and the time of its last change.
    fn files(&self) -> impl Iterator<Item = (String, PathBuf, SystemTime)> {
        let folders = [&self.root, &self.projects].map(|root| root.join(&self.folder));
        let files = folders.into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        files.filter_map(|file| {
            let path = file.path();
            let id = path.file_stem()?.to_str().filter(|id| is_uuid(id))?.to_string();
            let metadata = fs::metadata(&path).ok()?;
            let is_session = metadata.is_file() && path.extension().is_some_and(|found| found == "jsonl");
            is_session.then_some((id, path, metadata.modified().ok()?))
        })
    }
}

/// The file of this conversation in `folder`, or else in the only other folder that has it.
fn find(root: &Path, folder: &str, id: &str) -> Option<PathBuf> {
    let name = &format!("{id}.jsonl");
    let own = root.join(folder).join(name);
    if own.is_file() {
        return Some(own);
    }
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let mut found = folders.map(|folder| folder.path().join(name)).filter(|path| path.is_file());
    found.next().filter(|_| found.next().is_none())
}

/// The title and the turns in a file of ours. Lines that are torn or foreign are passed over; `None` if no other is there.
fn read_records(path: &Path) -> Option<(Option<String>, Vec<Entry>)> {
    let bytes = fs::read(path).ok()?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let holds_something = |record: &Record| record.title.is_some() || !record.entries.is_empty();
    let records = lines.filter_map(|line| serde_json::from_slice(line).ok()).filter(holds_something);
    let records: Vec<Record> = records.collect();
    if records.is_empty() {
        return None;
    }
    let title = records.iter().rev().find_map(|record| record.title.clone());
    Some((title, records.into_iter().flat_map(|record| record.entries).collect()))
}

/// The longest name of a working directory's folder, before its hash.
const MAX_NAME: usize = 200;

/// The name that Claude Code 2.1.330 gives the folder of a working directory. It counts in UTF-16 code units, and tells
/// long names apart by the hash that Java has for strings.
fn folder_name(cwd: &Path) -> String {
    let cwd = cwd.to_string_lossy();
    let plain = |unit: u16| u8::try_from(unit).ok().filter(u8::is_ascii_alphanumeric).map_or('-', char::from);
    let name: String = cwd.encode_utf16().map(plain).collect();
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = cwd.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    format!("{}-{}", &name[..MAX_NAME], base36(hash.unsigned_abs()))
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(number % 36, 36));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_claude_code_names_them() {
        let table = [("/tmp/a b.c_d-e", "-tmp-a-b-c-d-e"), ("/h/Ünï/日本/😀x", "-h--n-------x"), ("/h/UP/lo", "-h-UP-lo")];
        for (cwd, name) in table {
            assert_eq!(folder_name(Path::new(cwd)), name);
        }
        let long = format!("/{}", "q".repeat(300));
        assert_eq!(folder_name(Path::new(&long)), format!("-{}-pv1xtb", "q".repeat(199)));
    }
}
