//! A chunk of a chat completion, as the servers write it.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::text::replace_lone_surrogates;

/// Tokens as the server counted them; zero where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Of the prompt, without those that the server had in its cache.
    pub input: u64,
    /// Of the prompt, from the server's cache.
    pub cached: u64,
    /// Of the answer, thinking included.
    pub output: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        // A server may send any number.
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
    }
}

/// The fields of a chunk that matter. Any of them may be missing or null, and `choices` may be empty; what some server means
/// otherwise is no reason to drop its answer.
#[derive(Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    timings: Option<&'a RawValue>,
    error: Option<Value>,
    message: Option<Value>,
    detail: Option<Value>,
    code: Option<Value>,
}

/// One of the answers: there is only one.
#[derive(Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    message: Option<Delta<'a>>,
    finish_reason: Option<Value>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
}

/// A piece of a tool's call. What has not come is empty.
#[derive(Debug, Default)]
pub(crate) struct CallPiece {
    /// Which of the answer's calls it belongs to.
    pub index: Option<u64>,
    pub id: String,
    pub name: String,
    /// A part of the arguments' text, or all of it where a server gives the object itself.
    pub arguments: String,
}

impl From<&Value> for CallPiece {
    fn from(piece: &Value) -> CallPiece {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            value => value.to_string(),
        };
        let function = piece.get("function").filter(|function| function.is_object()).unwrap_or(piece);
        let index = piece["index"].as_u64().or_else(|| piece["index"].as_str()?.parse().ok());
        let [id, name, arguments] = [&piece["id"], &function["name"], &function["arguments"]].map(text);
        CallPiece { index, id, name, arguments }
    }
}

impl Chunk<'_> {
    /// Reads a chunk and passes it to `take`.
    ///
    /// # Errors
    /// If it is no JSON of that kind.
    pub(crate) fn read(bytes: &[u8], take: impl FnOnce(Chunk)) -> serde_json::Result<()> {
        match serde_json::from_slice(bytes) {
            Ok(chunk) => take(chunk),
            // An invalid byte spoils one character, not the answer.
            Err(_) => take(serde_json::from_str(&String::from_utf8_lossy(bytes))?),
        }
        Ok(())
    }

    /// The server's error, if it sends that instead of an answer: in `error`, or around it (vLLM until 0.10, SGLang, FastAPI).
    pub(crate) fn error(&self) -> Option<Value> {
        let is_some = |error: &&Value| **error != Value::Null && **error != Value::Bool(false) && **error != json!("");
        if let Some(error) = self.error.as_ref().filter(is_some) {
            return Some(error.clone());
        }
        let message = self.message.as_ref().filter(|message| message.is_string()).or(self.detail.as_ref().filter(is_some))?;
        let message = message.as_str().map_or_else(|| message.to_string(), str::to_string);
        self.choices.is_none().then(|| json!({"message": message, "code": self.code}))
    }

    pub(crate) fn has_choices(&self) -> bool {
        self.choices.is_some()
    }

    /// The tokens so far. llama.cpp gives its timings without being asked for them, and both in the end.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let counted = self.usage.and_then(read_as::<UsageField>).map(Usage::from);
        counted.or_else(|| self.timings.and_then(read_as::<Timings>).map(Usage::from))
    }
}

impl<'a> Chunk<'a> {
    pub(crate) fn choice(self) -> Option<Choice<'a>> {
        self.choices?.into_iter().next()
    }
}

impl Choice<'_> {
    fn delta(&self) -> Option<&Delta<'_>> {
        self.delta.as_ref().or(self.message.as_ref())
    }

    /// Why it ended, if it has: `stop`, `length`, `tool_calls` or `content_filter`.
    pub(crate) fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_ref()?.as_str().filter(|reason| !reason.is_empty())
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.delta()?.content.map(text_of)
    }

    /// Its thinking: mlx-lm calls that `reasoning`, llama.cpp and vLLM `reasoning_content`.
    pub(crate) fn thinking(&self) -> Option<String> {
        let delta = self.delta()?;
        delta.reasoning_content.or(delta.reasoning).map(text_of)
    }

    pub(crate) fn calls(&self) -> Vec<CallPiece> {
        let Some(delta) = self.delta() else { return vec![] };
        let mut pieces: Vec<CallPiece> = match delta.tool_calls.and_then(read_as::<Value>) {
            Some(Value::Array(list)) => list.iter().map(CallPiece::from).collect(),
            Some(call @ Value::Object(_)) => vec![CallPiece::from(&call)],
            _ => vec![],
        };
        // The older form, of which there is one in an answer.
        let single = delta.function_call.and_then(read_as::<Value>);
        pieces.extend(single.as_ref().filter(|call| call.is_object()).map(CallPiece::from));
        pieces
    }
}

#[derive(Deserialize)]
struct UsageField {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Timings {
    prompt_n: Option<u64>,
    cache_n: Option<u64>,
    predicted_n: Option<u64>,
}

impl From<UsageField> for Usage {
    fn from(field: UsageField) -> Usage {
        let cached = field.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or_default();
        let prompt = field.prompt_tokens.unwrap_or_default();
        Usage { input: prompt.saturating_sub(cached), cached, output: field.completion_tokens.unwrap_or_default() }
    }
}

impl From<Timings> for Usage {
    fn from(timings: Timings) -> Usage {
        Usage {
            input: timings.prompt_n.unwrap_or_default(),
            cached: timings.cache_n.unwrap_or_default(),
            output: timings.predicted_n.unwrap_or_default(),
        }
    }
}

fn read_as<T: serde::de::DeserializeOwned>(field: &RawValue) -> Option<T> {
    serde_json::from_str::<Option<T>>(field.get()).ok().flatten()
}

/// A string, or a list of parts with text. Half of a surrogate pair, which no text can hold, becomes U+FFFD.
fn text_of(content: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Part {
        text: Option<String>,
    }
    let json = content.get();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json)
            .unwrap_or_else(|_| serde_json::from_str(&replace_lone_surrogates(json)).unwrap_or_default()),
        Some(b'[') => {
            let parts: Vec<Part> = serde_json::from_str(json).unwrap_or_default();
            parts.into_iter().filter_map(|part| part.text).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_of_every_shape() {
        let table = [
            (r#""a\n\ud83d\ude00""#, "a\n😀"),
            (r#""a\ud800b""#, "a\u{fffd}b"),
            (r#"[{"text":"a"},{"type":"x"},{"text":"b"}]"#, "ab"),
            ("null", ""),
            ("7", ""),
            ("{}", ""),
        ];
        for (json, expected) in table {
            let content: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(text_of(content), expected, "{json}");
        }
    }
}
