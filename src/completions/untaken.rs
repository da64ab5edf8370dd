//! What a server does not take in a request, and the request without it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::completions::failure::names;

mod messages;
mod tools;

/// A part of a request, in the order in which they are left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Untaken {
    /// Images. They are told of in words.
    Images,
    /// Tools. They are described in the system message, and the calls are read from the answer's text.
    Tools,
    /// Messages with calls and with tools' results. Both become text.
    ToolMessages,
    /// A system message. It goes into the first user's.
    SystemRole,
    /// Roles that do not alternate. Neighbours are merged.
    RoleOrder,
    /// The choice of a tool by its name. Only that one is offered, and `required`.
    NamedToolChoice,
    /// Schemas that a grammar cannot be made of. They become plain.
    ToolSchemas,
    /// The tool of this name.
    Tool(String),
    /// The name `max_tokens`, for `max_completion_tokens`.
    MaxTokens,
    /// The key of this name, in the request, its messages and its tools.
    Field(String),
}

/// What cannot be left out: without it there is no question.
const NEEDED: [&str; 8] = ["model", "messages", "tools", "max_tokens", "role", "content", "name", "parameters"];

/// What belongs to calls, which stand and fall together.
const OF_CALLS: [&str; 4] = ["tool_calls", "tool_call_id", "function", "arguments"];

impl Untaken {
    /// The key of this name, if a request can do without it.
    pub(crate) fn field(name: &str) -> Option<Untaken> {
        let is_needed = NEEDED.contains(&name) || OF_CALLS.contains(&name);
        (!is_needed).then(|| Untaken::Field(name.into()))
    }

    /// Words that stand for it in a file.
    pub(crate) fn word(&self) -> String {
        match self {
            Untaken::Tool(name) => format!("tool {name}"),
            Untaken::Field(name) => format!("field {name}"),
            other => PLAIN.iter().find(|(_, plain)| plain == other).map(|(word, _)| (*word).to_string()).unwrap_or_default(),
        }
    }

    pub(crate) fn of_word(word: &str) -> Option<Untaken> {
        let plain = PLAIN.iter().find(|(known, _)| *known == word).map(|(_, plain)| plain.clone());
        plain
            .or_else(|| word.strip_prefix("tool ").map(|name| Untaken::Tool(name.into())))
            .or_else(|| word.strip_prefix("field ").and_then(Untaken::field))
    }

    fn leave_out(&self, body: &mut Map<String, Value>) {
        match self {
            Untaken::Images => messages::describe_images(body),
            Untaken::Tools => tools::describe(body),
            Untaken::ToolMessages => messages::write_calls_as_text(body),
            Untaken::SystemRole => messages::fold_system(body),
            Untaken::RoleOrder => messages::alternate(body),
            Untaken::NamedToolChoice => tools::offer_only_the_chosen(body),
            Untaken::ToolSchemas => tools::make_plain(body),
            Untaken::Tool(name) => tools::remove(body, name),
            Untaken::MaxTokens => {
                if let Some(most) = body.shift_remove("max_tokens") {
                    body.insert("max_completion_tokens".into(), most);
                }
            }
            Untaken::Field(name) => leave_out_field(body, name),
        }
    }
}

const PLAIN: [(&str, Untaken); 8] = [
    ("images", Untaken::Images),
    ("tools", Untaken::Tools),
    ("tool messages", Untaken::ToolMessages),
    ("system role", Untaken::SystemRole),
    ("role order", Untaken::RoleOrder),
    ("named tool choice", Untaken::NamedToolChoice),
    ("tool schemas", Untaken::ToolSchemas),
    ("max_tokens", Untaken::MaxTokens),
];

fn leave_out_field(body: &mut Map<String, Value>, name: &str) {
    if name == "tool_choice" {
        tools::offer_only_the_chosen(body);
    }
    if name == "stream" {
        // Servers refuse it where there is no stream (OpenAI).
        body.shift_remove("stream_options");
    }
    body.shift_remove(name);
    for key in ["messages", "tools"] {
        for part in body.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            part.as_object_mut().map(|part| part.shift_remove(name));
            let function = part.get_mut("function").and_then(Value::as_object_mut);
            function.map(|function| function.shift_remove(name));
        }
    }
}

/// All that is left out of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(BTreeSet<Untaken>);

impl LeftOut {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, untaken: Untaken) {
        self.0.insert(untaken);
    }

    pub(crate) fn contains(&self, untaken: &Untaken) -> bool {
        self.0.contains(untaken)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Untaken> {
        self.0.iter()
    }

    /// The request as it is sent. Keys of `extra`, which the user gives, come last and win.
    pub(crate) fn finish(&self, mut body: Map<String, Value>, extra: &Map<String, Value>) -> Map<String, Value> {
        for untaken in &self.0 {
            untaken.leave_out(&mut body);
        }
        body.extend(extra.clone());
        body
    }

    /// The first of `about` without which the request is another one. A tool that the server names in its `line` is about schemas.
    pub(crate) fn next(
        &self,
        about: &[Untaken],
        line: &str,
        body: &Map<String, Value>,
        extra: &Map<String, Value>,
    ) -> Option<Untaken> {
        let before = self.finish(body.clone(), extra);
        let named = || tools::names(&before).filter(|name| names(line, name)).map(|name| Untaken::Tool(name.into()));
        let mut candidates: Vec<Untaken> = Vec::new();
        for untaken in about {
            candidates.push(untaken.clone());
            if *untaken == Untaken::ToolSchemas {
                candidates.extend(named());
            }
        }
        candidates.into_iter().filter(|untaken| !self.0.contains(untaken)).find(|untaken| {
            let mut with_it = self.clone();
            with_it.add(untaken.clone());
            with_it.finish(body.clone(), extra) != before
        })
    }
}

impl FromIterator<Untaken> for LeftOut {
    fn from_iter<T: IntoIterator<Item = Untaken>>(all: T) -> LeftOut {
        LeftOut(all.into_iter().collect())
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[cfg(test)]
mod tests;
