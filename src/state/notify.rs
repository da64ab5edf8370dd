//! The user's own program, which hears of flips and of Claude's state.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::context::Context;
use crate::error::warn;
use crate::settings::Setting;
use crate::state::flag::Backend;
use crate::text::plain;

pub(crate) fn send_flip(context: &Context, backend: Backend) {
    send(
        context,
        match backend {
            Backend::Local => "agent backend flipped to LOCAL. claude usage paused. flip back: llm-failover claude",
            Backend::Claude => "agent backend flipped back to CLAUDE.",
            Backend::Auto => "agent backend flipped to AUTO. claude answers, and a local model while it cannot.",
        },
    );
}

/// Runs `LLM_NOTIFY_CMD` with the message as its one argument, without a shell, and does not wait for it. A command that cannot
/// be run costs a warning and no more.
pub(crate) fn send(context: &Context, message: &str) {
    let Some(program) = context.settings.notify_command() else { return };
    let path = context.expand_home(program);
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
