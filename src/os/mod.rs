//! What the operating system has: processes, signals, files, and the end of this process.

pub mod atomic_file;
pub mod blocking;
pub mod cleanup;
pub mod exit;
pub mod guardian;
pub mod process;
pub mod signals;
