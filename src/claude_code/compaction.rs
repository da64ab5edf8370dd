//! When Claude Code compacts a conversation with a local model, and how it is told to: late, so that most of the context is used, and before
//! the request for the summary no longer fits.

use crate::claude_code::version::Version;

/// What 2.1.330 keeps free of the context that it is told when it compacts, beside the longest answer. (It refuses to ask with 3,000 left.)
const KEPT_FREE: u32 = 13_000;

/// So much of the context is used when 2.1.330 compacts, in percent. Results that it has not sent yet count by a third too much.
const COMPACTED_AT: u32 = 91;

/// The same for versions before 2.1.197, which end where the gateway has to refuse.
const COMPACTED_BEFORE: u32 = 85;

/// The same for those that count no result before they have sent it. The gateway keeps a tenth for the answer, and a step of another tenth
/// must fit as well.
const COMPACTED_BLINDLY: u32 = 78;

/// The context that those take for granted.
const ASSUMED_BEFORE: u32 = 200_000;

/// How Claude Code learns when to compact: 2.1.330 by the context that it is told, 2.1.110 and 2.0.76 by a percentage of 200,000 tokens
/// less the longest answer, and 2.1.197 by nothing but the gateway's refusal of a prompt that is too long.
pub(super) fn compaction(window: u32, max_tokens: u32, version: Option<Version>) -> (&'static str, String) {
    let share = |percent: u32| (u64::from(window) * u64::from(percent) / 100) as u32;
    if let Some(version) = version.filter(|version| version.compacts_by_percentage()) {
        let whole = ASSUMED_BEFORE.saturating_sub(max_tokens).max(1);
        let used = share(if version.counts_unsent() { COMPACTED_BEFORE } else { COMPACTED_BLINDLY });
        let percentage = f64::from(used) / f64::from(whole) * 100.0;
        return ("CLAUDE_AUTOCOMPACT_PCT_OVERRIDE", format!("{:.2}", percentage.min(100.0)));
    }
    let told = share(COMPACTED_AT).saturating_add(max_tokens + KEPT_FREE);
    ("CLAUDE_CODE_MAX_CONTEXT_TOKENS", told.to_string())
}

/// The limits of what one tool may bring into a conversation, where Claude Code's own are more than a quarter of the context: the name of
/// each variable, and the limit. Characters for a command's output, of which a token has about four, and else tokens.
pub(super) fn limits_of_results(window: u32) -> Vec<(&'static str, u32)> {
    // As 2.1.330 has them.
    let own = [
        ("BASH_MAX_OUTPUT_LENGTH", 30_000, window),
        ("CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS", 25_000, window / 4),
        ("MAX_MCP_OUTPUT_TOKENS", 25_000, window / 4),
    ];
    own.into_iter().filter(|(_, own, limit)| limit < own).map(|(name, _, limit)| (name, limit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_take_a_quarter_of_the_context_at_most() {
        let [bash, read, mcp] = ["BASH_MAX_OUTPUT_LENGTH", "CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS", "MAX_MCP_OUTPUT_TOKENS"];
        assert_eq!(limits_of_results(8192), [(bash, 8192), (read, 2048), (mcp, 2048)]);
        assert_eq!(limits_of_results(65_536), [(read, 16_384), (mcp, 16_384)]);
        assert_eq!(limits_of_results(131_072), []);
    }

    #[test]
    fn what_each_version_is_told_of_the_context() {
        let (told, percentage) = ("CLAUDE_CODE_MAX_CONTEXT_TOKENS", "CLAUDE_AUTOCOMPACT_PCT_OVERRIDE");
        let table = [
            (8192, 2048, None, (told, "22502")),
            (32_768, 4096, Some(Version(2, 1, 330)), (told, "46914")),
            (65_536, 4096, Some(Version(2, 1, 197)), (told, "76733")),
            (16_384, 4096, Some(Version(2, 1, 110)), (percentage, "7.11")),
            (65_536, 4096, Some(Version(2, 0, 76)), (percentage, "26.09")),
            (1_000_000, 4096, Some(Version(2, 0, 76)), (percentage, "100.00")),
        ];
        for (window, max_tokens, version, (name, value)) in table {
            assert_eq!(compaction(window, max_tokens, version), (name, value.to_string()), "{window} {version:?}");
        }
    }
}
