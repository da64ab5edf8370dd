//! What the hub names a file by: the SHA-256 of a large one's bytes, git's SHA-1 of a small one's. Both are checksums.

use std::fmt::Write;
use std::io::{self, Read};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::setup::download::listing::RemoteFile;

/// How much is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// The bytes so far. None where the name is no checksum, as at some mirrors.
pub(super) struct Digest(Option<Context>);

impl Digest {
    pub(super) fn new(file: &RemoteFile) -> Digest {
        let is_hex = file.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        Digest(match file.etag.len() {
            64 if is_hex => Some(Context::new(&SHA256)),
            40 if is_hex => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {}\0", file.size).as_bytes());
                Some(context)
            }
            _ => None,
        })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(context) = &mut self.0 {
            context.update(bytes);
        }
    }

    /// Reads to the end.
    pub(super) fn read(&mut self, mut source: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether these are the bytes of the file. True where nothing can tell.
    pub(super) fn matches(self, file: &RemoteFile) -> bool {
        let Some(context) = self.0 else { return true };
        let hex = context.finish().as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        hex.eq_ignore_ascii_case(&file.etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_are_checksums() {
        let table = [
            // git hash-object, sha256sum.
            ("ce013625030ba8dba906f756967f9e9ca394464a", true),
            ("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", true),
            ("CE013625030BA8DBA906F756967F9E9CA394464A", true),
            ("ce013625030ba8dba906f756967f9e9ca394464b", false),
            ("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be04", false),
            ("no-checksum-of-a-mirror", true),
        ];
        for (etag, is_right) in table {
            let file = RemoteFile { path: "a".into(), size: 6, etag: etag.into() };
            let mut digest = Digest::new(&file);
            digest.update(b"hel");
            digest.read(&b"lo\n"[..]).unwrap();
            assert_eq!(digest.matches(&file), is_right, "{etag}");
        }
    }
}
