//! Where a call goes: the facts, and the decision.

pub(crate) mod agent_policy;
pub(crate) mod facts;
pub(crate) mod interactive_policy;
mod own_server;
pub(crate) mod reason;
pub(crate) mod route;
pub(crate) mod traced;
