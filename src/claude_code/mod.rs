//! All that is known of the real Claude Code, and every version number.

pub(crate) mod answer_model;
pub(crate) mod call_check;
pub(crate) mod command_line;
mod compaction;
pub(crate) mod customizations;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod hooks;
pub(crate) mod json_schema;
pub(crate) mod locate;
pub(crate) mod mentions;
pub(crate) mod on_path;
pub mod options;
pub(crate) mod projects;
pub(crate) mod prompt;
pub(crate) mod protocol;
pub(crate) mod ready;
pub(crate) mod refusal;
pub(crate) mod settings;
pub(crate) mod slash_command;
pub(crate) mod stored_key;
pub(crate) mod transcript;
pub(crate) mod transcript_entry;
pub(crate) mod unanswered;
pub(crate) mod unknown_model;
pub(crate) mod version;
pub(crate) mod wrapper;
