//! What the real Claude prints, cut into lines of its stream and into text that is none: a wrapper's banner, the words of a shell.

use memchr::memchr;
use memchr::memmem::find;

/// How Claude Code's first line begins. A banner may leave its line unended before it.
const FIRST_LINE: &[u8] = b"{\"type\":\"system\"";

/// The longest line that is waited for. The API takes messages of 32 MB.
const LONGEST_LINE: usize = 64 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line that may be one of the stream, with its newline. The last one may have none.
    Line(Vec<u8>),
    /// What is no such line, as much of it as has come.
    Text(Vec<u8>),
}

/// What was read and not yet handed on.
#[derive(Default)]
pub(super) struct Unread {
    pub bytes: Vec<u8>,
    is_in_text: bool,
}

impl Unread {
    /// `has_ended`: nothing more will come.
    pub(super) fn next(&mut self, has_ended: bool) -> Option<Piece> {
        let first = *self.bytes.first()?;
        let end = memchr(b'\n', &self.bytes).map(|at| at + 1);
        if first == b'{' && (!self.is_in_text || self.bytes.starts_with(FIRST_LINE)) {
            self.is_in_text = false;
            return match end {
                Some(end) => Some(Piece::Line(self.bytes.drain(..end).collect())),
                None if has_ended => Some(Piece::Line(std::mem::take(&mut self.bytes))),
                None if self.bytes.len() > LONGEST_LINE => Some(self.text(LONGEST_LINE, false)),
                None => None,
            };
        }
        let text = end.unwrap_or(self.bytes.len());
        match find(&self.bytes[..text], FIRST_LINE) {
            Some(at) => Some(self.text(at, false)),
            None => Some(self.text(text, end.is_some())),
        }
    }

    fn text(&mut self, length: usize, ends_line: bool) -> Piece {
        self.is_in_text = !ends_line;
        Piece::Text(self.bytes.drain(..length).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pieces = &'static [(char, &'static str)];

    /// What comes of reads, one after the other.
    fn cut(reads: &[&str]) -> Vec<(char, String)> {
        let mut unread = Unread::default();
        let mut pieces = vec![];
        for (number, read) in reads.iter().enumerate() {
            unread.bytes.extend_from_slice(read.as_bytes());
            while let Some(piece) = unread.next(number + 1 == reads.len()) {
                let (kind, bytes) = match piece {
                    Piece::Line(bytes) => ('l', bytes),
                    Piece::Text(bytes) => ('t', bytes),
                };
                pieces.push((kind, String::from_utf8(bytes).expect("text")));
            }
        }
        pieces
    }

    #[test]
    fn lines_and_text_are_told_apart() {
        const INIT: &str = "{\"type\":\"system\"}\n";
        let table: [(&[&str], Pieces); 8] = [
            (&[INIT, "{\"a\":1}\n"], &[('l', INIT), ('l', "{\"a\":1}\n")]),
            (&["{\"type\":", "\"system\"}\n"], &[('l', INIT)]),
            (&["a banner\n", INIT], &[('t', "a banner\n"), ('l', INIT)]),
            (&["a banner {\"type\":\"system\"}\n{}"], &[('t', "a banner "), ('l', INIT), ('l', "{}")]),
            // A text is handed on as it comes, and what looks like JSON in its line is text.
            (&["a ", "{b}", " c\n", "d"], &[('t', "a "), ('t', "{b}"), ('t', " c\n"), ('t', "d")]),
            (&["log {\"type\":\"x\"}\n"], &[('t', "log {\"type\":\"x\"}\n")]),
            (&["\n\n", "{\"half"], &[('t', "\n"), ('t', "\n"), ('l', "{\"half")]),
            (&[""], &[]),
        ];
        for (reads, expected) in table {
            let expected: Vec<(char, String)> = expected.iter().map(|(kind, text)| (*kind, text.to_string())).collect();
            assert_eq!(cut(reads), expected, "{reads:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut unread = Unread { bytes: vec![b'{'; LONGEST_LINE + 1], is_in_text: false };
        assert_eq!(unread.next(false).map(|piece| matches!(piece, Piece::Text(_))), Some(true));
        unread.bytes.extend_from_slice(b"{more");
        assert_eq!(unread.next(false), Some(Piece::Text(b"{{more".to_vec())));
    }
}
