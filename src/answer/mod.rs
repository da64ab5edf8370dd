//! Answers a call from the local server, in Claude Code's formats.

mod attachments;
pub(crate) mod conversation;
mod fit;
mod links;
mod listener;
mod open_session;
mod prepare;
mod reporter;
pub(crate) mod request;
mod turn;

use std::io::{self, IsTerminal};

use crate::answer::conversation::Outcome;
use crate::answer::prepare::{FirstInput, prepare};
use crate::answer::request::{AnswerRequest, InputSource};
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::prompt;
use crate::claude_code::protocol::output::Format;
use crate::context::Context;
use crate::error::Result;

/// Answers a print-mode call on stdout. An answer that fails is printed there too, as Claude Code prints it.
///
/// # Errors
/// The real CLI's own for a call that it would refuse, ours for settings that cannot be used and for a broken stdout.
pub(crate) fn run(applet: &str, context: &Context, command_line: &CommandLine, request: AnswerRequest) -> Result<Outcome> {
    let reads_stdin = matches!(request.input, InputSource::Stdin);
    let (conversation, start) = prepare(applet, context, command_line, request).inspect_err(|_| {
        // An SDK whose first write meets a closed pipe reports that, and not the error on stderr.
        if reads_stdin && command_line.listens() && !io::stdin().is_terminal() {
            prompt::await_input();
        }
    })?;
    match start {
        FirstInput::Prompt(prompt) => conversation.answer(prompt),
        FirstInput::Lines(feed) => conversation.listen(feed),
    }
}

/// The output format that the options ask for.
pub(crate) fn format(command_line: &CommandLine) -> Format {
    match command_line.last("--output-format") {
        Some("stream-json") => Format::StreamJson { partials: command_line.has("--include-partial-messages") },
        Some("json") if command_line.has("--verbose") => Format::JsonArray,
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}
