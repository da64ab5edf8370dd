//! What is known of an answer once it has ended.

use crate::completions::chunk::Usage;
use crate::completions::circles::Circling;
use crate::completions::tool::ToolCall;

/// A whole answer, whose text and thinking have been given before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub calls: Vec<ToolCall>,
    /// The calls as they stood in the text, if they did.
    pub calls_text: Option<String>,
    /// As the server says it, if it does.
    pub finish: Option<String>,
    /// If the server counts.
    pub usage: Option<Usage>,
    /// Pieces that were not empty: about as many as tokens.
    pub pieces: u64,
    /// A control token of a family that this program does not know.
    pub unknown_markup: Option<String>,
    /// Whether the answer began with thinking without its opening mark. None if it does not tell.
    pub thinks_unopened: Option<bool>,
    /// Nobody has listened to the rest: it only repeats what has come.
    pub circling: Option<Circling>,
}

impl Ended {
    /// Whether it ended because `max_tokens` was reached.
    pub(crate) fn is_cut_by_limit(&self) -> bool {
        self.finish.as_deref() == Some("length")
    }
}
