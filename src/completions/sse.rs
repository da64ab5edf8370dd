//! Server-sent events, as the WHATWG HTML standard describes the stream (section 9.2.6), for the fields that chat
//! completions use: `data` is collected, other fields are passed over.

use memchr::memchr2;

/// A line longer than this is no event of a chat server: 16 MiB.
const MAX_LINE: usize = 16 << 20;

/// Collects events from bytes that may be split anywhere.
#[derive(Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
    past_first_line: bool,
}

/// What a stream says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Said<'a> {
    /// The data of an event.
    Event(&'a [u8]),
    /// A comment between two events: the server is still there.
    Comment,
}

/// A line that never ends.
#[derive(Debug, PartialEq)]
pub(crate) struct LineTooLong;

impl Parser {
    /// Takes bytes and hands each event and comment that they complete to `take`, until it returns false.
    ///
    /// # Errors
    /// If a line passes [`MAX_LINE`].
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(Said) -> bool) -> Result<(), LineTooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = memchr2(b'\n', b'\r', bytes);
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + part.len() > MAX_LINE || self.data.len() > MAX_LINE {
                return Err(LineTooLong);
            }
            self.line.extend_from_slice(part);
            let Some(ending) = rest.first() else { break };
            self.after_cr = *ending == b'\r';
            bytes = &rest[1..];
            if !self.end_line(&mut take) {
                break;
            }
        }
        Ok(())
    }

    /// The stream has ended: an event whose closing blank line is missing still counts if its lines were whole.
    pub(crate) fn finish(&mut self, mut take: impl FnMut(Said) -> bool) {
        if !self.line.is_empty() {
            self.end_line(&mut take);
        }
        if self.has_data {
            self.end_line(&mut take);
        }
    }

    fn end_line(&mut self, take: &mut impl FnMut(Said) -> bool) -> bool {
        let mut line = self.line.as_slice();
        if !std::mem::replace(&mut self.past_first_line, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let mut go_on = true;
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                go_on = take(Said::Event(&self.data));
                self.data.clear();
            }
        } else if let Some(value) = data_field(line) {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
            self.has_data = true;
        } else if line[0] == b':' && !self.has_data {
            go_on = take(Said::Comment);
        }
        self.line.clear();
        go_on
    }
}

fn data_field(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    match value.split_first() {
        None => Some(b""),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Parser, Said};

    /// What a stream says, a comment as `:`.
    fn said(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        let mut take = |said: Said| {
            found.push(match said {
                Said::Event(data) => String::from_utf8_lossy(data).into_owned(),
                Said::Comment => ":".into(),
            });
            true
        };
        pieces.iter().for_each(|piece| parser.push(piece, &mut take).unwrap());
        parser.finish(take);
        found
    }

    #[test]
    fn every_split_gives_the_same() {
        let stream = "\u{feff}: keepalive 1/1\r\n\r\ndata: {\"a\":\"é\"}\n\ndata:b\n: in an event\ndata: c\n\nevent: x\rdata\r\rid: 7\ndatax: no\ndata: [DONE]";
        let expected = [":", "{\"a\":\"é\"}", "b\nc", "", "[DONE]"];
        let bytes = stream.as_bytes();
        assert_eq!(said(&[bytes]), expected);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(said(&pieces), expected, "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let mut parser = Parser::default();
        let part = vec![b'x'; 1 << 20];
        let outcome = (0..32).try_for_each(|_| parser.push(&part, |_| true));
        assert_eq!(outcome, Err(super::LineTooLong));
    }
}
