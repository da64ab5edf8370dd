//! Telling the user's own program about a flip.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::context::Context;
use crate::error::warn;
use crate::settings::Setting;
use crate::state::flag::Backend;
use crate::text::plain;

/// Tells of the switch.
pub(crate) fn flipped(context: &Context, backend: Backend) {
    tell(
        context,
        match backend {
            Backend::Local => "agent backend flipped to LOCAL. claude usage paused. flip back: llm-failover claude",
            Backend::Claude => "agent backend flipped back to CLAUDE.",
            Backend::Auto => "agent backend flipped to AUTO. claude answers, and a local model while it cannot.",
        },
    );
}

/// Runs `LLM_NOTIFY_CMD` with one argument, the message, without a shell, and does not wait for it. A command that
/// cannot be run is worth a warning and no more.
pub(crate) fn tell(context: &Context, message: &str) {
    let Some(program) = context.settings.notify_command() else { return };
    let path = context.expand(program);
    let started = Command::new(&path)
        .arg(message)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        warn("llm-failover", &format!("{} `{}` cannot be run: {}", Setting::NotifyCommand.name(), path.display(), plain(&error)));
    }
}
