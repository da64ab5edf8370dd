//! A line of the real Claude's typed stream, as far as it matters here.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::claude_code::call_check::is_uuid;
use crate::claude_code::refusal::{Ending, Limit, Retry};
use crate::text::replace_lone_surrogates;

type Raw<'a> = Option<&'a RawValue>;

/// A line. What is of another type than expected is as good as absent: versions differ.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Raw<'a>,
    #[serde(borrow)]
    subtype: Raw<'a>,
    #[serde(borrow)]
    session_id: Raw<'a>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    claude_code_version: Raw<'a>,
    #[serde(rename = "isReplay", borrow)]
    is_replay: Raw<'a>,
    #[serde(borrow)]
    state: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    event: Raw<'a>,
    #[serde(borrow)]
    rate_limit_info: Raw<'a>,
    #[serde(borrow)]
    response: Raw<'a>,
    #[serde(borrow)]
    attempt: Raw<'a>,
    #[serde(borrow)]
    error_status: Raw<'a>,
    #[serde(borrow)]
    is_error: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    api_error_status: Raw<'a>,
    #[serde(borrow)]
    api_error: Raw<'a>,
    #[serde(borrow)]
    usage: Raw<'a>,
    #[serde(borrow)]
    errors: Raw<'a>,
    #[serde(borrow)]
    parent_tool_use_id: Raw<'a>,
}

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
}

#[derive(Deserialize)]
struct WithBlocks<'a> {
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
    content_block: Option<Box<Typed>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RateLimitInfo {
    status: String,
    #[serde(default)]
    is_using_overage: bool,
    resets_at: Option<f64>,
    rate_limit_type: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    request_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct TokenCounts {
    #[serde(default)]
    pub input_tokens: u64,
    #[serde(default)]
    pub output_tokens: u64,
}

fn read<T: DeserializeOwned>(raw: Raw) -> Option<T> {
    let json = raw?.get();
    serde_json::from_str(json).or_else(|_| serde_json::from_str(&replace_lone_surrogates(json))).ok()
}

impl<'a> Line<'a> {
    /// Reads a line. What is no JSON object has no type.
    pub(crate) fn parse(line: &'a [u8]) -> Line<'a> {
        serde_json::from_slice(line).unwrap_or_default()
    }

    /// The `type` and the `subtype`.
    pub(crate) fn kind(&self) -> (String, String) {
        (read(self.kind).unwrap_or_default(), read(self.subtype).unwrap_or_default())
    }

    /// Whether it says that the caller has ended the turn.
    pub(crate) fn is_interrupt(&self) -> bool {
        let message = self.message.map(RawValue::get).unwrap_or_default();
        self.is("user") && !self.is_replay() && message.contains("\"[Request interrupted by user")
    }

    /// The text of the assistant's message, if it is no subagent's.
    pub(crate) fn text(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Block {
            text: Option<String>,
        }
        let is_top = self.is("assistant") && self.parent_tool_use_id.is_none_or(|id| id.get() == "null");
        let message: WithBlocks = serde_json::from_str(self.message.filter(|_| is_top)?.get()).ok()?;
        let texts: Vec<String> = message.content.iter().filter_map(|block| read::<Block>(Some(block))?.text).collect();
        (!texts.is_empty()).then(|| texts.concat())
    }

    /// Whether this is its `type`.
    pub(crate) fn is(&self, kind: &str) -> bool {
        is_word(self.kind, kind)
    }

    pub(crate) fn is_system(&self, subtype: &str) -> bool {
        self.is("system") && is_word(self.subtype, subtype)
    }

    pub(crate) fn has_status(&self, status: &str) -> bool {
        self.is_system("status") && is_word(self.status, status)
    }

    /// Whether it is a `status` message of work other than asking the model.
    pub(crate) fn is_busy(&self) -> bool {
        read::<String>(self.status).is_some_and(|status| status != "requesting")
    }

    /// Whether it repeats a line of the caller.
    pub(crate) fn is_replay(&self) -> bool {
        read(self.is_replay).unwrap_or(false)
    }

    pub(crate) fn has_state(&self, state: &str) -> bool {
        self.is_system("session_state_changed") && is_word(self.state, state)
    }

    /// A UUID, as Claude Code's are: it becomes a part of file names and of commands that people are told.
    pub(crate) fn session_id(&self) -> Option<String> {
        read(self.session_id).filter(|id: &String| is_uuid(id))
    }

    pub(crate) fn model(&self) -> Option<String> {
        read(self.model)
    }

    /// The version of Claude Code.
    pub(crate) fn version(&self) -> Option<String> {
        read(self.claude_code_version)
    }

    /// Whether Claude Code itself made up the assistant's message.
    pub(crate) fn is_synthetic(&self) -> bool {
        read::<Message>(self.message).is_some_and(|message| message.model.as_deref() == Some("<synthetic>"))
    }

    /// The `error` of a message that stands for an answer.
    pub(crate) fn error(&self) -> Option<String> {
        read(self.error)
    }

    /// The `type` of the API's event that it carries.
    pub(crate) fn event(&self) -> Option<String> {
        read::<Typed>(self.event).map(|event| event.kind)
    }

    /// Whether a tool is used, or was.
    pub(crate) fn has_tool(&self) -> bool {
        let is_tool = |kind: &str| kind.ends_with("tool_use") || kind.ends_with("tool_result");
        let begins = read::<Typed>(self.event).and_then(|event| event.content_block).is_some_and(|block| is_tool(&block.kind));
        let blocks = self.message.and_then(|message| serde_json::from_str::<WithBlocks>(message.get()).ok());
        let kind = |block: &&RawValue| read::<Typed>(Some(block)).is_some_and(|block| is_tool(&block.kind));
        begins || blocks.is_some_and(|message| message.content.iter().any(kind))
    }

    /// The limit that it says is reached. `allowed` with a rejected overage is a healthy run (claude-code#38673), and so is
    /// `rejected` with an overage that is used.
    pub(crate) fn rejected_limit(&self) -> Option<Limit> {
        let info = self.rate_limit().filter(|info| info.status == "rejected" && !info.is_using_overage)?;
        let resets_at = info.resets_at.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
        Some(Limit { kind: info.rate_limit_type, resets_at })
    }

    pub(crate) fn warns_of_limit(&self) -> bool {
        self.rate_limit().is_some_and(|info| info.status == "allowed_warning")
    }

    fn rate_limit(&self) -> Option<RateLimitInfo> {
        read(self.rate_limit_info)
    }

    /// The retry that it announces, and its number.
    pub(crate) fn retry(&self) -> Option<(u32, Retry)> {
        let retry = || Retry { status: read(self.error_status), error: self.error().unwrap_or_default() };
        self.is_system("api_retry").then(|| (read(self.attempt).unwrap_or(1), retry()))
    }

    /// What a line says that ends a turn.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.is("result").then(|| Ending {
            subtype: read(self.subtype).unwrap_or_default(),
            is_error: read(self.is_error).unwrap_or(false),
            text: read(self.result).unwrap_or_default(),
            status: read(self.api_error_status),
            api_error: read(self.api_error),
            problem: read::<Vec<String>>(self.errors).and_then(|errors| errors.into_iter().next()),
        })
    }

    pub(crate) fn tokens(&self) -> Option<TokenCounts> {
        read(self.usage)
    }

    /// The id of the request that it answers.
    pub(crate) fn answered_request(&self) -> Option<String> {
        read::<Response>(self.response)?.request_id
    }
}

