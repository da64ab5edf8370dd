//! The dashboard as a server: who is let in, what is where, its orders, its events, its figures, and the service.

pub mod caller;
pub mod contrast;
mod events;
pub mod figures;
mod forged;
pub mod night;
mod orders;
mod paths;
mod service;
