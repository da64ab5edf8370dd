//! `llm-failover statusline`: who answers, in a few words, from files alone.

mod format;
mod session;

use jiff::Timestamp;

use crate::claude_code::settings::is_inside;
use crate::cli::statusline::session::Session;
use crate::context::Context;
use crate::error::Result;
use crate::local_model::server_memory::ServerMemory;
use crate::settings::FIRST;
use crate::shown::{Shown, shown};
use crate::state::breaker::Breaker;
use crate::state::flag::{Backend, Flag};
use crate::style::Painted;
use crate::text::clock;

pub(super) use format::{FORMATS, Format};

/// What the line tells.
struct Line {
    switch: Backend,
    /// Whether the local model answers now.
    is_local: bool,
    /// `claude`, `local MODEL`, `auto: claude`, `auto: local until 09:54`.
    words: Shown,
    /// The local model, as far as its name is known.
    model: Option<String>,
    /// When Claude is expected back.
    until: Option<Timestamp>,
    /// The session of Claude Code that shows the line.
    session: Option<Session>,
}

/// Prints nothing itself.
pub(super) fn line(context: &Context, format: Format) -> Result<Painted> {
    let session = Session::from_stdin(context);
    let flag = Flag::new(context)?.read().0;
    let model = context.settings.model(FIRST)?.or_else(|| ServerMemory::new(context, FIRST).model("")?.id);
    let mut line = Line { switch: flag, is_local: false, words: Shown::default(), model, until: None, session };
    match flag {
        // What the session runs on counts, whatever has become of the switch meanwhile.
        _ if is_inside(context) => line.set_local(),
        Backend::Claude => line.words = "claude".into(),
        Backend::Local => line.set_local(),
        Backend::Auto => line.set_auto(&Breaker::new(context)?),
    }
    Ok(format::text(format, &line))
}

impl Line {
    fn set_local(&mut self) {
        let name = self.model.as_deref().map(short_name).unwrap_or_default();
        (self.is_local, self.words) = (true, Shown::line(shown!("local {name}").trim_end()));
    }

    fn set_auto(&mut self, breaker: &Breaker) {
        let (last, now) = (breaker.conditions().iter().map(|condition| condition.until).max(), Timestamp::now());
        self.is_local = last.is_some();
        self.until = last.flatten().filter(|until| *until > now);
        self.words = match (last, self.until) {
            (None, _) => "auto: claude".into(),
            (_, Some(until)) => shown!("auto: local until {}", clock(until, now)),
            (_, None) => "auto: local".into(),
        };
    }
}

/// `qwen2.5-7b` of `mlx-community/Qwen2.5-7B-Instruct-4bit`: without whose it is, and without how it was trained and packed.
fn short_name(model: &str) -> String {
    const PACKED: [&str; 11] = ["instruct", "it", "chat", "gguf", "mlx", "4bit", "6bit", "8bit", "bf16", "fp16", "dwq"];
    let name = model.rsplit('/').next().unwrap_or(model).to_lowercase();
    let mut name = name.strip_suffix(".gguf").unwrap_or(&name);
    while let Some((rest, last)) = name.rsplit_once('-') {
        let is_quantization = last.starts_with('q') && last.contains('_');
        if rest.is_empty() || !PACKED.contains(&last) && !is_quantization {
            break;
        }
        name = rest;
    }
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn names_of_models_in_short() {
        let table = [
            ("mlx-community/Qwen2.5-7B-Instruct-4bit", "qwen2.5-7b"),
            ("qwen2.5-7b", "qwen2.5-7b"),
            ("qwen3:8b", "qwen3:8b"),
            ("/models/Qwen2.5-7B-Instruct-Q4_K_M.gguf", "qwen2.5-7b"),
            ("google/gemma-3-12b-it", "gemma-3-12b"),
            ("some-model", "some-model"),
            ("-it", "-it"),
            ("it", "it"),
            ("a/", ""),
        ];
        for (model, expected) in table {
            assert_eq!(short_name(model), expected, "{model}");
        }
    }
}
