//! A body that is read once, and gives its memory back meanwhile.

use std::io::{Read, Result};

/// How much is given back at once, in bytes.
const PIECE: usize = 4 << 20;

/// The bytes of a body in pieces, the first of which is the last.
pub(super) struct Draining {
    pieces: Vec<Vec<u8>>,
    /// How much of the first one has been read.
    read: usize,
}

impl Draining {
    /// Takes no more memory than the body has, beside one piece.
    pub(super) fn new(mut body: Vec<u8>) -> Draining {
        let mut pieces = Vec::new();
        while body.len() > PIECE {
            pieces.push(body.split_off((body.len() - 1) / PIECE * PIECE));
            body.shrink_to_fit();
        }
        pieces.push(body);
        Draining { pieces, read: 0 }
    }
}

impl Read for Draining {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while let Some(piece) = self.pieces.last() {
            let left = &piece[self.read..];
            if !left.is_empty() {
                let length = left.len().min(buffer.len());
                buffer[..length].copy_from_slice(&left[..length]);
                self.read += length;
                return Ok(length);
            }
            (_, self.read) = (self.pieces.pop(), 0);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_read_in_order() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let body: Vec<u8> = (0..length).map(|at| (at / 7 % 251) as u8).collect();
            let mut draining = Draining::new(body.clone());
            let mut read = Vec::new();
            draining.read_to_end(&mut read).unwrap();
            assert!(read == body && draining.pieces.is_empty(), "{length}");
        }
    }
}
