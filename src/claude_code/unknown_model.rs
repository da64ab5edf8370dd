//! What Claude Code says on stderr of a model that it does not know.

/// Whether a line is one of those: a person who has set the model cannot use it, and a program that parses stderr fails on it.
/// No setting silences them without passing the model off as Claude's (2.1.330).
pub(crate) fn is_of_unknown_model(line: &[u8]) -> bool {
    let begins: [&[u8]; 2] = [b"[claude-code:unrecognized_model] ", b"Claude Code doesn't recognize the model "];
    begins.iter().any(|begin| line.starts_with(begin))
}
