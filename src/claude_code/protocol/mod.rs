//! The lines that Claude Code reads and prints.

pub mod input;
pub mod line;
pub mod messages;
pub mod output;
pub mod trim;
