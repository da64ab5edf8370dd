//! A line of the stream as it stands in another format. As read in Claude Code 1.0.77 to 2.1.330.

use std::borrow::Cow;

use crate::claude_code::protocol::line::Line;
use crate::claude_code::protocol::output::Format;
use crate::claude_code::protocol::trim;

/// A line without what is said only because of other options than the caller's. As in 2.1.330; earlier versions do not.
pub(super) fn without_additions(line: &[u8], format: Format) -> Cow<'_, [u8]> {
    const WITH_PARTIALS: &str = "begun_message_ids";
    const IN_STREAMS: &str = "model_usage_since_last_result";
    const STREAMS_CAN: &str = "lifecycle_wakeup_source_v1";
    let trimmed = match format {
        Format::StreamJson { partials: true } => None,
        Format::StreamJson { partials: false } => trim::without(line, &[WITH_PARTIALS], &[]),
        _ => trim::without(line, &[WITH_PARTIALS, IN_STREAMS], &[STREAMS_CAN]),
    };
    trimmed.map_or(Cow::Borrowed(line), Cow::Owned)
}

/// U+2028 and U+2029 as they are, where the stream has them escaped: up to 2.1.197 only the stream has.
pub(super) fn unescape_separators(line: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        raw.extend_from_slice(&rest[..at]);
        let (character, length): (&[u8], usize) = match &rest[at..] {
            [b'\\', b'u', b'2', b'0', b'2', b'8', ..] => ("\u{2028}".as_bytes(), 6),
            [b'\\', b'u', b'2', b'0', b'2', b'9', ..] => ("\u{2029}".as_bytes(), 6),
            escape => (&escape[..2.min(escape.len())], 2.min(escape.len())),
        };
        raw.extend_from_slice(character);
        rest = &rest[at + length..];
    }
    raw.extend_from_slice(rest);
    raw
}

/// Whether Claude Code leaves the line out of its JSON array.
pub(super) fn is_left_out_of_arrays(line: &[u8], hides_hooks: bool) -> bool {
    let (kind, subtype) = Line::parse(line).kind();
    let is_hook = subtype.starts_with("hook_") && hides_hooks;
    NOT_IN_ARRAYS.contains(&kind.as_str())
        || kind == "system" && (is_hook || subtype.starts_with("ui_") || NOT_IN_ARRAYS.contains(&subtype.as_str()))
}

/// The types, and the subtypes of `system`, that the JSON array leaves out.
const NOT_IN_ARRAYS: &[&str] = &[
    "control_response",
    "control_request",
    "control_cancel_request",
    "stream_event",
    "keep_alive",
    "prompt_suggestion",
    "transcript_mirror",
    "conversation_reset",
    "command_lifecycle",
    "active_goal",
    "autocompact_state",
    "session_state_changed",
    "task_notification",
    "task_started",
    "task_updated",
    "task_progress",
    "task_summary",
    "notification",
    "post_turn_summary",
    "commands_changed",
    "elicitation_complete",
    "files_persisted",
    "mirror_error",
    "permission_denied",
    "background_tasks_changed",
    "feedback_draft_queued",
    "control_request_progress",
    "session_metadata",
    "code_change_published",
    "tool_host_result",
    "peer_message_hold",
    "permission_check_status",
    "vcs_state_changed",
    "shell_cwd",
    "dev_intent",
    "task_list_statuses",
    "session_title_changed",
    "turn_preempted",
    "per_turn_effort_changed",
    "instruction_size_warning",
    "file_attachments_missing",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_written_out_and_backslashes_are_not_mistaken() {
        let table = [
            (r#"{"a":"x\\u2028y"}"#, r#"{"a":"x\\u2028y"}"#),
            (r#"{"a":"x\u2028y\u2029"}"#, "{\"a\":\"x\u{2028}y\u{2029}\"}"),
            (r#"{"a":"\n\ud83d"}"#, r#"{"a":"\n\ud83d"}"#),
            ("\\", "\\"),
        ];
        for (line, expected) in table {
            assert_eq!(String::from_utf8(unescape_separators(line.as_bytes())).expect("text"), expected, "{line}");
        }
    }
}
