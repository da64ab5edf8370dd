//! The wire of the local server: chat completions as OpenAI has them.

pub(crate) mod chat;
pub(crate) mod chunk;
pub(crate) mod circles;
pub(crate) mod content;
pub(crate) mod dialect;
pub(crate) mod ended;
pub(crate) mod endpoint;
pub(crate) mod failure;
pub(crate) mod markup;
pub(crate) mod reader;
mod sse;
mod streamed_calls;
mod thinking;
pub(crate) mod tool;
pub(crate) mod untaken;
