//! The wire of the local server: chat completions as OpenAI has them.

pub(crate) mod affinity;
pub(crate) mod chat;
pub(crate) mod chunk;
pub(crate) mod circles;
pub(crate) mod content;
pub(crate) mod dialect;
pub(crate) mod ended;
pub(crate) mod endpoint;
mod error_line;
pub(crate) mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod markup;
pub(crate) mod reader;
pub(crate) mod server_address;
pub(crate) mod sse;
mod streamed_calls;
pub(crate) mod thinking;
pub(crate) mod tool;
pub(crate) mod untaken;
