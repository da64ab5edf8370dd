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
    /// How many of them are known to have no newline: a long line comes in many reads, and each is searched once.
    searched: usize,
    is_in_text: bool,
}

impl Unread {
    /// `has_ended`: nothing more will come.
    pub(super) fn next(&mut self, has_ended: bool) -> Option<Piece> {
        let first = *self.bytes.first()?;
        let end = memchr(b'\n', &self.bytes[self.searched..]).map(|at| self.searched + at + 1);
        self.searched = 0;
        if first == b'{' && (!self.is_in_text || self.bytes.starts_with(FIRST_LINE)) {
            self.is_in_text = false;
            return match end {
                Some(end) => Some(Piece::Line(self.take(end))),
                None if has_ended => Some(Piece::Line(std::mem::take(&mut self.bytes))),
                None if self.bytes.len() > LONGEST_LINE => Some(self.text(LONGEST_LINE, false)),
                None => {
                    self.searched = self.bytes.len();
                    None
                }
            };
        }
        let text = end.unwrap_or(self.bytes.len());
        match find(&self.bytes[..text], FIRST_LINE) {
            Some(at) => Some(self.text(at, false)),
            None if end.is_some() || has_ended => Some(self.text(text, end.is_some())),
            None => {
                let certain = text - self.begun_first_line();
                (certain > 0).then(|| self.text(certain, false))
            }
        }
    }

    /// How much at the end may be the beginning of Claude Code's first line, which a read has cut.
    fn begun_first_line(&self) -> usize {
        (1..FIRST_LINE.len()).rev().find(|length| self.bytes.ends_with(&FIRST_LINE[..*length])).unwrap_or(0)
    }

    fn text(&mut self, length: usize, ends_line: bool) -> Piece {
        self.is_in_text = !ends_line;
        Piece::Text(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        if length < self.bytes.len() / 2 {
            return self.bytes.drain(..length).collect();
        }
        // Most long lines have nothing behind them, and need no copy.
        let rest = self.bytes.split_off(length);
        std::mem::replace(&mut self.bytes, rest)
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
        let table: [(&[&str], Pieces); 10] = [
            (&[INIT, "{\"a\":1}\n"], &[('l', INIT), ('l', "{\"a\":1}\n")]),
            (&["{\"type\":", "\"system\"}\n"], &[('l', INIT)]),
            (&["a banner\n", INIT], &[('t', "a banner\n"), ('l', INIT)]),
            (&["a banner {\"type\":\"system\"}\n{}"], &[('t', "a banner "), ('l', INIT), ('l', "{}")]),
            (&["a banner {\"type", "\":\"system\"}\n"], &[('t', "a banner "), ('l', INIT)]),
            (&["a {\"type", "d\"}"], &[('t', "a "), ('t', "{\"typed\"}")]),
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
        let mut unread = Unread { bytes: vec![b'{'; LONGEST_LINE + 1], ..Unread::default() };
        assert_eq!(unread.next(false).map(|piece| matches!(piece, Piece::Text(_))), Some(true));
        unread.bytes.extend_from_slice(b"{more");
        assert_eq!(unread.next(false), Some(Piece::Text(b"{{more".to_vec())));
    }
}
