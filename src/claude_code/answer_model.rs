//! The model's name in what Claude Code is answered.

/// What 2.1.110 to 2.1.330 call Claude's models by, wherever it stands in a name.
const CLAUDE: &str = "claude-";

/// The name of the local `model` as Claude Code keeps it in its transcript.
///
/// Claude Code takes a string for granted: with null, 2.1.197 resumes no such session, and 2.1.330 fails in `WebSearch`
/// (`e.includes`). 2.1.330 asks, when a session is resumed, for the model of the last answer; if it does not know that, for the one
/// that the session was told to use, which is the local model's name again, and Anthropic has no such model. Both versions ask
/// for what the user has set, or the default, if the name holds that of a Claude that has retired. They leave out a
/// `<synthetic>` too, but also out of their count of the context. A retired Claude that 2.1.197 does not know as such
/// (`claude-3-5-sonnet`), one that 2.1.330 no longer knows (`claude-3-opus`), and aliases (`opus`) do not serve. Up to 2.1.110 the
/// name has no effect.
pub(crate) fn answer_model(model: &str) -> String {
    let model = if model.to_ascii_lowercase().contains(CLAUDE) {
        // Fine-tuned models are named after the Claude that they learned from, and the first name counts.
        model.to_ascii_lowercase().replace(CLAUDE, "claude_")
    } else {
        model.into()
    };
    format!("{model} (local, not claude-3-5-haiku)")
}
