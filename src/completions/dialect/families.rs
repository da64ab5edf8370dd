//! The families whose marks stand anywhere in an answer, and those that have marks of their own for thinking.

use super::{cohere, deepseek, gemma, granite, invoke, kimi, lfm2, minimax, nemotron, phi, seed_oss};
use crate::completions::tool::{Tool, ToolCall};

/// The calls behind an opener, and the text after them. None: that is no call. `is_whole`: nothing was cut off.
pub(super) type Read =
    for<'t> fn(opener: &str, after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)>;

pub(super) struct Family {
    pub openers: &'static [&'static str],
    pub read: Read,
}

pub(super) const FAMILIES: &[Family] = &[
    Family { openers: cohere::OPENERS, read: cohere::read },
    Family { openers: deepseek::OPENERS, read: deepseek::read },
    Family { openers: gemma::OPENERS, read: gemma::read },
    Family { openers: granite::OPENERS, read: granite::read },
    Family { openers: invoke::OPENERS, read: invoke::read },
    Family { openers: kimi::OPENERS, read: kimi::read },
    Family { openers: lfm2::OPENERS, read: lfm2::read },
    Family { openers: minimax::OPENERS, read: minimax::read },
    Family { openers: nemotron::OPENERS, read: nemotron::read },
    Family { openers: phi::OPENERS, read: phi::read },
    Family { openers: seed_oss::OPENERS, read: seed_oss::read },
];

/// What begins and ends thinking in the families that do not write `<think>`.
pub(in crate::completions) const THINKING: &[&[(&str, &str)]] =
    &[cohere::THINKING, gemma::THINKING, granite::THINKING, kimi::THINKING, MAGISTRAL, seed_oss::THINKING];

/// Its calls are Mistral's.
const MAGISTRAL: &[(&str, &str)] = &[("[THINK]", "[/THINK]")];

/// The family of an opener.
#[cfg(test)]
pub(super) fn opener_at(text: &str) -> Option<(&'static str, Read)> {
    let all = FAMILIES.iter().flat_map(|family| family.openers.iter().map(|opener| (*opener, family.read)));
    all.filter(|(opener, _)| text.starts_with(opener)).max_by_key(|(opener, _)| opener.len())
}
