//! What the words of a refusal are about.

use super::Passing;
use crate::completions::affinity;
use crate::completions::untaken::Untaken;

/// Words by which a server says that it could not read what its model wrote.
const BAD_OUTPUT: [&str; 15] = [
    // llama.cpp (ggml-org/llama.cpp#20761, #27025, #27733)
    "failed to parse input at pos",
    "does not match the expected",
    "failed to parse tool call",
    "unexpected end of input",
    // Ollama, in JSON and in the XML of Qwen 3 Coder (ollama/ollama#14834, continuedev/continue#10896)
    "error parsing tool call",
    "xml syntax error on line",
    "expected element type <",
    // vLLM and others with gpt-oss (openai/harmony#60)
    "unexpected tokens remaining in message header",
    "while expecting start token",
    // TGI
    "failed to parse generated text",
    "failed to parse the model",
    "failed to parse model output",
    "could not parse tool call",
    "failed to parse assistant",
    "invalid tool call generated",
];

/// Words by which a server says that it has too much to do, or is about to be back.
const BUSY: [&str; 19] = [
    // Ollama
    "server busy",
    "maximum pending requests",
    // TGI and most proxies
    "overloaded",
    "too many requests",
    "too many concurrent",
    "rate limit",
    "at capacity",
    "over capacity",
    "please try again later",
    "retry shortly",
    "temporarily unavailable",
    // SGLang
    "queue is full",
    "queue full",
    // llama.cpp
    "no slot available",
    "no slots available",
    // LM Studio loads it anew for the next request (lmstudio-ai/lmstudio-bug-tracker#1620).
    "model has crashed",
    "model has unloaded",
    "model unloaded",
    // So does Ollama.
    "model runner has unexpectedly stopped",
];

/// Words by which a proxy says that the server behind it is gone: LiteLLM 1.106 with status 500, after retries at once that may all have
/// gone to servers which have just died, or for a stream that ended before its first word.
const AWAY: [&str; 3] = ["connection error", "apiconnectionerror", "cannot connect to host"];

/// Money brings these back, and no waiting.
const NOT_PASSING: [&str; 3] = ["quota", "billing", "insufficient"];

/// Why the same request may be answered a moment later, if so. The status of an error in the midst of an answer is 200.
pub(super) fn passing(status: u16, words: &str) -> Option<Passing> {
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let is_servers_fault = status >= 500 || status == 200;
    match status {
        _ if says(&NOT_PASSING) => None,
        _ if is_servers_fault && says(&BAD_OUTPUT) => Some(Passing::BadOutput),
        401 | 403 => None,
        429 | 529 => Some(Passing::Busy),
        _ if says(&BUSY) => Some(Passing::Busy),
        _ if is_servers_fault && says(&AWAY) => Some(Passing::Away),
        408 | 503 | 504 => Some(Passing::Away),
        _ => None,
    }
}

/// Keys of our requests that a server can do without.
const FIELDS: [&str; 8] = [
    "tool_choice",
    "parallel_tool_calls",
    "stream_options",
    "response_format",
    "reasoning_content",
    "top_k",
    "top_p",
    "temperature",
];

/// What a key of a request is called.
const CALLED: [&str; 4] = ["param", "field", "argument", "property"];

/// Words of a server that answers in one piece only, some of them if tools are offered (abetlen/llama-cpp-python#1883).
const NO_STREAM: [&[&str]; 2] = [&["stream", "not support"], &["tools with stream"]];

/// Words that are about a part of a request. All of a column must be there.
type Row = (&'static [&'static str], &'static [Untaken]);

