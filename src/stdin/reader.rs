//! Who reads stdin.

use std::sync::mpsc::Sender;

/// Who is given what comes.
pub(super) enum Reader {
    /// No backend has been given any of it; all that came is here.
    Nobody(Vec<u8>),
    Claude,
    LocalModel {
        /// None after the end.
        sender: Option<Sender<Vec<u8>>>,
        /// What came since Claude had it; none if Claude is never to have it again.
        missed: Option<Vec<u8>>,
    },
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::Nobody(vec![])
    }
}
