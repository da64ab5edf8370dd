//! Where a call goes.

pub(crate) mod agent_policy;
pub(crate) mod facts;
pub(crate) mod reason;
pub(crate) mod refusal_policy;
pub(crate) mod route;
