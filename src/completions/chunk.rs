//! A chunk of a chat completion, as the servers write it.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::completions::endpoint::error_line;
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
}

/// One of the answers: there is only one.
#[derive(Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    message: Option<Delta<'a>>,
    /// Why it ended, if it has: `stop`, `length`, `tool_calls` or `content_filter`.
    pub finish_reason: Option<String>,
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
}

/// A piece of a tool's call.
#[derive(Debug, Deserialize)]
pub(crate) struct CallPiece {
    /// Which of the answer's calls it belongs to.
    pub index: Option<u64>,
    /// The call's id, in its first piece.
    pub id: Option<String>,
    pub function: Option<FunctionPiece>,
}

/// The name and the arguments of a tool's call, as far as they have come.
#[derive(Debug, Deserialize)]
pub(crate) struct FunctionPiece {
    /// The tool's name, in the first piece.
    pub name: Option<String>,
    /// The arguments: text, or the object itself where a server has not made text of it.
    pub arguments: Option<Value>,
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

    /// The server's error message, if it sends that instead of an answer.
    pub(crate) fn error(&self) -> Option<String> {
        let error = self.error.as_ref().filter(|error| !error.is_null())?;
        let line = error_line(0, &serde_json::json!({ "error": error }).to_string());
        Some(line.trim_start_matches("HTTP 0: ").to_string())
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

    pub(crate) fn text(&self) -> Option<String> {
        self.delta()?.content.map(text_of)
    }

    /// Its thinking: mlx-lm calls that `reasoning`, llama.cpp and vLLM `reasoning_content`.
    pub(crate) fn thinking(&self) -> Option<String> {
        let delta = self.delta()?;
        delta.reasoning_content.or(delta.reasoning).map(text_of)
    }

    pub(crate) fn calls(&self) -> Vec<CallPiece> {
        self.delta().and_then(|delta| read_as(delta.tool_calls?)).unwrap_or_default()
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
