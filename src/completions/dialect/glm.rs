//! GLM: `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…</tool_call>`.

use super::between::Body;
use super::marks::{TOOL_CALL, TOOL_CALL_END};
use super::typed;
use crate::completions::tool::{Tool, ToolCall, offered_name};

const KEY: &str = "<arg_key>";

const VALUE_END: &str = "</arg_value>";

pub(super) fn read<'t>(after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let Body { text: body, left, is_closed } = Body::of(TOOL_CALL, after, TOOL_CALL_END);
    let (before, pairs) = body.split_once(KEY).map_or((body, None), |(before, _)| (before, Some(&body[before.len()..])));
    let name = offered_name(tools, before.trim());
    let call = |arguments| Some((vec![ToolCall { name: name.clone(), arguments }], left));
    let Some(pairs) = pairs else {
        // A tool without arguments.
        return if is_closed && tools.iter().any(|tool| tool.name == name) { call(Ok(Default::default())) } else { None };
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    if !is_closed {
        return match pairs.trim_end().ends_with(VALUE_END) {
            true if is_whole => call(Ok(arguments(pairs, &name, tools))),
            // Text that follows shows that it is none.
            _ if is_whole => None,
            _ => call(Err(pairs.into())),
        };
    }
    call(Ok(arguments(pairs, &name, tools)))
}

fn arguments(pairs: &str, name: &str, tools: &[Tool]) -> serde_json::Map<String, serde_json::Value> {
    let read = |pair: &str| {
        let (key, rest) = pair.split_once("</arg_key>")?;
        let value = rest.split_once("<arg_value>")?.1;
        let value = value.split_once(VALUE_END).map_or(value, |(value, _)| value);
        Some((key.trim().to_string(), typed(tools, name, key.trim(), value)))
    };
    pairs.split(KEY).skip(1).filter_map(read).collect()
}
