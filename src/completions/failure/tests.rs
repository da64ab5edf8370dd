//! What servers say, each wording with its source. One file, so that one table has them all.

use super::*;
use CompletionError as E;

fn classified(status: u16, body: &str) -> CompletionError {
    refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body)
}

/// The failure in a word, with what matters of it.
fn kind(failure: &CompletionError) -> String {
    let number = |number: &Option<u64>| number.map_or("?".to_string(), |number| number.to_string());
    match failure {
        E::Loading => "loading".into(),
        E::Dead(_) => "dead".into(),
        E::UnknownModel(_) => "model".into(),
        E::Passing { cause, .. } => format!("{cause:?}"),
        E::Untaken { about, .. } => about.iter().map(Untaken::word).collect::<Vec<_>>().join(", "),
        E::TooLong { prompt, window } => format!("long {} of {}", number(prompt), number(window)),
        E::AnswerTooLong { most, .. } => format!("at most {}", number(most)),
        E::Refusal(_) => "refusal".into(),
        E::Cut { .. } => "cut".into(),
        other => panic!("{other:?}"),
    }
}

fn message(text: &str) -> String {
    serde_json::json!({"error": {"message": text}}).to_string()
}

const ROLES: &str = "role order, tool messages, system role";

#[test]
fn the_body_of_a_refusal_decides() {
    let table = [
        (503, r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#, "loading"),
        (404, r#"{"error": "generation thread died"}"#, "dead"),
        (404, r#"{"error":{"message":"model \"x\" not found, try pulling it first"}}"#, "model"),
        (400, r#"{"error":{"message":"model name is missing from the request"}}"#, "model"),
        (404, r#"{"object":"error","message":"The model `x` does not exist."}"#, "model"),
        (404, "Not Found", "refusal"),
        (413, "<html><h1>413 Request Entity Too Large</h1></html>", "long ? of ?"),
        (400, r#"{"error": "max_tokens must be at least 1"}"#, "refusal"),
        (500, "", "refusal"),
        (500, r#"{"error":{"message":"Internal Server Error"}}"#, "refusal"),
        // Nobody is let in by leaving something out.
        (401, r#"{"error":{"message":"Invalid API Key for schema"}}"#, "refusal"),
    ];
    for (status, body, expected) in table {
        assert_eq!(kind(&classified(status, body)), expected, "{status} {body}");
    }
}

#[test]
fn what_may_pass_in_the_words_of_each_server() {
    let table = [
        // Ollama: server/sched.go
        (503, "server busy, please try again.  maximum pending requests exceeded", "Busy"),
        (503, "Server overloaded, please retry shortly", "Busy"),
        // TGI: router/src/server.rs, `error_type: overloaded`
        (429, "Model is overloaded", "Busy"),
        // SGLang: managers/scheduler.py
        (503, "The request queue is full.", "Busy"),
        // llama.cpp: tools/server
        (503, "no slot available", "Busy"),
        // LiteLLM passes on with a status of its own
        (500, "litellm.InternalServerError: The model is overloaded. Please try again later.", "Busy"),
        // OpenAI
        (429, "Rate limit reached for requests", "Busy"),
        (429, "slow down", "Busy"),
        (529, "", "Busy"),
        // LM Studio (lmstudio-ai/lmstudio-bug-tracker#1620)
        (400, "The model has crashed without additional information. (Exit code: null)", "Busy"),
        // What stands before a server: nginx, llama-swap
        (502, "Bad Gateway", "Away"),
        (503, "", "Away"),
        (503, "upstream command exited prematurely", "Away"),
        (504, "Gateway Timeout", "Away"),
        (500, "litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.", "Away"),
        (500, "litellm.APIConnectionError: APIConnectionError: OpenAIException - Response payload is not completed", "Away"),
        // llama.cpp: common/chat.cpp, common/chat-peg-parser.cpp (ggml-org/llama.cpp#20761, #27025, #20532)
        (500, "Failed to parse input at pos 12: </tool_call>", "BadOutput"),
        (500, "The model produced output that does not match the expected peg-native format", "BadOutput"),
        (
            500,
            "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] parse error at line 1, column 131: \
             syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal",
            "BadOutput",
        ),
        // Ollama: server/routes.go
        (500, "error parsing tool call: raw='{\"a\":', err=unexpected end of JSON input", "BadOutput"),
        (500, "XML syntax error on line 115: unexpected EOF", "BadOutput"),
        (500, "expected element type <function> but have <parameter>", "BadOutput"),
        (500, "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error", "Busy"),
        // vLLM with gpt-oss (openai/harmony)
        (500, "Unexpected token 12606 while expecting start token 200006", "BadOutput"),
        (500, "Unexpected tokens remaining in message header: [\"analysis\"]", "BadOutput"),
        // Money and rights do not come back by waiting.
        (429, "You exceeded your current quota, please check your plan and billing details.", "refusal"),
        (403, "rate limit of your key", "refusal"),
        // A request that is at fault stays so.
        (400, "parse error: unexpected end of input", "refusal"),
    ];
    for (status, text, expected) in table {
        assert_eq!(kind(&classified(status, &message(text))), expected, "{status} {text}");
    }
}

#[test]
fn too_long_in_the_words_of_each_server() {
    let llama = r#"{"error":{"code":400,"message":"request (12822 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":12822,"n_ctx":8192}}"#;
    assert_eq!(kind(&classified(400, llama)), "long 12822 of 8192");
    let table = [
        // llama.cpp: tools/server, b5000 and later; in a stream; through Ollama and LocalAI
        ("request (12822 tokens) exceeds the available context size (8192 tokens), try increasing it", "long 12822 of 8192"),
        (
            "the request exceeds the available context size. try increasing the context size or enable context shift",
            "long ? of ?",
        ),
        ("Context size has been exceeded.", "long ? of ?"),
        (
            "rpc error: code = Internal desc = request (9000 tokens) exceeds the available context size (8192 tokens)",
            "long 9000 of 8192",
        ),
        ("Input prompt is too big compared to KV size. Please try increasing KV size.", "long ? of ?"),
        // LM Studio (lmstudio-ai/lmstudio-bug-tracker#237, #546, #2205; Gitlawb/openclaude#353; anomalyco/opencode#11141)
        (
            "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with context length of \
             only 32768 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input",
            "long 111490 of 32768",
        ),
        (
            "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a \
             larger context length, or provide a shorter input",
            "long ? of ?",
        ),
        (
            "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096). \
             Try to load the model with a larger context length, or provide a shorter input.",
            "long 13055 of 4096",
        ),
        ("Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", "long 15028 of 7424"),
        // SGLang (sgl-project/sglang#8096, #4048)
        ("The input (61709 tokens) is longer than the model's context length (40960 tokens).", "long 61709 of 40960"),
        ("Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).", "long 160062 of 59862"),
        // vLLM, from old to new (vllm-project/vllm#20409, #12165)
        (
            "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the messages, 10000 \
             in the completion). Please reduce the length of the messages or completion.",
            "long 112946 of 16384",
        ),
        ("The prompt (total length 25938) is too long to fit into the model (context length 4096).", "long 25938 of 4096"),
        ("The decoder prompt (length 9000) is longer than the maximum model length of 8192.", "long 9000 of 8192"),
        (
            "This model's maximum context length is 1536 tokens. However, your request has 4176 input tokens. Please reduce the \
             length of the input messages.",
            "long 4176 of 1536",
        ),
        // TGI: router/src/validation.rs
        ("Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", "long 2000 of 1024"),
        // Ollama
        ("prompt too long; exceeded max context length by 4 tokens", "long ? of ?"),
        ("the input length exceeds the context length", "long ? of ?"),
        // mlx-lm has no such refusal; servers around it do (jundot/omlx#169, ddalcu/mlx-serve#66)
        ("Prompt too long: 51587 tokens exceeds max context window of 32768 tokens", "long 51587 of 32768"),
        ("Prompt exceeds maximum context length", "long ? of ?"),
        // llama-cpp-python
        ("Requested tokens (2600) exceed context window of 2048", "long 2600 of 2048"),
        // OpenAI
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 4,226 tokens. Please reduce the \
             length of the messages.",
            "long 4226 of 4097",
        ),
        // RKLLM (jaylfc/taOS#1738), Moonshot, xAI
        ("Prompt is 11543 tokens but the model context window is 4096 tokens.", "long 11543 of 4096"),
        ("Your request exceeded model token limit: 262144 (requested: 300000)", "long 300000 of 262144"),
        ("This model's maximum prompt length is 131072 but the request contains 150000 tokens.", "long ? of 131072"),
        // Mistral
        ("Prompt contains 240000 tokens, too large for model with 128000 maximum context length", "long 240000 of 128000"),
    ];
    for (text, expected) in table {
        assert_eq!(kind(&classified(400, &message(text))), expected, "{text}");
        // The same as an event, in the midst of a stream that has begun with 200 (LM Studio, llama.cpp).
        let event = E::Cut { reason: text.into(), partial: String::new() };
        assert_eq!(kind(&event.by_its_words()), expected, "{text}");
    }
    let code = r#"{"error":{"message":"Your input is too long. context_length_exceeded","code":"context_length_exceeded"}}"#;
    assert_eq!(kind(&classified(400, code)), "long ? of ?");
}

#[test]
fn an_answer_that_does_not_fit_in_the_words_of_each_server() {
    let table = [
        // vLLM, from old to new
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (5000 in the messages, 4000 in \
             the completion). Please reduce the length of the messages or completion.",
            "at most 3192",
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 4096 tokens and your \
             request has 2778 input tokens (8000 > 4096 - 2778). None",
            "at most 1318",
        ),
        (
            "This model's maximum context length is 16384 tokens. However, you requested 8192 output tokens and your prompt contains \
             at least 8193 input tokens, for a total of at least 16385 tokens.",
            "at most 8191",
        ),
        // SGLang (anomalyco/opencode#25230)
        (
            "Requested token count exceeds the model's maximum context length of 202752 tokens. You requested a total of 202941 \
             tokens: 170941 tokens from the input messages and 32000 tokens for the completion. Please reduce the number of tokens",
            "at most 31811",
        ),
        // TGI: router/src/validation.rs
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3000 `inputs` tokens and 2000 \
             `max_new_tokens`",
            "at most 1096",
        ),
        // OpenAI
        (
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
            "at most 16384",
        ),
        (
            "This model's maximum context length is 4097 tokens, however you requested 4226 tokens (3226 in your prompt; 1000 for \
             the completion). Please reduce your prompt; or completion length.",
            "at most 871",
        ),
        // Groq, whose words others have taken over
        (
            "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window`",
            "at most 8192",
        ),
        ("max_tokens must not exceed 4096", "at most 4096"),
        ("max_tokens is too large", "at most ?"),
        // The prompt alone is too long.
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 800. This model's maximum context length is 4096 tokens and your \
             request has 4096 input tokens",
            "long 4096 of 4096",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(kind(&classified(400, &message(text))), expected, "{text}");
    }
}

#[test]
fn what_is_not_taken_in_the_words_of_each_server() {
    let table = [
        // Templates, as llama.cpp, LM Studio, vLLM and mlx-lm pass their exceptions on
        (500, "System role not supported", "system role"),
        (500, "Jinja Exception: System message must be at the beginning.", "role order, system role, tool messages"),
        (
            500,
            "\n------------\nWhile executing CallExpression at line 189, column 32 in source:\n...== 0) %}↵            {{- \
             raise_exception('After the optional system message, con...\nError: Jinja Exception: After the optional system message, \
             conversation roles must alternate user and assistant roles except for tool calls and results.",
            ROLES,
        ),
        (400, "Conversation roles must alternate user/assistant/user/assistant/...", ROLES),
        (400, "Error rendering prompt with jinja template: \"No user query found in messages.\"", ROLES),
        // mistral-common, in vLLM (mistralai/mistral-vibe#578)
        (400, "Unexpected role 'user' after role 'tool'", ROLES),
        (400, "Only user and assistant roles are supported!", "tool messages, system role, role order"),
        // LM Studio (lmstudio-ai/lmstudio-bug-tracker#670)
        (
            400,
            "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
            "named tool choice, field tool_choice",
        ),
        // OpenAI's words, which LiteLLM and others use
        (400, "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.", "field parallel_tool_calls"),
        (400, "Unrecognized request argument supplied: stream_options", "field stream_options"),
        (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
        ),
        (400, "Unsupported value: 'temperature' does not support 0.2 with this model.", "field temperature"),
        (400, "litellm.UnsupportedParamsError: openai does not support parameters: ['top_k'], for model=x", "field top_k"),
        (
            400,
            "'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property 'reasoning_content' is unsupported)]",
            "field reasoning_content",
        ),
        // Go and Rust
        (400, "json: unknown field \"strict\"", "field strict"),
        (
            422,
            "Failed to deserialize the JSON body into the target type: unknown field `logit_bias`, expected one of `model`",
            "field logit_bias",
        ),
        // LM Studio (lmstudio-ai/lmstudio-bug-tracker#189), mlx-lm and its like
        (400, "'response_format.type' must be 'json_schema' or 'text'", "field response_format, tool schemas"),
        (400, "Cannot use custom grammar constraints with tools.", "tool schemas, field response_format"),
        // llama.cpp: common/json-schema-to-grammar.cpp (lidge-jun/opencodex#2135, openclaw/openclaw#107430, browseros-ai/BrowserOS#255)
        (400, "Failed to initialize samplers: failed to parse grammar", "tool schemas, field response_format"),
        (
            400,
            "Unable to generate parser for this template. Automatic parser generation failed: JSON schema conversion failed:\nPattern \
             must start with '^' and end with '$'",
            "tool schemas, field response_format",
        ),
        (
            400,
            "JSON schema conversion failed:\nUnrecognized schema: {\"description\":\"x\"}",
            "tool schemas, field response_format",
        ),
        // xgrammar, in vLLM and SGLang
        (400, "The provided JSON schema contains features not supported by xgrammar.", "tool schemas, field response_format"),
        // llama.cpp without a projector, mlx-lm, LM Studio (lmstudio-ai/lmstudio-bug-tracker#362), vLLM
        (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", "images"),
        (404, "Only 'text' content type is supported.", "images"),
        (400, "Model does not support images. Please use a model that does.", "images"),
        (400, "x is not a multimodal model", "images"),
        // Ollama, llama.cpp without --jinja, vLLM without a parser
        (400, "registry.ollama.ai/library/gemma3:4b does not support tools", "tools"),
        (500, "tools param requires --jinja flag", "tools"),
        (400, "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set", "tools"),
        (400, "Tool calls are not supported by this model", "tools"),
        (400, "`tool calling` is not supported with this model", "tools"),
        (400, "`tools` is not supported by this model", "tools"),
        (404, "No endpoints found that support tool use.", "tools"),
        // llama.cpp until b5480 (abetlen/llama-cpp-python#1883)
        (500, "Cannot use tools with stream", "field stream"),
        (400, "streaming is not supported", "field stream"),
        (400, "stream=True is not supported with tools", "field stream, tools"),
        // Ollama: api/types.go
        (
            400,
            "json: cannot unmarshal array into Go struct field .tools.function.parameters.properties.type of type string",
            "tool schemas, field response_format",
        ),
        (400, "Error resolving ref #/$defs/X: $defs not in {}", "tool schemas, field response_format"),
        (400, "system messages are not supported", "system role"),
        (
            500,
            "Value is not callable: null at row 58, column 111: {{ x }}",
            "role order, tool messages, system role, tool schemas, field response_format",
        ),
    ];
    for (status, text, expected) in table {
        assert_eq!(kind(&classified(status, &message(text))), expected, "{status} {text}");
    }
}

/// Pydantic names places; what is needed is never left out, and the input that it repeats does not count.
#[test]
fn the_keys_that_a_validator_forbids() {
    let table = [
        // vLLM, SGLang: a list of dictionaries as Python writes it, in a message
        (
            message("[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted', 'input': {'include_usage': True}}]"),
            "field stream_options",
        ),
        // Mistral (charmbracelet/crush#1590), FastAPI
        (
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","messages",3,"assistant","reasoning_content"],"msg":"Extra inputs are not permitted","input":"Hm."},{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted","input":1}]}"#.to_string(),
            "field reasoning_content, field seed",
        ),
        (
            r#"{"detail":[{"type":"string_type","loc":["body","messages",0,"content"],"msg":"Input should be a valid string","input":[]}]}"#.to_string(),
            "images",
        ),
        (r#"{"detail":[{"type":"extra_forbidden","loc":["body","messages"],"msg":"Extra inputs are not permitted"}]}"#.to_string(), "refusal"),
    ];
    for (body, expected) in table {
        assert_eq!(kind(&classified(422, &body)), expected, "{body}");
    }
}

#[test]
fn errors_within_an_answer() {
    let kind_of = |text: &str, partial: &str| kind(&E::Cut { reason: text.into(), partial: partial.into() }.by_its_words());
    assert_eq!(kind_of("Failed to parse input at pos 12: </tool_call>", ""), "BadOutput");
    assert_eq!(kind_of("out of memory", ""), "cut");
    for ours in ["the stream ended before its end", "an event is not the JSON of a chat completion", "it does not end"] {
        assert_eq!(kind_of(ours, ""), "cut");
    }
    // Something has reached the caller: it is an answer that was cut.
    assert_eq!(kind_of("Failed to parse input at pos 12: </tool_call>", "Hel"), "cut");
}

#[test]
fn when_a_server_wants_to_be_asked_again() {
    let now: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
    let seconds = |text: &str| read_retry_after(text, now).map(|pause| pause.as_secs_f64());
    assert_eq!(seconds("0"), Some(0.0));
    assert_eq!(seconds("7"), Some(7.0));
    assert_eq!(seconds("1.5"), Some(1.5));
    assert_eq!(seconds("Thu, 26 Nov 2026 10:00:12 GMT"), Some(12.0));
    assert_eq!(seconds("Thu, 26 Nov 2026 09:00:00 GMT"), Some(0.0));
    for text in ["", "-1", "soon", "NaN", "inf", "1e400"] {
        assert_eq!(seconds(text), None, "{text}");
    }
}
