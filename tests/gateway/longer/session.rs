//! A session of Claude Code as its requests show it.

use serde_json::{Value, json};

/// What the program tells in the first message.
pub const TOLD: &str = "Be kind to whales.";

/// A session of Claude Code.
pub struct Session {
    pub messages: Vec<Value>,
    calls: usize,
    pub turns: usize,
}

impl Session {
    fn new() -> Session {
        Session { messages: vec![], calls: 0, turns: 0 }
    }

    /// A session that is so long, in tokens of four bytes.
    pub fn of(tokens: usize, turn: usize) -> Session {
        let mut session = Session::new();
        while Value::from(session.messages.clone()).to_string().len() / 4 < tokens {
            session.asks(turn / 4);
            session.calls(turn / 2);
            session.answers("So it is.");
        }
        session
    }

    /// The user says so much.
    pub fn asks(&mut self, tokens: usize) {
        self.turns += 1;
        let said = format!("Question {}: what does sh step.sh print? {}", self.turns, words(tokens));
        let reminder = format!("<system-reminder>\n# claudeMd\n{TOLD}\n</system-reminder>");
        let said = json!({"type": "text", "text": said});
        let content = match self.messages.is_empty() {
            true => json!([{"type": "text", "text": reminder}, said]),
            false => json!([said]),
        };
        self.messages.push(json!({"role": "user", "content": content}));
    }

    /// The model makes two calls at once, which give so much together, and now and then an image.
    pub fn calls(&mut self, tokens: usize) {
        self.calls += 1;
        let ids = ["a", "b"].map(|letter| format!("toolu_{letter}{}", self.calls));
        let call = |id: &String| json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": format!("cat {id}")}});
        self.messages.push(json!({"role": "assistant", "content": ids.iter().map(call).collect::<Vec<_>>()}));
        let result = |id: &String| {
            let printed = json!({"type": "text", "text": format!("{id}: {}", words(tokens / 2))});
            json!({"type": "tool_result", "tool_use_id": id, "content": [printed]})
        };
        let mut results: Vec<Value> = ids.iter().map(result).collect();
        if self.calls.is_multiple_of(6) {
            let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": format!("iVBORw0KGgo{:05}", self.calls).repeat(300)}});
            results[1]["content"].as_array_mut().unwrap().push(image);
        }
        self.messages.push(json!({"role": "user", "content": results}));
    }

    pub fn answers(&mut self, text: &str) {
        self.messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": text}]}));
    }

    pub fn request(&self) -> Value {
        let tool = |name: &&str| {
            let schema = json!({"type": "object", "properties": {"command": {"type": "string"}}});
            json!({"name": name, "description": "It does this. ".repeat(20), "input_schema": schema})
        };
        let tools: Vec<Value> = ["Bash", "Edit", "Glob", "Grep", "Read", "Task", "TodoWrite", "Write"].iter().map(tool).collect();
        let identity = "You are Claude Code, Anthropic's official CLI for Claude.";
        let main = "You are an interactive agent. ".to_string() + &"Do this, and not that. ".repeat(400);
        json!({"model": "m", "max_tokens": 1000, "system": [{"type": "text", "text": identity}, {"type": "text", "text": main}],
               "messages": self.messages, "tools": tools})
    }
}

fn words(tokens: usize) -> String {
    "one line of many that are printed here\n".chars().cycle().take(tokens * 4).collect()
}
