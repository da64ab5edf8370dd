//! The marks that begin calls, and the text between them and their ends.

use super::FAMILIES;

/// What begins the calls of several families.
pub(super) const TOOL_CALL: &str = "<tool_call>";

/// What ends a call that `<tool_call>` began.
pub(super) const TOOL_CALL_END: &str = "</tool_call>";

/// The control tokens that end a model's turn. A server that does not know them as such leaves them in the text.
const TURN_ENDS: [&str; 21] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<|return|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "<turn|>",
    "<|observation|>",
    "<｜end▁of▁sentence｜>",
    "</s>",
    "<|END_RESPONSE|>",
    "<|END_TEXT|>",
    "<|END_OF_TURN_TOKEN|>",
    // Llama 4
    "<|eot|>",
    // GLM
    "<|user|>",
    // MiniMax
    "[e~[",
    // Gemma
    "<eos>",
    // Apriel
    "[END FINAL RESPONSE]",
];

/// What says nothing before an answer: Command R's own marks, and the header of the turn where a server's template has left it out.
const BEGINNINGS: [&str; 11] = [
    "<|START_RESPONSE|>",
    "<|START_TEXT|>",
    "<|im_start|>assistant",
    "<|start_header_id|>assistant<|end_header_id|>",
    "<|begin_of_text|>",
    "<|assistant|>",
    "<start_of_turn>model",
    "<|turn>model",
    "<bos>",
    "<｜Assistant｜>",
    "<｜begin▁of▁sentence｜>",
];

fn openers() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|(openers, _)| *openers).copied()
}

/// The mark before an answer that stands at the beginning of a text.
pub(in crate::completions) fn beginning_of(text: &str) -> Option<&'static str> {
    BEGINNINGS.into_iter().find(|beginning| text.starts_with(beginning))
}

/// Whether such a mark may begin with this text, which is shorter.
pub(in crate::completions) fn is_begun_beginning(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| beginning.len() > text.len() && beginning.starts_with(text))
}

/// The opener that stands at the beginning of a text.
pub(in crate::completions) fn opener_of(text: &str) -> Option<&'static str> {
    openers().find(|opener| text.starts_with(opener))
}

/// Whether an opener is a fence: it counts only where the answer begins, since text before it shows what it holds.
pub(in crate::completions) fn is_fence(opener: &str) -> bool {
    opener.starts_with('`')
}

/// Whether an opener, or the end of a turn, may begin with this text, which is shorter.
pub(in crate::completions) fn is_begun(text: &str, with_openers: bool) -> bool {
    let begins = |mark: &&str| mark.len() > text.len() && mark.starts_with(text);
    with_openers && openers().any(|opener| begins(&opener)) || TURN_ENDS.iter().any(begins)
}

/// The places in which a mark can begin.
pub(in crate::completions) fn places(text: &str) -> impl Iterator<Item = usize> + '_ {
    // The last is the first byte of `◁`.
    let begins = |byte: &u8| matches!(byte, b'<' | b'[' | b'`' | 0xe2);
    text.as_bytes().iter().enumerate().filter(move |(_, byte)| begins(byte)).map(|(at, _)| at)
}

pub(super) fn first_opener(text: &str) -> Option<(usize, &'static str)> {
    places(text).find_map(|at| Some((at, opener_of(text.get(at..)?)?)))
}

/// The text without the ends of turns, and the white space, behind it.
pub(in crate::completions) fn without_turn_ends(text: &str) -> &str {
    let mut rest = text.trim_end();
    while let Some(before) = TURN_ENDS.iter().find_map(|end| rest.strip_suffix(end)) {
        rest = before.trim_end();
    }
    rest
}

/// Whether a text is nothing but ends of turns, the last of which may have only begun.
pub(in crate::completions) fn may_be_turn_end(text: &str) -> bool {
    const LONGEST: usize = 500;
    let mut rest = text;
    while let Some(after) = TURN_ENDS.iter().find_map(|end| rest.strip_prefix(end)).filter(|_| text.len() < LONGEST) {
        rest = after.trim_start();
    }
    rest.len() < text.len() && TURN_ENDS.iter().any(|end| end.starts_with(rest))
}

/// Whether a text is nothing but ends of turns.
pub(in crate::completions) fn is_turn_end(text: &str) -> bool {
    may_be_turn_end(text) && without_turn_ends(text).is_empty()
}

pub(super) fn without<'t>(text: &'t str, end: &str) -> &'t str {
    text.trim_start().strip_prefix(end).unwrap_or(text)
}
