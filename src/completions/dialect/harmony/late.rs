//! Calls in Harmony behind a text that has lost its own header: a server has read that, and has left the rest.

use super::{Harmony, Part};
use crate::completions::tool::{Tool, ToolCall};

pub(in crate::completions::dialect) const OPENERS: &[&str] =
    &["<|end|><|start|>assistant", "<|start|>assistant", "<|channel|>commentary", "<|channel|>analysis"];

/// All up to the end of the answer, if that is calls, and thinking between them.
pub(in crate::completions::dialect) fn read<'t>(
    opener: &str,
    after: &'t str,
    tools: &[Tool],
    is_whole: bool,
) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut harmony = Harmony::new(tools);
    let mut parts = harmony.push(opener.trim_start_matches("<|end|>"));
    parts.extend(harmony.push(after));
    parts.extend(harmony.finish(is_whole));
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Call { call, .. } => calls.push(call),
            Part::Thinking(_) => {}
            Part::Text(_) => return None,
        }
    }
    (!calls.is_empty()).then_some((calls, ""))
}
