//! One question to the local model, and what is known of that.

pub mod ask;
pub mod context;
pub mod model;
pub mod settings;
pub mod unload;
