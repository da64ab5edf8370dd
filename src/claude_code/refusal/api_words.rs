//! What Anthropic's servers said, out of Claude Code's own text about it.

use serde_json::{Deserializer, Value};

/// The API's words behind `API Error: `, with what Claude Code says between them taken out: a status, and an error's JSON. As printed by
/// 1.0.128 to 2.1.330.
pub(super) fn words_of_api(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("Failed to authenticate. ");
    let said = text.strip_prefix("API Error: ")?;
    let said = said.strip_prefix("Request rejected (429) · ").unwrap_or(said);
    let said = said.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches([' ', ':', '·', '-']);
    if !said.starts_with('{') {
        return Some(said.to_string());
    }
    let error: Value = Deserializer::from_str(said).into_iter().next()?.ok()?;
    let message = error.pointer("/error/message").or(error.get("message"))?;
    message.as_str().map(|message| message.trim().to_string())
}

/// Whether Claude Code's text, in lower case, says that an answer with HTTP 200 was not one: from 2.1.197 on, in 2.1.110, and in 1.0.128.
pub(super) fn has_lost_answer(lower: &str) -> bool {
    ["api error: api returned an empty or malformed response", "api error: cannot read properties of undefined (reading 'map')"]
        .iter()
        .any(|prefix| lower.starts_with(prefix))
        || lower == "cannot read properties of undefined (reading 'input_tokens')"
}

/// Whether the API itself has ended the stream with an error: 2.1.330 says so of its first try. It has other words for a stream that was
/// cut (`stream_truncated`, `no_events`).
pub(super) fn has_stream_error(lower: &str) -> bool {
    has_lost_answer(lower) && lower.contains("which failed with: other;")
}
