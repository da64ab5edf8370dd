//! Lines of Claude Code's transcripts, as 2.1.330 writes them: what 2.0.76 to 2.1.330 need to go on with a session, and what the
//! session stores of the Agent SDKs are given.

use std::path::Path;

use serde_json::{Value, json};

use crate::claude_code::answer_model::answer_model;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::messages;
use crate::claude_code::transcript::SessionMessage;
use crate::claude_code::version::COMPATIBLE_WITH;
use crate::context::Context;
use crate::read_file::read_regular;

/// What all entries of a call have in common.
#[derive(Clone)]
pub(crate) struct EntryWriter {
    cwd: String,
    branch: String,
    /// Which program runs Claude Code.
    entrypoint: String,
    /// The local model's name.
    model: String,
}

impl EntryWriter {
    pub(crate) fn new(context: &Context, model: &str) -> EntryWriter {
        let cwd = context.working_dir().unwrap_or_default();
        let entrypoint = context.env("CLAUDE_CODE_ENTRYPOINT").and_then(|name| name.into_string().ok());
        EntryWriter {
            branch: git_branch(&cwd),
            cwd: cwd.to_string_lossy().into_owned(),
            entrypoint: entrypoint.unwrap_or_else(|| "sdk-cli".into()),
            model: model.into(),
        }
    }

    /// A message with this content, which follows the one with the id `parent`.
    pub(crate) fn message(&self, session_id: &str, parent: Option<&str>, message: &SessionMessage, content: Value) -> Value {
        let mut entry = json!({"parentUuid": parent, "isSidechain": false});
        messages::extend(&mut entry, self.own_fields(message, content));
        messages::extend(&mut entry, json!({"uuid": message.uuid, "timestamp": timestamp(message.at)}));
        self.sign(session_id, entry)
    }

    fn own_fields(&self, message: &SessionMessage, content: Value) -> Value {
        match message.role {
            Role::User => json!({"type": "user", "message": {"role": "user", "content": content}}),
            Role::Assistant => {
                let content = if content.is_string() { json!([{"type": "text", "text": content}]) } else { content };
                json!({"type": "assistant", "message": {
                    "id": messages::api_id("msg"), "type": "message", "role": "assistant", "model": answer_model(&self.model),
                    "content": content, "stop_reason": "end_turn", "stop_sequence": null, "usage": messages::no_usage(),
                }})
            }
        }
    }

    /// The line above the summary of a conversation.
    pub(crate) fn compact_boundary(&self, session_id: &str, uuid: &str, last: Option<&str>, metadata: &Value) -> Value {
        let entry = json!({
            "parentUuid": null, "logicalParentUuid": last, "isSidechain": false,
            "type": "system", "subtype": "compact_boundary", "content": "Conversation compacted", "isMeta": false,
            "timestamp": messages::timestamp(), "uuid": uuid, "level": "info", "compactMetadata": metadata,
        });
        self.sign(session_id, entry)
    }

    fn sign(&self, session_id: &str, mut entry: Value) -> Value {
        messages::extend(
            &mut entry,
            json!({
                "userType": "external", "entrypoint": self.entrypoint, "cwd": self.cwd, "sessionId": session_id,
                "version": COMPATIBLE_WITH, "gitBranch": self.branch,
            }),
        );
        entry
    }
}

/// The end of the conversation, which Claude Code takes for it wherever it stands in the file: the last prompt, and the id of the last
/// message.
pub(crate) fn last_prompt(session_id: &str, prompt: &str, leaf: &str) -> Value {
    json!({"type": "last-prompt", "lastPrompt": prompt, "leafUuid": leaf, "sessionId": session_id})
}

pub(crate) fn title(session_id: &str, title: &str) -> Value {
    json!({"type": "custom-title", "customTitle": title, "sessionId": session_id})
}

/// What a session is called where it works with others.
pub(crate) fn agent_name(session_id: &str, name: &str) -> Value {
    json!({"type": "agent-name", "agentName": name, "sessionId": session_id})
}

fn timestamp(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| messages::timestamp(), |at| format!("{at:.3}"))
}

/// The longest file that names a branch, in bytes.
const MOST_HEAD: u64 = 4096;

/// The branch that is checked out, or `HEAD`, as Claude Code says where there is none.
fn git_branch(cwd: &Path) -> String {
    let head = cwd.ancestors().find_map(|folder| read_regular(&folder.join(".git/HEAD"), MOST_HEAD).ok()).unwrap_or_default();
    String::from_utf8_lossy(&head).trim().strip_prefix("ref: refs/heads/").unwrap_or("HEAD").into()
}
