//! What outlives a call: the flag, the breaker, the ledger, sessions.

pub mod breaker;
pub mod flag;
pub mod ledger;
pub mod notify;
pub mod sessions;
