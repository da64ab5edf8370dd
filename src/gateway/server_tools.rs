//! Tools that only Anthropic's servers run: `web_search`, `code_execution` and their like. Here nobody runs them, and an answer
//! must not look as if somebody had (anthropics/claude-code#11369).

use serde_json::{Value, json};

use crate::claude_code::protocol::messages::api_id;
use crate::completions::chunk::Usage;
use crate::gateway::api_error::ApiError;
use crate::gateway::message::{End, Piece, Sink};

/// A tool that a request offers and that only Anthropic runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerTool {
    /// Such as `web_search_20250305`.
    kind: String,
    pub name: String,
}

/// The kinds that have a block for their failure: how the type begins, which is the name of a call too, and the type of a result.
const FAILING: [(&str, &str); 3] = [
    ("web_search", "web_search_tool_result"),
    ("web_fetch", "web_fetch_tool_result"),
    ("code_execution", "code_execution_tool_result"),
];

/// How Claude Code words what it wants searched (1.0.128 to 2.1.330).
const SEARCH_PROMPT: &str = "Perform a web search for the query: ";

impl ServerTool {
    pub(super) fn new(kind: &str, name: &str) -> ServerTool {
        ServerTool { kind: kind.into(), name: if name.is_empty() { kind } else { name }.into() }
    }

    /// What the answer to a request for this tool says.
    ///
    /// # Errors
    /// If the API has no block for the failure of such a tool.
    pub(super) fn failed_call(&self, prompt: &str) -> Result<FailedCall, ApiError> {
        let failing = FAILING.iter().find(|(kind, _)| self.kind.starts_with(kind));
        let (name, result) = *failing.ok_or_else(|| {
            ApiError::bad_request(format!("tools: only Anthropic's servers run `{}`, and a local model answers here", self.name))
        })?;
        let input = match name {
            "web_search" => json!({"query": prompt.strip_prefix(SEARCH_PROMPT).unwrap_or(prompt)}),
            _ => json!({}),
        };
        Ok(FailedCall { name, result, input })
    }
}

/// What the model is told of tools that are not there, beside those that are.
pub(super) fn note(tools: &[ServerTool]) -> String {
    let names: Vec<String> = tools.iter().map(|tool| format!("`{}`", tool.name)).collect();
    format!(
        "{NOTE} {}. Where one of them would be needed, say that it is not available, and do not make up what it would have given.",
        names.join(", ")
    )
}

/// How the note begins. It stays in a request that must be short.
pub(super) const NOTE: &str = "Tools that are not available here:";

/// A call of such a tool as the API tells of it when the service behind the tool does not answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FailedCall {
    name: &'static str,
    result: &'static str,
    input: Value,
}

impl FailedCall {
    /// Answers without asking the local model, which could only make results up.
    pub(super) fn answer(&self, out: &mut impl Sink) {
        let FailedCall { name, result, input } = self;
        let (id, caller) = (api_id("srvtoolu"), json!({"type": "direct"}));
        out.piece(Piece::Block(json!({"type": "server_tool_use", "id": id, "name": name, "input": input, "caller": caller})));
        let error = json!({"type": format!("{result}_error"), "error_code": "unavailable"});
        out.piece(Piece::Block(json!({"type": result, "tool_use_id": id, "content": error, "caller": caller})));
        out.piece(Piece::Text(format!(
            "The local model has no {}: only Anthropic's servers run `{name}`. It did not run, and there are no results.",
            name.replace('_', " ")
        )));
        out.end(End { reason: "end_turn", sequence: None, usage: Usage::default() });
    }
}
