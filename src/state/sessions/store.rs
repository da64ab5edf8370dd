//! The files of sessions: ours, and beside them Claude Code's transcripts.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::claude_code::call_check::is_uuid;
use crate::claude_code::projects::{folder_name, projects_dir};
use crate::claude_code::transcript;
use crate::claude_code::transcript::SessionMessage;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::atomic_file::{self, open_private};
use crate::read_file::read_own;
use crate::state::sessions::{Record, SessionNotFound};

/// How long a session is kept, as Claude Code keeps its own.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The limit for all sessions together, in bytes on the disk, where the shortest file takes a block. No longer one is read.
const MAX_SIZE: u64 = 64 << 20;

/// How often old sessions are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The sessions of one working directory: ours, and Claude Code's transcripts of its own.
#[derive(Clone)]
pub(super) struct SessionStore {
    /// The name of the working directory's folder in `root` and in `projects`.
    folder: String,
    root: PathBuf,
    /// Claude Code's `root`.
    projects: PathBuf,
}

pub(super) struct StoredSession {
    pub messages: Vec<SessionMessage>,
    /// Our file for it, which may not exist yet.
    pub file: PathBuf,
}

impl SessionStore {
    /// # Errors
    /// If there is no home folder or no working directory.
    pub(super) fn new(context: &Context) -> Result<SessionStore> {
        let cwd = context.working_dir().map_err(Error::file("read", "."))?;
        let folder = folder_name(&cwd);
        Ok(SessionStore { folder, root: context.state_dir()?.join("sessions"), projects: projects_dir(context)? })
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn in_folder(folder: &Path) -> SessionStore {
        SessionStore { folder: "here".into(), root: folder.join("sessions"), projects: folder.join("projects") }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.file(id).exists() || self.transcript(id).exists()
    }

    /// Whether Claude Code has a session of this id, and we have nothing of it.
    pub(super) fn is_claudes(&self, id: &str) -> bool {
        find(&self.projects, &self.folder, id).is_some() && find(&self.root, &self.folder, id).is_none()
    }

    /// A session with our turns and Claude Code's in the order of time. As the real CLI does, it looks into this working
    /// directory's folder first, then for the one other folder that has the session, where the session then goes on.
    ///
    /// `last`: the id of its last message, if it is not to have the later ones. `None` also if it has no such message.
    pub(super) fn read(&self, id: &str, last: Option<&str>) -> Option<StoredSession> {
        let ours = find(&self.root, &self.folder, id);
        let theirs = find(&self.projects, &self.folder, id);
        let records = ours.as_deref().and_then(read_records);
        let transcript = theirs.as_deref().and_then(|theirs| transcript::read(theirs, None));
        if records.is_none() && transcript.is_none() {
            return None;
        }
        let beside = theirs.as_ref().and_then(|theirs| Some(self.root.join(theirs.strip_prefix(&self.projects).ok()?)));
        let file = ours.or(beside).unwrap_or_else(|| self.file(id));
        let (_, own) = records.unwrap_or_default();
        let mut messages = transcript.unwrap_or_default();
        let known: HashSet<&String> = messages.iter().filter_map(|message| message.uuid.as_ref()).collect();
        let missing: HashSet<&String> =
            own.iter().filter_map(|message| message.uuid.as_ref()).filter(|uuid| !known.contains(uuid)).collect();
        // What Claude Code has in its file and not in its conversation it has dropped, or summed up.
        let dropped = theirs.as_deref().map(|theirs| transcript::found(theirs, &missing)).unwrap_or_default();
        messages = merged(messages, own, &dropped);
        if let Some(last) = last {
            match messages.iter().position(|message| message.uuid.as_deref() == Some(last)) {
                Some(at) => messages.truncate(at + 1),
                // It may be one without text.
                None => messages = transcript::read(theirs.as_deref()?, Some(last))?,
            }
        }
        Some(StoredSession { messages, file })
    }

    /// The title in a file of ours.
    pub(super) fn title(&self, file: &Path) -> Option<String> {
        read_records(file)?.0
    }

    /// The ids of the newest messages in a transcript of Claude Code's.
    pub(super) fn ids(&self, transcript: &Path) -> HashSet<String> {
        transcript::read(transcript, None).into_iter().flatten().filter_map(|message| message.uuid).collect()
    }

    /// Removes a file of ours.
    pub(super) fn remove(&self, file: &Path) {
        let _ = fs::remove_file(file);
        // A folder that is not empty stays.
        let _ = file.parent().map(fs::remove_dir);
    }

    /// Claude Code's transcript of the session that `file` of ours is about.
    pub(super) fn transcript_of(&self, file: &Path) -> Option<PathBuf> {
        Some(self.projects.join(file.strip_prefix(&self.root).ok()?))
    }

    /// The ids of this working directory's sessions, the last changed first.
    pub(super) fn newest_first(&self) -> Vec<String> {
        let mut found: Vec<_> = self.files().map(|(id, _, changed)| (id, changed)).collect();
        found.sort_by_key(|(_, changed)| Reverse(*changed));
        found.into_iter().map(|(id, _)| id).collect()
    }

    /// The id of this working directory's session with this title, in whatever case.
    ///
    /// # Errors
    /// If no session has it, or several have.
    pub(super) fn find_by_title(&self, title: &str) -> std::result::Result<String, SessionNotFound> {
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
            0 => Err(SessionNotFound::Title),
            1 => Ok(found.remove(0).0),
            _ => Err(SessionNotFound::Ambiguous(
                found.into_iter().filter_map(|(id, changed)| Some((id, Timestamp::try_from(changed).ok()?))).collect(),
            )),
        }
    }

