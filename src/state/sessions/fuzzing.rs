//! A session's file as it is read back.

use std::fs;
use std::path::Path;

use crate::claude_code::transcript::SessionMessage;
use crate::state::sessions::store::SessionStore;

const ID: &str = "3f0e1f6e-6a0b-4d0e-9a53-7d2f5e0c1b2a";

pub(in crate::state) fn stored(bytes: &[u8], folder: &Path) -> Option<Vec<SessionMessage>> {
    let store = SessionStore::in_folder(folder);
    let file = store.file(ID);
    fs::create_dir_all(file.parent()?).ok()?;
    fs::write(&file, bytes).ok()?;
    store.title(&file);
    store.read(ID, None).map(|session| session.messages)
}
