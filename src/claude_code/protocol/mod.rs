//! The lines that Claude Code reads and prints.

pub(crate) mod api_error;
pub(crate) mod control;
pub(crate) mod input;
pub(crate) mod line;
pub(crate) mod mark;
pub(crate) mod messages;
pub(crate) mod output;
pub(crate) mod trim;