const ABOUT: [Row; 37] = {
    use Untaken::{Images, RoleOrder, SystemRole, ToolMessages, ToolSchemas, Tools};
    [
        // Gemma 2's template
        (&["system", "role", "not supported"], &[SystemRole]),
        (&["system message", "not supported"], &[SystemRole]),
        // Qwen 3.5's template
        (&["system message must be"], &[RoleOrder, SystemRole]),
        // Templates of Llama 2, Gemma 3, Mistral; mistral-common
        (&["must alternate"], &[RoleOrder, ToolMessages, SystemRole]),
        (&["unexpected role"], &[RoleOrder, ToolMessages, SystemRole]),
        (&["expected last role"], &[RoleOrder, ToolMessages]),
        (&["only user", "assistant", "roles"], &[ToolMessages, SystemRole, RoleOrder]),
        (&["unknown role"], &[ToolMessages, SystemRole, RoleOrder]),
        (&["invalid role"], &[ToolMessages, SystemRole, RoleOrder]),
        (&["start with a user"], &[RoleOrder]),
        // Ollama (registry.ollama.ai/…), llama.cpp without --jinja, vLLM without a parser
        (&["does not support tools"], &[Tools]),
        (&["does not support function calling"], &[Tools]),
        (&["tools param requires"], &[Tools]),
        (&["unsupported param: tools"], &[Tools]),
        (&["tool choice requires --enable-auto-tool-choice"], &[Tools]),
        (&["tools", "not supported"], &[Tools]),
        (&["tool call", "not supported"], &[Tools]),
        (&["function calling", "not supported"], &[Tools]),
        // OpenRouter, as gateways before a local server have it
        (&["support tool use"], &[Tools]),
        // llama.cpp (ggml-org/llama.cpp#25746, #25895), xgrammar, outlines
        (&["grammar"], &[ToolSchemas]),
        (&["schema"], &[ToolSchemas]),
        (&["pattern must"], &[ToolSchemas]),
        (&["initialize samplers"], &[ToolSchemas]),
        (&["resolving ref"], &[ToolSchemas]),
        (&["$ref"], &[ToolSchemas]),
        (&["$defs"], &[ToolSchemas]),
        // Ollama's types have no list and no `true` where a schema may have them
        (&["cannot unmarshal", "tools"], &[ToolSchemas]),
        // llama.cpp without a projector, mlx-lm (`Only 'text' content type is supported.`), LM Studio, vLLM
        (&["image"], &[Images]),
        (&["content type"], &[Images]),
        (&["multimodal"], &[Images]),
        (&["vision"], &[Images]),
        // Pydantic, where a message's content is text only
        (&["content", "valid string"], &[Images]),
        (&["cannot unmarshal", "content"], &[Images]),
        // Another exception of a template (llama.cpp, LM Studio)
        (&["jinja exception"], &[RoleOrder, ToolMessages, SystemRole]),
        (&["jinja template"], &[RoleOrder, ToolMessages, SystemRole]),
        (&["chat template"], &[RoleOrder, ToolMessages, SystemRole]),
        // llama.cpp's own reader of templates (`Value is not callable: null at row 58, column 111`)
        (&[" at row ", "column"], &[RoleOrder, ToolMessages, SystemRole, ToolSchemas]),
    ]
};

/// What a refusal may be about, the likeliest first. Whatever the words may mean, only what is in the request can be left out.
pub(super) fn untaken(words: &str, body: &str) -> Vec<Untaken> {
    let mut about: Vec<Untaken> = Vec::new();
    for name in FIELDS.into_iter().filter(|name| names(words, name)) {
        if name == "tool_choice" && !words.contains("--enable-auto-tool-choice") {
            about.push(Untaken::NamedToolChoice);
        }
        about.extend(Untaken::field(name));
    }
    about.extend(forbidden_keys(words).chain(forbidden_keys(body)).filter_map(|name| Untaken::field(&name)));
    if names(words, "max_completion_tokens") && names(words, "max_tokens") {
        about.push(Untaken::MaxTokens);
    }
    let is_said = |all: &&[&str]| all.iter().all(|word| words.contains(word));
    if NO_STREAM.iter().any(is_said) {
        about.extend(Untaken::field("stream"));
    }
    about.extend(ABOUT.iter().filter(|(all, _)| is_said(all)).flat_map(|(_, about)| about.iter().cloned()));
    if about.contains(&Untaken::ToolSchemas) {
        // The form of an answer is a schema too.
        about.extend(Untaken::field("response_format"));
    }
    // The last, since most of those who say "user" mean the role.
    if names(words, affinity::FIELD) && CALLED.iter().any(|called| words.contains(called)) {
        about.extend(Untaken::field(affinity::FIELD));
    }
    let mut seen = Vec::new();
    about.retain(|untaken| {
        !seen.contains(untaken) && {
            seen.push(untaken.clone());
            true
        }
    });
    about
}

/// The keys that a validator forbids, whatever they are: the last names in pydantic's places (`"loc": ["body", "messages", 3,
/// "assistant", "reasoning_content"]`), and the one name behind words such as `unknown field`.
fn forbidden_keys(words: &str) -> impl Iterator<Item = String> + '_ {
    const BEFORE: [&str; 9] = [
        "unknown field ",
        // Google's gateways
        "unknown name ",
        "unknown parameter: ",
        "unsupported parameter: ",
        "unsupported param: ",
        "unrecognized request argument supplied: ",
        "additional properties are not allowed (",
        "unexpected keyword argument ",
        "property ",
    ];
    let is_forbidden = ["extra_forbidden", "xtra inputs are not permitted"].iter().any(|word| words.contains(word));
    let places = words.split("loc").skip(1).filter(move |_| is_forbidden).filter_map(|rest| {
        let place = rest.split([']', ')']).next()?;
        place.rsplit([',', '[', '(']).map(bare).find(|name| !name.is_empty())
    });
    let behind = BEFORE.iter().flat_map(move |before| {
        words.split(before).skip(1).map(|rest| bare(rest.split([' ', ',', ')', '.']).next().unwrap_or_default()))
    });
    places.chain(behind).filter(|name| name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

/// Without quotes and space, whatever wrote them.
fn bare(name: &str) -> String {
    name.trim_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).into()
}

/// Whether the words have this name, and not only as a part of another.
pub(crate) fn names(words: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    words.match_indices(name).any(|(at, _)| {
        let (before, after) = (words[..at].chars().next_back(), words[at + name.len()..].chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
