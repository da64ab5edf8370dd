//! The give-up limits, as the settings have them.

use std::ffi::OsStr;

use crate::failover::Failover;
use crate::settings::RefusalPolicy;
use crate::watch::GiveUpAfter;

impl Failover<'_> {
    pub(super) fn give_up_after(&self) -> GiveUpAfter {
        let settings = &self.context.settings;
        GiveUpAfter {
            retries: settings.retries(self.applet),
            stall: settings.stall(self.applet),
            replays_always: settings.replays_always(),
            has_watchdog: self.context.env("CLAUDE_CODE_RETRY_WATCHDOG").is_some_and(|value| is_yes(&value)),
            resumes: self.resumes && self.policy == RefusalPolicy::Local,
        }
    }
}

/// As Claude Code reads its variables.
fn is_yes(value: &OsStr) -> bool {
    matches!(value.to_string_lossy().trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}
