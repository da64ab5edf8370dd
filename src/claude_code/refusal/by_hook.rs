//! The verdict on a turn of a Claude Code at a terminal, which prints no stream.

use jiff::Timestamp;

use crate::claude_code::hooks::Refusal;
use crate::claude_code::refusal::{Ending, Evidence, Verdict, of_turn};

/// By what the hook tells. The line in the session's transcript has more (2.1.330), but may be written after the hook has run.
pub(crate) fn of_hook(refusal: &Refusal, now: Timestamp) -> Verdict {
    let ending =
        Ending { subtype: "success".into(), is_error: true, text: refusal.last_assistant_message.clone(), ..Ending::default() };
    let evidence = Evidence {
        result: Some(ending),
        is_synthetic: true,
        // A 402 has no word of its own (2.1.330).
        error: Some(refusal.error.clone()).filter(|error| !error.is_empty() && error != "unknown"),
        ..Evidence::default()
    };
    of_turn(&evidence, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claude_code::refusal::Cause;

    #[test]
    fn refusals_as_the_hook_tells_them() {
        let now: Timestamp = "2026-11-26T20:00:00Z".parse().unwrap();
        let nine = "2026-11-26T21:00:00Z".parse().ok();
        let limit = |name: &str| format!("{name} \u{b7} resets 9pm (UTC)");
        let text = str::to_string;
        // 2.1.330; `session limit` is what 2.1.78 to 2.1.197 say.
        let table = [
            ("rate_limit", limit("You've hit your 5-hour limit"), Cause::FiveHour, nine),
            ("rate_limit", limit("You've hit your session limit"), Cause::FiveHour, nine),
            ("rate_limit", limit("You've hit your weekly limit"), Cause::SevenDay, nine),
            ("rate_limit", limit("You've hit your Opus limit"), Cause::Model, nine),
            ("rate_limit", limit("You're out of usage credits"), Cause::Spend, nine),
            ("billing_error", text("Credit balance is too low"), Cause::Credit, None),
            ("unknown", text("API Error: 402 There is an issue with your billing."), Cause::Credit, None),
            ("rate_limit", text("API Error: Server is temporarily limiting requests"), Cause::Throttle, None),
            ("rate_limit", text("API Error: Request rejected (429) \u{b7} This request would exceed"), Cause::Throttle, None),
            ("server_error", text("API Error: 529 Overloaded. This is a server-side issue"), Cause::Overload, None),
            ("server_error", text("API Error: 500 Internal server error."), Cause::ServerError, None),
            ("server_error", text("API Error: Connection refused \u{2014} a firewall (ECONNREFUSED)"), Cause::Network, None),
            ("server_error", text("API Error: Connection dropped (ECONNRESET)."), Cause::Network, None),
            ("authentication_failed", text("Please run /login \u{b7} API Error: 401 revoked"), Cause::SignIn, None),
            ("oauth_org_not_allowed", text("Your organization has disabled Claude"), Cause::SignIn, None),
        ];
        for (error, text, cause, until) in table {
            let verdict = of_hook(&Refusal { error: error.into(), last_assistant_message: text.clone() }, now);
            assert_eq!((verdict.cause, verdict.until), (cause, until), "{error} {text}");
        }
    }
}
