//! Agents keep their tools: the real Claude Code on the local model, by way of a gateway of its own.

pub(crate) mod child;
pub(crate) mod launch;
