//! When Claude is given up: the settings.

use std::ffi::OsStr;
use std::time::Duration;

use crate::context::Context;
use crate::error::warn;
use crate::failover::Failover;
use crate::routing::refusal_policy::RefusalPolicy;
use crate::watch::GiveUpAfter;

impl Failover<'_> {
    pub(super) fn give_up_after(&self) -> GiveUpAfter {
        let number = |key, default, expected| {
            self.context.number(key, default, expected).unwrap_or_else(|error| {
                warn(self.applet, &format!("{error}; using {default}"));
                default
            })
        };
        let replays_always = self.context.setting("LLM_FAILOVER_REPLAY").is_some_and(|value| value == "always");
        GiveUpAfter {
            retries: number("LLM_FAILOVER_RETRIES", 2, "a number of retries").try_into().unwrap_or(u32::MAX),
            stall: Duration::from_secs(number("LLM_FAILOVER_STALL", 120, "a number of seconds")),
            replays_always,
            has_watchdog: self.context.env("CLAUDE_CODE_RETRY_WATCHDOG").is_some_and(|value| is_yes(&value)),
            resumes: resumes(self.applet, self.context) && self.policy == RefusalPolicy::Local,
        }
    }
}

/// `LLM_FAILOVER_RESUME`.
fn resumes(applet: &str, context: &Context) -> bool {
    let word = context.setting("LLM_FAILOVER_RESUME").unwrap_or_default().to_string_lossy().trim().to_ascii_lowercase();
    if !matches!(word.as_str(), "" | "auto" | "never") {
        warn(applet, &format!("LLM_FAILOVER_RESUME is `{word}`: expected auto or never; using auto"));
    }
    word != "never"
}

/// As Claude Code takes its variables.
fn is_yes(value: &OsStr) -> bool {
    matches!(value.to_string_lossy().trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}
