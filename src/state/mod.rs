//! What outlives a call: the flag, the breaker, the ledger, sessions.

pub(crate) mod breaker;
pub(crate) mod daily;
pub(crate) mod flag;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod gateways;
pub(crate) mod ledger;
pub(crate) mod notify;
pub(crate) mod sessions;
pub(crate) mod settings_file;
