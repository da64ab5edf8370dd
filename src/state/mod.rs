//! What outlives a call: the flag, the breaker, the ledger, sessions.

pub(crate) mod breaker;
pub(crate) mod flag;
pub(crate) mod ledger;
pub(crate) mod notify;
pub(crate) mod sessions;
