//! `llm-failover statusline`: who answers, in a few words, from files alone.

use jiff::Timestamp;

use crate::context::Context;
use crate::error::Result;
use crate::settings::FIRST;
use crate::state::breaker::Breaker;
use crate::state::flag::{Backend, Flag};
use crate::text::clock;

/// `claude`, `local MODEL`, `auto: claude`, `auto: local until 09:54`.
pub(super) fn line(context: &Context) -> Result<String> {
    let words = match Flag::new(context)?.read().0 {
        Backend::Claude => "claude".into(),
        Backend::Local => format!("local {}", context.settings.model(FIRST)?.unwrap_or_default()),
        Backend::Auto => auto(&Breaker::new(context)?, Timestamp::now()),
    };
    Ok(format!("{}\n", words.trim_end()))
}

fn auto(breaker: &Breaker, now: Timestamp) -> String {
    match breaker.conditions().iter().map(|condition| condition.until).max() {
        None => "auto: claude".into(),
        Some(Some(until)) if until > now => format!("auto: local until {}", clock(until, now)),
        Some(_) => "auto: local".into(),
    }
}
