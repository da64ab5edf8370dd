//! What was said and answered in the turns that are over.

use crate::claude_code::protocol::input::Role;

/// How many messages of a conversation are kept in memory.
const MOST_MESSAGES: usize = 100;

pub(super) struct Transcript {
    /// The session that Claude has named.
    pub session_id: Option<String>,
    /// A turn has ended with a result.
    pub has_result: bool,
    /// How many of the user's lines are answered.
    answered_lines: usize,
    /// How many of the user's lines the turn that runs is about.
    turn_lines: usize,
    /// The newest messages: Claude Code writes its own transcript later.
    messages: Vec<(Role, String)>,
}

impl Transcript {
    pub(super) fn new(answered_lines: usize) -> Transcript {
        Transcript { session_id: None, has_result: false, answered_lines, turn_lines: 1, messages: vec![] }
    }

    pub(super) fn has_answered_lines(&self) -> bool {
        self.answered_lines > 0
    }

    /// Whether lines have come that the turn is not about.
    pub(super) fn has_lines_after_turn(&self, lines_received: usize) -> bool {
        lines_received > self.answered_lines + self.turn_lines
    }

    /// How many of the user's lines the turn is about, if Claude has seen so many of them.
    pub(super) fn turn_lines(&self, lines_seen: usize) -> usize {
        self.turn_lines.max(lines_seen.saturating_sub(self.answered_lines))
    }

    /// Counts the turn's lines as answered. `joins`: this version of Claude Code makes one turn of all the lines that wait.
    /// Returns how many lines are answered now.
    pub(super) fn count_turn(&mut self, lines_seen: usize, lines_received: usize, joins: bool) -> usize {
        self.answered_lines = (self.answered_lines + self.turn_lines(lines_seen)).min(lines_received);
        let waiting = lines_received - self.answered_lines;
        self.turn_lines = if joins { waiting.max(1) } else { 1 };
        self.answered_lines
    }

    pub(super) fn add(&mut self, messages: impl IntoIterator<Item = (Role, String)>) {
        self.messages.extend(messages);
        let excess = self.messages.len().saturating_sub(MOST_MESSAGES);
        self.messages.drain(..excess);
    }

    pub(super) fn messages(&self) -> &[(Role, String)] {
        &self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_turn_by_turn() {
        // For each turn: the lines that Claude has seen, those received at its end, the lines of the turn, and those answered.
        let table: [(bool, &[[usize; 4]]); 5] = [
            (true, &[[0, 1, 1, 1], [0, 2, 1, 2]]),
            // What waits is one turn where it is joined, and one a line where it is not.
            (true, &[[0, 4, 1, 1], [0, 4, 3, 4]]),
            (false, &[[0, 4, 1, 1], [0, 4, 1, 2], [0, 4, 1, 3]]),
            // What is said while a tool runs belongs to the turn.
            (true, &[[3, 4, 3, 3], [0, 4, 1, 4]]),
            // A turn that no line asked for answers none.
            (false, &[[0, 1, 1, 1], [0, 1, 1, 1], [0, 2, 1, 2]]),
        ];
        for (row, (joins, turns)) in table.into_iter().enumerate() {
            let mut transcript = Transcript::new(0);
            for [lines_seen, lines_received, turn_lines, answered] in turns {
                assert_eq!(transcript.turn_lines(*lines_seen), *turn_lines, "row {row}");
                assert_eq!(transcript.count_turn(*lines_seen, *lines_received, joins), *answered, "row {row}");
            }
        }
    }

    #[test]
    fn lines_after_the_turn_are_known() {
        let mut transcript = Transcript::new(2);
        assert!(transcript.has_answered_lines() && !Transcript::new(0).has_answered_lines());
        assert!(!transcript.has_lines_after_turn(3) && transcript.has_lines_after_turn(4));
        transcript.count_turn(0, 5, true);
        assert!(!transcript.has_lines_after_turn(5) && transcript.has_lines_after_turn(6));
    }

    #[test]
    fn the_newest_messages_are_kept() {
        let mut transcript = Transcript::new(0);
        transcript.add((0..150).map(|number| (Role::User, number.to_string())));
        assert_eq!((transcript.messages().len(), transcript.messages()[0].1.as_str()), (100, "50"));
    }
}
