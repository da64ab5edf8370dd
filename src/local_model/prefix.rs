//! What the last agent in a folder was told before its first question, kept so that the local server can read it ahead.
//!
//! It holds the user's own instructions, so the files are private, few and short. No conversation is in them.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::os::atomic_file::{open_private, replace_private};
use crate::read_file::read_own;
use crate::settings::FIRST;

/// The longest file, in bytes: the instructions and tools of Claude Code 2.1.330 take 50,000.
const MOST_BYTES: usize = 512 << 10;

/// How many folders are remembered; the one that was worked in longest ago goes first.
const MOST_FILES: usize = 32;

/// The beginning of a request.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prefix {
    /// As messages of chat completions.
    pub messages: Vec<Value>,
    pub tools: Vec<Value>,
}

/// The file of one folder, for the first link and its model.
pub(crate) struct PrefixFile(PathBuf);

impl PrefixFile {
    /// None without a place for it. A drill leaves nothing.
    pub(crate) fn new(context: &Context, folder: &OsStr) -> Option<PrefixFile> {
        let endpoint = Endpoint::of_link(context, FIRST).ok().filter(|_| !context.is_drill())?;
        let mut hasher = DefaultHasher::new();
        (folder, endpoint.shown(), context.settings.model(FIRST).ok()?).hash(&mut hasher);
        let file = format!("prefixes/{:016x}.json", hasher.finish());
        Some(PrefixFile(context.state_dir().ok()?.join(file)))
    }

    pub(crate) fn exists(&self) -> bool {
        self.0.exists()
    }

    pub(crate) fn read(&self) -> Option<Prefix> {
        serde_json::from_slice(&read_own(&self.0, MOST_BYTES as u64).ok()?).ok()
    }

    /// Writes only what has changed. A failure concerns no answer.
    pub(crate) fn keep(&self, prefix: &Prefix) {
        let text = serde_json::to_vec(prefix).unwrap_or_default();
        if read_own(&self.0, MOST_BYTES as u64).is_ok_and(|kept| kept == text) {
            let _ = open_private(&self.0).map(|file| file.set_modified(SystemTime::now()));
            return;
        }
        if text.len() > MOST_BYTES {
            let _ = fs::remove_file(&self.0);
        } else if replace_private(&self.0, &text).is_ok() {
            self.0.parent().map(remove_oldest);
        }
    }
}

fn remove_oldest(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let dated = entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())));
    let mut files: Vec<(SystemTime, PathBuf)> = dated.collect();
    files.sort_unstable();
    for (_, path) in files.iter().rev().skip(MOST_FILES) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix { messages: vec![json!({"role": "system", "content": text})], tools: vec![] }
    }

    #[test]
    fn files_are_private_short_and_few() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("prefixes");
        let file = |name: &str| PrefixFile(folder.join(name));
        file("a").keep(&prefix("one"));
        assert_eq!(file("a").read(), Some(prefix("one")));
        assert_eq!(fs::metadata(&file("a").0).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        file("a").keep(&prefix(&"x".repeat(MOST_BYTES)));
        assert!(!file("a").exists(), "what is too long is not kept, nor what was before it");
        for number in 0..MOST_FILES + 3 {
            file(&format!("{number:02}")).keep(&prefix("same"));
            let written = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number as u64);
            let _ = fs::File::open(&file(&format!("{number:02}")).0).unwrap().set_modified(written);
        }
        // Used again, and so not among the oldest any more.
        file("03").keep(&prefix("same"));
        file("z").keep(&prefix("new"));
        let left: Vec<bool> = ["00", "02", "03", "04", "05", "z"].map(|name| file(name).exists()).into();
        assert_eq!(left, [false, false, true, false, true, true]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), MOST_FILES);
    }
}
