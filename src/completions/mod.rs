//! The wire of the local server: chat completions as OpenAI has them.

pub(crate) mod chat;
pub(crate) mod chunk;
pub(crate) mod dialect;
pub(crate) mod endpoint;
pub(crate) mod failure;
pub(crate) mod sse;
pub(crate) mod thinking;
pub(crate) mod tool;
pub(crate) mod untaken;
