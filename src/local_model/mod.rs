//! One question to the local model, and what is known of that.

pub(crate) mod ask;
mod asker;
pub(crate) mod chain;
pub(crate) mod context;
pub(crate) mod hub_cache;
pub(crate) mod listing;
pub(crate) mod look;
pub(crate) mod model;
pub(crate) mod prefix;
pub(crate) mod prime;
pub(crate) mod recovery;
pub(crate) mod refused;
pub(crate) mod request;
pub(crate) mod served;
pub(crate) mod server_memory;
pub(crate) mod truncation;
pub(crate) mod unload;
pub(crate) mod window;
