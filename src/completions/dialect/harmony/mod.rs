//! gpt-oss writes Harmony (`openai/harmony` docs/format.md): messages in channels, each
//! `<|start|>assistant<|channel|>CHANNEL to=TOOL <|constrain|>json<|message|>BODY<|end|>`. `analysis` is thinking, `final` the
//! answer, and `commentary` a call, or text on the way to one. Models break that in many ways (`ggml-org/llama.cpp#27720`,
//! `vllm-project/vllm#35906`, `openai/harmony#114`), and some servers take the marks away and leave the rest.

mod begins;
mod call;
mod header;
mod lexer;
mod messages;
mod unmarked;

use begins::{Sight, look};
use messages::Messages;
use unmarked::Unmarked;

use crate::completions::tool::{Tool, ToolCall};

/// What begins a message within an answer. A server that has read the first one's header leaves the others.
pub(in crate::completions) const LATE_OPENERS: [&str; 5] =
    ["<|end|><|start|>assistant", "<|start|>assistant", "<|channel|>analysis", "<|channel|>commentary", "<|channel|>final"];

/// A piece of an answer. Pieces of one kind that follow each other belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::completions) enum Part {
    Thinking(String),
    Text(String),
    /// A call, and its arguments as they were written.
    Call {
        raw: String,
        call: ToolCall,
    },
}

/// Reads an answer in Harmony as it comes.
pub(in crate::completions) struct Harmony<'a> {
    tools: &'a [Tool],
    form: Form<'a>,
}

enum Form<'a> {
    /// Which of both it is, the text does not tell yet.
    Unclear(String),
    Marked(Box<Messages<'a>>),
    Unmarked(Unmarked),
}

impl<'a> Harmony<'a> {
    /// For answers that may call `tools`. A call of another tool is text.
    pub(in crate::completions) fn new(tools: &'a [Tool]) -> Harmony<'a> {
        Harmony { tools, form: Form::Unclear(String::new()) }
    }

    /// Whether an answer that begins with `text` is in Harmony; none while that is open.
    pub(in crate::completions) fn begins(text: &str) -> Option<bool> {
        match look(text.trim_start()) {
            Sight::Marked | Sight::Unmarked => Some(true),
            Sight::Other => Some(false),
            Sight::Unclear => None,
        }
    }

    /// Takes a piece of the answer, and gives what is certain by now.
    pub(in crate::completions) fn push(&mut self, text: &str) -> Vec<Part> {
        if let Form::Unclear(withheld) = &mut self.form {
            withheld.push_str(text);
            let sight = look(withheld.trim_start());
            if sight == Sight::Unclear {
                return Vec::new();
            }
            let withheld = std::mem::take(withheld);
            self.form = match sight {
                Sight::Unmarked => Form::Unmarked(Unmarked::default()),
                _ => Form::Marked(Box::new(Messages::new(self.tools))),
            };
            return self.push(withheld.trim_start());
        }
        match &mut self.form {
            Form::Unclear(_) => Vec::new(),
            Form::Marked(messages) => messages.push(text),
            Form::Unmarked(unmarked) => unmarked.push(text),
        }
    }

    /// The answer has ended. `is_whole`: nothing was cut off.
    pub(in crate::completions) fn finish(&mut self, is_whole: bool) -> Vec<Part> {
        match &mut self.form {
            Form::Unclear(withheld) if withheld.is_empty() => Vec::new(),
            Form::Unclear(withheld) => vec![Part::Text(std::mem::take(withheld))],
            Form::Marked(messages) => messages.finish(is_whole),
            Form::Unmarked(unmarked) => unmarked.finish(self.tools, is_whole),
        }
    }
}

#[cfg(test)]
mod tests;
