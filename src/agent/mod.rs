//! Agents keep their tools: the real Claude Code on the local model, through a gateway of its own.

pub(crate) mod child;
pub(crate) mod launch;
