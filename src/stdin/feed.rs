//! Stdin as the local model reads it in the real Claude's place.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::mpsc::Receiver;

pub(crate) struct Feed {
    /// The requests that set something and were answered.
    pub settings: Vec<Vec<u8>>,
    /// What was said and not answered, and what comes after it.
    pub input: Box<dyn BufRead + Send>,
}

impl Feed {
    pub(super) fn new(settings: Vec<Vec<u8>>, first: Vec<u8>, next: Receiver<Vec<u8>>) -> Feed {
        Feed { settings, input: Box::new(BufReader::new(Chunks { current: Cursor::new(first), next })) }
    }
}

/// Chunks in their order, until the last sender is gone.
struct Chunks {
    current: Cursor<Vec<u8>>,
    next: Receiver<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(buffer)? {
                0 => match self.next.recv() {
                    Ok(chunk) => self.current = Cursor::new(chunk),
                    Err(_) => return Ok(0),
                },
                length => return Ok(length),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn all_chunks_come_in_their_order() {
        let (sender, next) = channel();
        for chunk in ["b", "", "c"] {
            sender.send(chunk.as_bytes().to_vec()).unwrap();
        }
        drop(sender);
        let mut text = String::new();
        Feed::new(vec![], b"a".to_vec(), next).input.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }
}
