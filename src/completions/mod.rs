//! The wire of the local server: chat completions as OpenAI has them.

pub mod chat;
pub mod chunk;
pub mod endpoint;
pub mod failure;
pub mod sse;
pub mod thinking;
