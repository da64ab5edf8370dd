//! The hub's cache, in the layout that its documentation gives to those who write to it:
//! <https://huggingface.co/docs/hub/local-cache>.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::read_file::read_regular;
use crate::setup::download::listing::RemoteFile;

/// The longest list of a model's files, in bytes.
const MOST_BYTES: u64 = 32 << 20;

/// One model in the cache.
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repository {
    pub(super) fn new(cache: &Path, repo: &str) -> Repository {
        let name = format!("models--{}", repo.replace('/', "--"));
        Repository { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn blob(&self, file: &RemoteFile) -> PathBuf {
        self.folder.join("blobs").join(&file.etag)
    }

    /// What of it has come so far. huggingface_hub of 2024 and 2025 goes on with it, too.
    pub(super) fn incomplete(&self, file: &RemoteFile) -> PathBuf {
        self.folder.join("blobs").join(format!("{}.incomplete", file.etag))
    }

    /// How many of its bytes are there.
    pub(super) fn present(&self, file: &RemoteFile) -> u64 {
        let length = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        length(self.blob(file)).max(length(self.incomplete(file))).min(file.size)
    }

    /// For this process alone, and for huggingface_hub, which locks the same file. None while another holds it.
    pub(super) fn try_lock(&self, file: &RemoteFile) -> Result<Option<File>> {
        make_folder(&self.locks)?;
        let path = self.locks.join(format!("{}.lock", file.etag));
        let lock = open(&path, OpenOptions::new().append(true).create(true)).map_err(Error::file("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::file("lock", path)(error)),
        }
    }

    /// The file to go on with, for reading and appending.
    pub(super) fn open_incomplete(&self, file: &RemoteFile) -> Result<File> {
        let path = self.incomplete(file);
        make_folder(&self.folder.join("blobs"))?;
        open(&path, OpenOptions::new().read(true).append(true).create(true)).map_err(Error::file("open", path))
    }

    /// What has come is the file.
    pub(super) fn complete(&self, file: &RemoteFile) -> Result<()> {
        fs::rename(self.incomplete(file), self.blob(file)).map_err(Error::file("write", self.blob(file)))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Makes the file a part of the snapshot, by a link that is still right if the cache is moved.
    pub(super) fn link(&self, commit: &str, file: &RemoteFile) -> Result<()> {
        let path = self.snapshot(commit).join(&file.path);
        let folder = path.parent().unwrap_or(&path);
        make_folder(folder)?;
        let depth = Path::new(&file.path).components().count() + 1;
        let target = PathBuf::from("../".repeat(depth)).join("blobs").join(&file.etag);
        if fs::read_link(&path).is_ok_and(|there| there == target) {
            return Ok(());
        }
        let fresh = folder.join(format!(".{}.{}.new", file.etag, std::process::id()));
        let _ = fs::remove_file(&fresh);
        symlink(target, &fresh).and_then(|()| fs::rename(&fresh, &path)).map_err(Error::file("write", path))
    }

    /// What `main` means from now on. Only once all of it is there: programs that are offline take it as whole.
    pub(super) fn set_main(&self, commit: &str) -> Result<()> {
        let path = self.folder.join("refs/main");
        if self.main().as_deref() == Some(commit) {
            return Ok(());
        }
        make_folder(&self.folder.join("refs"))?;
        let fresh = self.folder.join(format!("refs/main.{}.new", std::process::id()));
        fs::write(&fresh, commit).and_then(|()| fs::rename(&fresh, &path)).map_err(Error::file("write", path))
    }

    fn main(&self) -> Option<String> {
        let text = String::from_utf8(read_regular(&self.folder.join("refs/main"), 256).ok()?).ok()?;
        Some(text.trim().to_string()).filter(|commit| commit.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }

    /// The snapshot of `main`, if it has this file, or all that mlx-lm reads.
    pub(super) fn whole_snapshot(&self, file: Option<&str>) -> Option<PathBuf> {
        let snapshot = self.snapshot(&self.main()?);
        // Links to what is not there any more lead nowhere.
        let has = |name: &str| snapshot.join(name).is_file();
        let is_whole = match file {
            Some(file) => has(file),
            None => has("config.json") && weights(&snapshot).iter().all(|name| has(name)),
        };
        is_whole.then_some(snapshot)
    }
}

/// The files with the weights, by the index, or the one that there is without one.
fn weights(snapshot: &Path) -> Vec<String> {
    let index = read_regular(&snapshot.join("model.safetensors.index.json"), MOST_BYTES);
    let index: Option<Value> = index.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match index.as_ref().and_then(|index| index["weight_map"].as_object()) {
        Some(map) => map.values().filter_map(|name| name.as_str().map(str::to_string)).collect(),
        None => vec!["model.safetensors".into()],
    }
}

/// With the rights that huggingface_hub gives: the user's own way to share a cache.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.mode(0o644).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")) }
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::file("create", path))
}
