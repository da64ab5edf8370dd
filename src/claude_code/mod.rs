//! All that is known of the real Claude Code, and every version number.

pub mod command_line;
pub mod json_schema;
pub mod locate;
pub mod options;
pub mod prompt;
pub mod protocol;
pub mod refusal;
pub mod settings;
pub mod version;
