//! Other ids for the messages that the real Claude gets for a second time.
//!
//! In the session that it resumes, 2.1.330 finds the id of the message that was refused before: it says that this is done, and answers
//! nothing. Programs that give their messages ids, such as claude-agent-acp 0.101, would wait for ever.

use memchr::memmem;
use uuid::Uuid;

use crate::claude_code::protocol::input::{self, Input};
use crate::claude_code::protocol::messages::uuid;

/// The caller's id of each message, and Claude's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renamed(Vec<(String, String)>);

impl Renamed {
    pub(super) fn of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Renamed {
        let id = |line| match input::parse_line(line) {
            // Another kind of id could stand anywhere in a line.
            Ok(Input::User(message)) => message.uuid.filter(|id| id.len() == 36 && Uuid::try_parse(id).is_ok()),
            _ => None,
        };
        Renamed(lines.filter_map(id).map(|id| (id, uuid())).collect())
    }

    /// What the caller has sent, as Claude is to have it.
    pub(super) fn for_claude(&self, lines: Vec<u8>) -> Vec<u8> {
        self.0.iter().fold(lines, |lines, (callers, claudes)| replaced(lines, callers, claudes))
    }

    /// A line of Claude's, as the caller is to have it.
    pub(crate) fn for_caller(&self, line: Vec<u8>) -> Vec<u8> {
        self.0.iter().fold(line, |line, (callers, claudes)| replaced(line, claudes, callers))
    }
}

fn replaced(mut text: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let places: Vec<usize> = memmem::find_iter(&text, from).collect();
    // Both have the length of a UUID.
    for at in places {
        text[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_own_ids() {
        let message = |id: &str| {
            format!("{{\"type\":\"user\",\"uuid\":\"{id}\",\"message\":{{\"role\":\"user\",\"content\":\"{id} u\"}}}}\n")
        };
        let (one, two) = ("2dc73930-e5ad-4eee-ba77-a0fccf5ace4a", "00000000-0000-4000-8000-000000000001");
        let lines = [message(one), message("u"), "no json\n".into(), message(two)];
        let renamed = Renamed::of(lines.iter().map(String::as_bytes));
        let for_claude = renamed.for_claude(lines.concat().into_bytes());
        let text = String::from_utf8(for_claude.clone()).unwrap();
        assert!(!text.contains(one) && !text.contains(two) && text.contains("\"uuid\":\"u\""), "{text}");
        assert_eq!(text.len(), lines.concat().len());
        assert_eq!(renamed.for_caller(for_claude), lines.concat().into_bytes());
        assert_eq!(Renamed::default().for_claude(b"x".to_vec()), b"x");
    }
}
