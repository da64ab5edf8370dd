//! What mends each failing of a local model, at each program that serves one.

use crate::completions::endpoint::Endpoint;
use crate::local_model::served::ServerKind;
use crate::settings::Setting;
use crate::shown::{Shown, shown};

/// What a server or its model fails at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// The context is too small, or less of a prompt is read than was sent.
    Context,
    Tools,
    /// One call in an answer.
    Parallel,
    Streaming,
    /// Thinking stands in the text.
    Thinking,
    /// Marks of the template stand in the text.
    Markup,
    Images,
    Schema,
}

/// The context that an agent works well in, in tokens: what the texts ask for.
pub(super) const GOOD_CONTEXT: u32 = 32_768;

pub(super) fn mend(failing: Failing, kind: ServerKind, endpoint: &Endpoint) -> Shown {
    use Failing::{Context, Images, Markup, Parallel, Schema, Streaming, Thinking, Tools};
    use ServerKind::{LlamaCpp, LmStudio, MlxLm, Ollama, Sglang, Unknown, Vllm};
    let model = endpoint.variable(Setting::Model);
    let another = |what: &str| shown!("set {model} to a model {what}");
    match (failing, kind) {
        (Context, Ollama) => {
            shown!("OLLAMA_CONTEXT_LENGTH={GOOD_CONTEXT} where `ollama serve` runs, or num_ctx {GOOD_CONTEXT} in the model")
        }
        (Context, LlamaCpp) => shown!("start llama-server with -c {GOOD_CONTEXT}"),
        (Context, LmStudio) => {
            shown!("lms load MODEL --context-length {GOOD_CONTEXT}, or Context Length where LM Studio loads it")
        }
        (Context, Vllm) => shown!("start vLLM with --max-model-len {GOOD_CONTEXT}"),
        (Context, Sglang) => shown!("start SGLang with --context-length {GOOD_CONTEXT}"),
        (Context, MlxLm) => another("with a longer context: mlx-lm uses the model's own"),
        (Context, Unknown) => {
            shown!("give the server a context of {GOOD_CONTEXT} tokens (OLLAMA_CONTEXT_LENGTH for Ollama, -c for llama-server)")
        }
        (Tools, LlamaCpp) => {
            "start llama-server with --jinja, and take a model whose template knows tools, such as Qwen2.5-7B-Instruct".into()
        }
        (Tools, Vllm) => "start vLLM with --enable-auto-tool-choice --tool-call-parser NAME (hermes for Qwen2.5)".into(),
        (Tools, Sglang) => "start SGLang with --tool-call-parser NAME (qwen25 for Qwen2.5)".into(),
        (Tools, Ollama) => another("that `ollama show MODEL` lists with the capability `tools`"),
        (Tools | Parallel, _) => another("that calls tools, such as Qwen2.5-7B-Instruct"),
        (Streaming, _) => shown!("let {} answer in a stream, past any proxy that holds it back", endpoint.variable(Setting::Url)),
        (Thinking, LlamaCpp) => "start llama-server with --jinja --reasoning-format deepseek".into(),
        (Thinking, Vllm) => "start vLLM with --reasoning-parser NAME".into(),
        (Thinking, Sglang) => "start SGLang with --reasoning-parser NAME".into(),
        (Thinking, LmStudio) => "turn on `separate reasoning_content` in LM Studio's developer settings".into(),
        (Thinking, MlxLm) => {
            "--chat-template-args '{\"enable_thinking\":false}' turns thinking off; it is taken out of answers here".into()
        }
        (Thinking, Ollama | Unknown) => "turn the model's thinking off; it is taken out of answers here".into(),
        (Markup, LlamaCpp) => "start llama-server with --jinja, or give it the model's --chat-template-file".into(),
        (Markup, _) => "update the server, or give it the model's own chat template".into(),
        (Images, LlamaCpp) => "start llama-server with --mmproj FILE and a model that sees".into(),
        (Images, MlxLm) => "serve a model that sees with mlx_vlm.server: mlx-lm takes text alone".into(),
        (Images, _) => another("that sees, such as Qwen2.5-VL"),
        (Schema, MlxLm) => {
            "mlx-lm holds to no schema: `--json-schema` asks again until the answer fits; llama-server and Ollama hold to it"
                .into()
        }
        (Schema, _) => "update the server: `--json-schema` asks again until the answer fits".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failing_has_a_setting_at_each_server() {
        use Failing::*;
        let endpoint = Endpoint::of_link(&crate::context::Context::from_process(), 2).expect("an address");
        let kinds = [ServerKind::LlamaCpp, ServerKind::Ollama, ServerKind::LmStudio, ServerKind::Vllm, ServerKind::Sglang];
        let table = [
            (
                Context,
                ["-c 32768", "OLLAMA_CONTEXT_LENGTH=32768", "--context-length 32768", "--max-model-len", "--context-length"],
            ),
            (Tools, ["--jinja", "`tools`", "set LOCAL_LLM_MODEL", "--enable-auto-tool-choice", "--tool-call-parser"]),
            (Thinking, ["--reasoning-format", "thinking off", "reasoning_content", "--reasoning-parser", "--reasoning-parser"]),
            (Images, ["--mmproj", "set LOCAL_LLM_MODEL", "set LOCAL_LLM_MODEL", "set LOCAL_LLM_MODEL", "set LOCAL_LLM_MODEL"]),
            (Schema, ["--json-schema"; 5]),
            (Parallel, ["set LOCAL_LLM_MODEL"; 5]),
            (Streaming, ["let LOCAL_LLM_URL"; 5]),
            (Markup, ["--jinja", "template", "template", "template", "template"]),
        ];
        for (failing, words) in table {
            for (kind, word) in kinds.into_iter().zip(words) {
                let told = mend(failing, kind, &endpoint);
                assert!(told.contains(word), "{failing:?} {kind:?}: {told}");
            }
            for kind in [ServerKind::MlxLm, ServerKind::Unknown] {
                assert!(!mend(failing, kind, &endpoint).is_empty());
            }
        }
    }
}
