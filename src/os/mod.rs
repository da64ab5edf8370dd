//! The operating system: processes, signals, files, and the end of this process.

pub(crate) mod atomic_file;
pub(crate) mod blocking;
pub(crate) mod cleanup;
pub(crate) mod death_signal;
pub(crate) mod exit;
pub(crate) mod file_id;
pub(crate) mod guardian;
pub(crate) mod memory;
pub(crate) mod process;
mod signal_origin;
pub(crate) mod signals;
pub(crate) mod terminal;
