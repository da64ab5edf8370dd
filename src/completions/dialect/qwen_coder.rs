//! Qwen 3 Coder: `<function=NAME>` with a `<parameter=KEY>` for each argument, and JSON there in Llama 3.

use serde_json::{Map, Value};

use super::between::Body;
use super::json::read_json;
use super::marks::{FUNCTION, TOOL_CALL_END, without};
use super::typed;
use crate::completions::tool::{Tool, ToolCall, offered_name};

const END: &str = "</function>";

/// From behind `<function=`.
pub(super) fn read<'t>(after: &'t str, tools: &[Tool], is_whole: bool) -> Option<(Vec<ToolCall>, &'t str)> {
    let (name, inner) = after.split_once('>')?;
    let name = Some(offered_name(tools, name.trim())).filter(|name| !name.is_empty() && !name.contains(['<', '\n']))?;
    let (arguments, left) = match read_json(inner.trim_start(), is_whole) {
        Some((Value::Object(arguments), left)) => (Ok(arguments), without(left, END)),
        _ => {
            let Body { text, left, is_closed } = Body::of(FUNCTION, inner, END);
            // Without its end it is whole only if it is the last.
            let is_whole = is_closed || is_whole && left.is_empty();
            (if is_whole { parameters(text, &name, tools) } else { Err(text.into()) }, left)
        }
    };
    Some((vec![ToolCall { name, arguments }], without(left, TOOL_CALL_END)))
}

fn parameters(body: &str, name: &str, tools: &[Tool]) -> Result<Map<String, Value>, String> {
    if !body.trim().is_empty() && !body.contains("<parameter=") {
        return Err(body.into());
    }
    let mut arguments = Map::new();
    for parameter in body.split("<parameter=").skip(1) {
        let (key, value) = parameter.split_once('>').ok_or(body)?;
        let value = value.rsplit_once("</parameter>").map_or(value, |(value, _)| value);
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        arguments.insert(key.trim().into(), typed(tools, name, key.trim(), value));
    }
    Ok(arguments)
}
