//! Which session a request belongs to, for a router before several servers: it keeps a session at the server that has read it.
//!
//! A router can hash on it and learns nothing else from it. Sent as the header `x-session-affinity` and as `user` of chat completions.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::Value;

/// The header that carries it.
pub(crate) const HEADER: &str = "x-session-affinity";

/// The field of a request that carries it.
pub(crate) const FIELD: &str = "user";

/// How many letters it has. OpenAI takes 64.
const LENGTH: usize = 32;

/// The same for all requests of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Affinity(String);

impl Affinity {
    /// Of the session with this id, in any process.
    pub(crate) fn of_session(id: &str) -> Affinity {
        let hash = digest(&SHA256, format!("claude-failover session {id}").as_bytes());
        let letters: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Affinity(letters.chars().take(LENGTH).collect())
    }

    /// Of what a request of the Messages API has as `metadata.user_id`. Claude Code puts its session there, and its subagents have the same
    /// one: `user_…_account__session_UUID` until 2.0, then JSON with `session_id` (2.1.110).
    pub(crate) fn of_user_id(user_id: &str) -> Option<Affinity> {
        let json = serde_json::from_str::<Value>(user_id).unwrap_or_default();
        let in_json = json["session_id"].as_str().filter(|id| !id.is_empty());
        let session = in_json.or_else(|| user_id.rsplit_once("_session_").map(|(_, id)| id).filter(|id| !id.is_empty()));
        match session {
            Some(id) => Some(Affinity::of_session(id)),
            None if user_id.is_empty() => None,
            // Other programs may have the name of a person here, which could be guessed: it is mixed with what only this process knows.
            None => Some(Affinity::of_session(&format!("{:016x} {user_id}", *SECRET))),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

static SECRET: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    #[test]
    fn sessions_are_told_apart_and_not_shown() {
        let affinity = Affinity::of_session(ID);
        assert_eq!(affinity.as_str(), "8c2dcf5263e83686891c1f6b6edd6aee");
        assert_ne!(affinity, Affinity::of_session("11111111-2222-4333-8444-555555555556"));
    }

    #[test]
    fn the_session_of_a_user_id() {
        let (json, nameless) = (format!(r#"{{"device_id":"d","session_id":"{ID}"}}"#), r#"{"device_id":"d","session_id":""}"#);
        let session = Some(Affinity::of_session(ID));
        assert_eq!(Affinity::of_user_id(&format!("user_0_account__session_{ID}")), session);
        assert_eq!(Affinity::of_user_id(&json), session);
        assert_eq!(Affinity::of_user_id(""), None);
        for other in ["anna@example.com", "user_0_account__session_", nameless] {
            let affinity = Affinity::of_user_id(other);
            assert!(affinity.is_some() && affinity == Affinity::of_user_id(other), "{other}");
            assert_ne!(affinity, Some(Affinity::of_session(other)), "{other}");
        }
    }
}
