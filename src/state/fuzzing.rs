//! What must hold whatever the files of the state folder say.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::state::flag::{Backend, understood};
use crate::state::ledger::{Entry, parse, summary, table, words};
use crate::state::sessions::fuzzing::stored;

/// Lines of the ledger.
pub(crate) fn ledger(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().filter_map(parse).collect();
    let entries: Vec<&Entry> = lines.iter().map(|line| &line.entry).collect();
    for line in &lines {
        let written = serde_json::to_string(&line.entry).unwrap_or_default();
        let again = parse(&written).map(|line| serde_json::to_string(&line.entry).unwrap_or_default());
        assert_eq!(again, Some(written), "{}", line.raw);
    }
    let now = Timestamp::from_second(1_795_725_000).unwrap_or_default();
    let table = table::table(&entries);
    assert_eq!(table.lines().count(), entries.len(), "{table}");
    let span = Timestamp::UNIX_EPOCH..Timestamp::MAX;
    for shown in [table, summary::summarize(&entries, &span, now), words::in_sentences(&entries, &span, now)] {
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
}

/// A session's file, in a folder.
pub(crate) fn sessions(bytes: &[u8], folder: &Path) {
    let Some(messages) = stored(bytes, folder) else { return };
    assert!(messages.is_sorted_by_key(|message| message.at));
    // What is written again is the same conversation.
    let record = serde_json::json!({"entries": messages});
    let again = stored(record.to_string().as_bytes(), folder);
    assert!(
        messages.is_empty() || messages.iter().any(|message| message.follows.is_some()) || again.as_ref() == Some(&messages),
        "{again:?} {messages:?}"
    );
}

/// The switch.
pub(crate) fn flag(bytes: &[u8], folder: &Path) {
    let path = folder.join("flag");
    if fs::write(&path, bytes).is_err() {
        return;
    }
    let word = String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').trim().to_lowercase();
    match understood(bytes) {
        Ok(backend) => assert!(word == backend.word() || word.is_empty() && backend == Backend::Claude, "{word:?}"),
        Err(shown) => assert!(shown.chars().count() <= 40 && !shown.contains(char::is_control), "{shown:?}"),
    }
}
