//! `auto`: Claude until it refuses, the local model while it does, and back by itself.

pub mod call;
pub mod policy;
pub mod resume;
