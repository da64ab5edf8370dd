//! The user's own program, which hears of flips and of Claude's state.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::claude_code::settings::hide_claudes_environment;
use crate::context::Context;
use crate::error::warn;
use crate::settings::{Setting, Settings};
use crate::shown::{Shown, shown};
use crate::state::flag::Backend;
use crate::text::plain;

pub(crate) fn send_flip(context: &Context, backend: Backend) {
    let message = match backend {
        Backend::Local => "agent backend flipped to LOCAL. claude usage paused. flip back: llm-failover claude",
        Backend::Claude => "agent backend flipped back to CLAUDE.",
        Backend::Auto => "agent backend flipped to AUTO. claude answers, and a local model while it cannot.",
    };
    send(context, &message.into());
}

/// Runs `LLM_NOTIFY_CMD` with the message, and does not wait for it. A command that cannot be run costs a warning and no more.
pub(crate) fn send(context: &Context, message: &Shown) {
    let Some((path, mut command)) = command(context, message) else { return };
    let started = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = started {
        warn("llm-failover", &cannot_run(&path, &error));
    }
}

pub(crate) fn cannot_run(path: &Path, error: &io::Error) -> Shown {
    shown!("{} `{}` cannot be run: {}", Setting::NotifyCommand.name(), path.display(), plain(error))
}

/// The program of `LLM_NOTIFY_CMD`, with the message as its one argument, without a shell and without a credential of Claude's or of
/// ours in its environment.
pub(crate) fn command(context: &Context, message: &Shown) -> Option<(PathBuf, Command)> {
    let path = context.expand_home(context.settings.notify_command()?);
    let mut command = Command::new(&path);
    hide_claudes_environment(context, &mut command);
    let ours = [Setting::ApiKey, Setting::GatewayToken].map(|setting| setting.name().to_string());
    for name in ours.into_iter().chain(Settings::keys_of_later_links()) {
        command.env_remove(name);
    }
    command.arg(&**message);
    Some((path, command))
}
