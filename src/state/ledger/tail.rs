//! The lines that the ledger has got since it was read last.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::context::Context;
use crate::os::file_id::FileId;
use crate::read_file::open_own;
use crate::state::ledger::{Entry, MOST_BYTES, file, parse, set_aside_path};

/// How far the ledger's files have been read. A number of a file that is gone may be that of a new one, so each is known by its place,
/// too.
#[derive(Default)]
pub(crate) struct Tail {
    newer: Option<Mark>,
    set_aside: Option<Mark>,
}

/// A file, and how many of its bytes have been read.
type Mark = (FileId, u64);

impl Tail {
    /// At first all that there is. A file that was set aside meanwhile is read on where it is now; only one that was set aside and
    /// replaced before it was read is lost.
    pub(crate) fn new_entries(&mut self, context: &Context) -> Vec<Entry> {
        file(context).map(|path| self.read(&path)).unwrap_or_default()
    }

    fn read(&mut self, path: &Path) -> Vec<Entry> {
        // The newer one first: it may be set aside in between, and is then met twice, and not missed.
        let newer = open_own(path).ok();
        let set_aside = open_own(&set_aside_path(path)).ok();
        let mut entries = Vec::new();
        let (newer_before, aside_before) = (self.newer, self.set_aside);
        self.set_aside = set_aside.and_then(|file| read_on(file, &[newer_before, aside_before], &mut entries));
        let id = |mark: Option<Mark>| mark.map(|(id, _)| id);
        let newer = newer.filter(|file| file.metadata().ok().map(|metadata| FileId::from(&metadata)) != id(self.set_aside));
        self.newer = newer.and_then(|file| read_on(file, &[newer_before], &mut entries));
        entries
    }
}

/// Reads what follows the mark of this file, if one is there.
fn read_on(mut file: File, marks: &[Option<Mark>], entries: &mut Vec<Entry>) -> Option<Mark> {
    let metadata = file.metadata().ok()?;
    let id = FileId::from(&metadata);
    let before = marks.iter().flatten().find(|(known, _)| *known == id).map_or(0, |(_, length)| *length);
    let begin = if metadata.len() < before { 0 } else { before };
    let lines = whole_lines(&mut file, begin);
    entries.extend(String::from_utf8_lossy(&lines).lines().filter_map(parse).map(|line| line.entry));
    Some((id, begin + lines.len() as u64))
}

/// A line without an end is still being written.
fn whole_lines(file: &mut File, begin: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = file.seek(SeekFrom::Start(begin)).and_then(|_| file.take(MOST_BYTES).read_to_end(&mut bytes));
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_line_is_read_once_whatever_becomes_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.jsonl");
        let aside = set_aside_path(&path);
        let line = |second: u8| {
            format!(
                "{{\"time\":\"2026-11-22T01:10:{second:02}Z\",\"applet\":\"claude\",\"route\":\"watch\",\"backend\":\"local\",\
                 \"seconds\":{second}}}\n"
            )
        };
        let mut tail = Tail::default();
        let mut seen = || tail.read(&path).iter().map(|entry| format!("{} ", entry.seconds)).collect::<String>();
        let append = |text: &str| {
            let mut file = fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        assert_eq!(seen(), "");
        fs::write(&aside, line(1)).unwrap();
        append(&(line(2) + &line(3)));
        assert_eq!(seen(), "1 2 3 ");
        assert_eq!(seen(), "");
        append(&line(4)[..30]);
        assert_eq!(seen(), "", "half a line");
        append(&line(4)[30..]);
        append(&line(5));
        fs::rename(&path, &aside).unwrap();
        append(&line(6));
        assert_eq!(seen(), "4 5 6 ", "set aside");
        fs::remove_file(&path).unwrap();
        assert_eq!(seen(), "", "what was set aside is known");
        append(&line(7));
        assert_eq!(seen(), "7 ");
        fs::File::create(&path).unwrap();
        append(&line(8)[..20]);
        assert_eq!(seen(), "", "emptied");
        append(&("\n".to_string() + &line(9)));
        assert_eq!(seen(), "9 ", "after a torn line");
    }
}
