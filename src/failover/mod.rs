//! `auto`: Claude until it refuses, the local model while it does, and back by itself.

pub(crate) mod call;
pub(crate) mod policy;
pub(crate) mod resume;