fn is_word(raw: Raw, word: &str) -> bool {
    raw.is_some_and(|raw| raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_types_than_expected_are_as_good_as_absent() {
        let line = Line::parse(br#"{"type":"system","subtype":"permission_denied","message":"no","error":{"a":1},"usage":7}"#);
        assert!(line.is_system("permission_denied") && !line.is_synthetic() && !line.has_tool());
        assert_eq!(line.error(), None);
        assert!(Line::parse(b"not json").ending().is_none());
        assert!(Line::parse(b"[1,2]").ending().is_none());
    }

    #[test]
    fn half_a_character_is_no_fault() {
        let line = Line::parse(br#"{"type":"result","subtype":"success","result":"cut \ud83d"}"#);
        assert_eq!(line.ending().expect("an end").text, "cut \u{fffd}");
    }

    #[test]
    fn tools_are_seen_in_messages_and_in_events() {
        let table: [(&[u8], bool); 6] = [
            (
                br#"{"type":"assistant","message":{"content":[{"type":"text"},{"type":"tool_use","name":"Bash","input":{}}]}}"#,
                true,
            ),
            (br#"{"type":"user","message":{"content":[{"type":"tool_result"}]}}"#, true),
            (br#"{"type":"assistant","message":{"content":[{"type":"server_tool_use"}]}}"#, true),
            (br#"{"type":"stream_event","event":{"type":"content_block_start","content_block":{"type":"tool_use"}}}"#, true),
            (br#"{"type":"assistant","message":{"content":[{"type":"text","text":"tool_use"}]}}"#, false),
            (br#"{"type":"user","message":{"content":"tool_result"}}"#, false),
        ];
        for (line, expected) in table {
            assert_eq!(Line::parse(line).has_tool(), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_rejected_overage_is_no_limit() {
        let of = |status: &str| {
            format!(
                r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"{status}","resetsAt":1795341338,"rateLimitType":"five_hour","overageStatus":"rejected"}}}}"#
            )
        };
        assert!(Line::parse(of("allowed").as_bytes()).rejected_limit().is_none());
        let limit = Line::parse(of("rejected").as_bytes()).rejected_limit().expect("a limit");
        assert_eq!((limit.kind.as_deref(), limit.resets_at.map(Timestamp::as_second)), (Some("five_hour"), Some(1795341338)));
    }
}
