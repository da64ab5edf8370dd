//! Where a call goes: the facts, and the decision.

pub(crate) mod agent_policy;
pub(crate) mod facts;
pub(crate) mod interactive_policy;
pub(crate) mod reason;
pub(crate) mod refusal_policy;
pub(crate) mod route;
