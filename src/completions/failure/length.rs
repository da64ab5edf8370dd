//! What servers say to a prompt that is too long, and to an answer that would be.

use serde_json::Value;

use super::CompletionError;

/// Words of a refusal for length. All of a row must be there.
const TOO_LONG: [&[&str]; 22] = [
    &["exceed", "context"],
    &["maximum context length"],
    &["context_length_exceeded"],
    // SGLang
    &["longer than the model", "context length"],
    &["exceeds the maximum allowed length"],
    // LM Studio, in its three wordings
    &["tokens to keep from the initial prompt", "greater than the context length"],
    &["keep the first", "tokens when context"],
    &["cannot truncate prompt"],
    // vLLM
    &["too long to fit into the model"],
    &["longer than the maximum model length"],
    // TGI
    &["inputs", "must have less than", "tokens"],
    &["inputs", "max_new_tokens", "must be"],
    // OpenAI, Groq, xAI, Moonshot, Z.ai, RKLLM, whose words others take over
    &["reduce the length of the"],
    &["input is too long"],
    &["maximum prompt length"],
    &["exceeded model token limit"],
    &["model_context_window_exceeded"],
    &["tokens but the model context window"],
    // oMLX, Ollama, Anthropic
    &["prompt too long"],
    &["prompt is too long"],
    // llama.cpp, of a batch and of the memory for it
    &["input is too large to process"],
    &["too big compared to kv size"],
];

/// Words of a refusal for the answer's limit alone.
const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_new_tokens"];

/// Where the numbers stand. Quotes are left out before.
const WINDOW: [&str; 19] = [
    "context size (#",
    "context length is only #",
    "context length is #",
    "context length of only #",
    "context length of #",
    "context length (#",
    "context length #",
    "context window of #",
    "context size of #",
    "context window is #",
    "maximum prompt length is #",
    "model token limit: #",
    "n_ctx: #",
    "n_ctx (#",
    "maximum model length of #",
    "maximum allowed length (#",
    "max_new_tokens must be <= #",
    "must have less than # tokens",
    "# maximum context length",
];
const PROMPT: [&str; 23] = [
    "request (# tokens",
    "input (# tokens",
    "input length (#",
    "# in the messages",
    "# in your prompt",
    "# input tokens",
    "resulted in # tokens",
    "keep the first # tokens",
    "n_keep: #",
    "n_keep (#",
    "given: # inputs tokens",
    "given: #",
    "# tokens from the input messages",
    "total length #",
    "prompt (length #",
    "prompt too long: # tokens",
    "prompt is too long: # tokens",
    "prompt (# tokens",
    "prompt contains # tokens",
    "requested tokens (#",
    "prompt has # tokens",
    "prompt is # tokens",
    "(requested: #",
];
const ANSWER: [&str; 6] = [
    "# in the completion",
    "# for the completion",
    "# tokens for the completion",
    "requested # output tokens",
    "too large: #",
    "# max_new_tokens",
];
const MOST: [&str; 6] = [
    "at most # completion tokens",
    "at most # output tokens",
    "max_tokens must be less than or equal to #",
    "max_tokens must be <= #",
    "max_tokens must not exceed #",
    "maximum number of output tokens (#",
];

/// The refusal, if it is for length. `error`: the body's error as JSON.
pub(super) fn read(words: &str, error: &Value) -> Option<CompletionError> {
    let says = |all: &[&str]| all.iter().all(|word| words.contains(word));
    let is_limit = LIMITS.iter().any(|limit| words.contains(limit))
        && ["too large", "at most", "less than or equal", "must be <=", "exceed"].iter().any(|word| words.contains(word));
    if !is_limit && !TOO_LONG.iter().any(|row| says(row)) {
        return None;
    }
    let plain: String = words.chars().filter(|c| !matches!(c, '`' | '\'' | '"' | '\\')).collect();
    let find = |patterns: &[&str]| patterns.iter().find_map(|pattern| number(&plain, pattern));
    let window = error["n_ctx"].as_u64().or_else(|| find(&WINDOW));
    let prompt = error["n_prompt_tokens"].as_u64().or_else(|| find(&PROMPT));
    let most = find(&MOST);
    let left = match (window, prompt) {
        (Some(window), Some(prompt)) => Some(window.saturating_sub(prompt)),
        _ => None,
    };
    let is_about_answer = is_limit || find(&ANSWER).is_some();
    Some(match is_about_answer && left != Some(0) {
        true if left.is_some() || most.is_some() || is_limit => {
            CompletionError::AnswerTooLong { most: [left, most].into_iter().flatten().min(), prompt, window }
        }
        _ => CompletionError::TooLong { prompt, window },
    })
}

/// The number that stands at `#` of the pattern.
fn number(text: &str, pattern: &str) -> Option<u64> {
    let (before, after) = pattern.split_once('#')?;
    let mut rest = 0;
    while let Some(begin) = text[rest..].find(|c: char| c.is_ascii_digit()).map(|at| rest + at) {
        let length = text[begin..].find(|c: char| !(c.is_ascii_digit() || c == ',' || c == '_')).unwrap_or(text.len() - begin);
        let digits = text[begin..begin + length].trim_end_matches([',', '_']);
        rest = begin + digits.len();
        if text[..begin].ends_with(before) && text[rest..].starts_with(after) {
            return digits.replace([',', '_'], "").parse().ok();
        }
    }
    None
}
