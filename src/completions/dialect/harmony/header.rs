//! What the header of a message says: whose it is, its channel, and the tool that it is for.

use super::lexer::{CHANNEL, CONSTRAIN};
use crate::completions::tool::{Tool, offered_name};

pub(super) const CHANNELS: [&str; 3] = ["analysis", "commentary", "final"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Thinking,
    Final,
    /// Commentary, and names that there are not.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'t> {
    pub channel: Channel,
    /// The tool that it calls, one of those offered.
    pub tool: Option<String>,
    /// A message of somebody else: the model goes on with what others would say.
    pub is_imagined: bool,
    /// What stands behind all that: the body, where the model has forgotten the mark before it.
    pub rest: &'t str,
}

/// Reads a header without `<|start|>` and `<|message|>`.
pub(super) fn read<'t>(header: &'t str, tools: &[Tool]) -> Header<'t> {
    let role = header.trim_start().split([' ', '<', '\n']).next().unwrap_or_default();
    let is_imagined = ["user", "system", "developer", "tool"].contains(&role) || role.starts_with("functions.");
    // A model that errs begins the channel anew: the last one counts.
    let mut channels = header.rmatch_indices(CHANNEL).map(|(at, mark)| &header[at + mark.len()..]).peekable();
    let last = channels.peek().copied();
    let (channel, rest) = channels.find_map(named_channel).unwrap_or_else(|| match last {
        Some(unknown) => (Channel::Other, unknown),
        None => named_channel(role).unwrap_or((Channel::Final, header.trim_start().trim_start_matches("assistant"))),
    });
    Header { channel, tool: recipient(header, tools), is_imagined, rest: behind(rest) }
}

fn named_channel(text: &str) -> Option<(Channel, &str)> {
    // Junk comes before the name, too: `––commentary`.
    let text = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic() && c != '<');
    let names = [
        ("analysis", Channel::Thinking),
        ("thinking", Channel::Thinking),
        ("thought", Channel::Thinking),
        ("commentary", Channel::Other),
        ("final", Channel::Final),
    ];
    names.into_iter().find_map(|(name, channel)| Some((channel, text.strip_prefix(name)?)))
}

/// The offered tool that a header names: behind `to=`, as `functions.NAME`, or in the channel's place.
fn recipient(header: &str, tools: &[Tool]) -> Option<String> {
    let words = header.split(|c: char| c.is_whitespace() || c == '<' || c == '>');
    let named = words.filter_map(|word| match word.split_once("to=") {
        Some((_, name)) => Some(name),
        None => Some(word).filter(|word| word.starts_with("functions.")),
    });
    let channels = header.split(CHANNEL).skip(1).map(str::trim).filter(|name| !name.is_empty());
    named.chain(channels).find_map(|name| offered(name, tools))
}

/// `functions.Bash`, `Bash`, and `functions.Bashjson` where a mark was lost.
pub(super) fn offered(name: &str, tools: &[Tool]) -> Option<String> {
    let bare = ["functions.", "functions:", "functions/"].iter().find_map(|space| name.strip_prefix(space)).unwrap_or(name);
    let shorter = ["json", "code"].iter().find_map(|kind| bare.strip_suffix(kind));
    let find = |name: &str| {
        let name = offered_name(tools, name);
        // The format has TypeScript's names, and servers write others so.
        let is_near = |tool: &&Tool| tool.name == name || as_identifier(&tool.name) == as_identifier(&name);
        tools.iter().find(|tool| tool.name == name).or_else(|| tools.iter().find(is_near)).map(|tool| tool.name.clone())
    };
    find(bare).or_else(|| shorter.and_then(find))
}

fn as_identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What comes after the words of a header.
fn behind(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let next = match rest.strip_prefix(CONSTRAIN).or_else(|| rest.strip_prefix("json")) {
            Some(next) => next,
            None if rest.starts_with("to=") => rest.trim_start_matches(|c: char| !c.is_whitespace() && c != '<' && c != '{'),
            None => return rest,
        };
        rest = next.trim_start();
    }
}