    /// Appends to a session's file in one write, so that another process that appends at the same time loses nothing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn append(&self, path: &Path, record: &Record) -> Result<()> {
        if !fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
            self.prune();
        }
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        append_lines(path, &line)
    }

    /// Removes files that are too old, and the oldest while all together are too large. The time of the file `pruned` says when that
    /// was done last.
    fn prune(&self) {
        let (now, stamp) = (SystemTime::now(), self.root.join("pruned"));
        let age = |changed: SystemTime| now.duration_since(changed).unwrap_or_default();
        let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
        if changed(&stamp).is_ok_and(|done| done <= now && age(done) < PRUNE_EVERY) {
            return;
        }
        let folders = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let mut known: Vec<(SystemTime, u64, PathBuf)> = files
            .filter_map(|file| {
                let metadata = file.metadata().ok()?;
                // In units of 512 bytes, whatever the blocks of the file system are: stat(2).
                Some((metadata.modified().ok()?, metadata.blocks() * 512, file.path()))
            })
            .filter(|(_, _, path)| path.extension().is_some_and(|found| found == "jsonl"))
            .collect();
        known.sort_by_key(|(changed, _, _)| Reverse(*changed));
        let mut total = 0;
        for (last, size, path) in known {
            total += size;
            // Another process may go on with the session now.
            if (total > MAX_SIZE || age(last) > MAX_AGE) && changed(&path).is_ok_and(|latest| latest == last) {
                self.remove(&path);
            }
        }
        let _ = open_private(&stamp).and_then(|file| file.set_modified(now).map_err(Error::file("write", stamp)));
    }

    /// Our file for a session that begins in this working directory.
    pub(super) fn file(&self, id: &str) -> PathBuf {
        self.root.join(&self.folder).join(format!("{id}.jsonl"))
    }

    fn transcript(&self, id: &str) -> PathBuf {
        self.projects.join(&self.folder).join(format!("{id}.jsonl"))
    }

    /// All files of this working directory's sessions: the session's id, the path and the time of the last change.
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

/// The file of this session in `folder`, or else in the only other folder that has it.
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

/// Appends in one write. The newline before it ends a line that a full disk has torn.
pub(super) fn append_lines(path: &Path, lines: &[u8]) -> Result<()> {
    let mut file = open_to_append(path)?;
    file.write_all(&[b"\n", lines].concat()).map_err(Error::file("write", path))
}

/// Makes the file if it is missing. A pipe in its place is never waited for.
pub(super) fn open_to_append(path: &Path) -> Result<File> {
    match atomic_file::open_to_append(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => open_private(path),
        file => file.map_err(Error::file("open", path)),
    }
}

/// The messages of both in the order of time, each once, without those that were dropped, here or by Claude Code: `dropped`.
fn merged(theirs: Vec<SessionMessage>, mut own: Vec<SessionMessage>, dropped: &HashSet<String>) -> Vec<SessionMessage> {
    own.retain(|message| message.uuid.as_ref().is_none_or(|uuid| !dropped.contains(uuid)));
    transcript::make_times_ascend(&mut own);
    let mut all = theirs;
    let known: HashMap<String, usize> =
        all.iter().enumerate().filter_map(|(at, message)| Some((message.uuid.clone()?, at))).collect();
    for message in own {
        match message.uuid.as_ref().and_then(|uuid| known.get(uuid)) {
            Some(at) => all[*at].follows = message.follows,
            None => all.push(message),
        }
    }
    all.sort_by_key(|message| message.at);
    let mut messages: Vec<SessionMessage> = Vec::new();
    for message in all {
        if let Some(before) = &message.follows {
            let kept = messages.iter().position(|earlier| earlier.uuid.as_ref() == Some(before)).map_or(0, |at| at + 1);
            messages.truncate(if before.is_empty() || kept > 0 { kept } else { messages.len() });
        }
        messages.push(message);
    }
    messages
}

/// The title and the messages in a file of ours. Lines that are torn or foreign are skipped; `None` if there are no others.
fn read_records(path: &Path) -> Option<(Option<String>, Vec<SessionMessage>)> {
    let bytes = read_own(path, MAX_SIZE).ok()?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let is_ours = |record: &Record| record.title.is_some() || !record.messages.is_empty();
    let records = lines.filter_map(|line| serde_json::from_slice(line).ok()).filter(is_ours);
    let records: Vec<Record> = records.collect();
    if records.is_empty() {
        return None;
    }
    let title = records.iter().rev().find_map(|record| record.title.clone());
    Some((title, records.into_iter().flat_map(|record| record.messages).collect()))
}
