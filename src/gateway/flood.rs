//! An answer that makes the same call again and again, side by side: small models do that until they may write no more.

use std::collections::HashMap;

use crate::completions::circles::MOST_SAME_CALLS;
use crate::completions::tool::ToolCall;
use crate::gateway::repeats::hash_of_deed;

/// Leaves the first ones of calls that do the same. `is_cut`: the answer did not come to its own end.
pub(super) fn stem(calls: &mut Vec<ToolCall>, is_cut: bool) {
    let mut times: HashMap<u64, usize> = HashMap::new();
    calls.retain(|call| {
        let Ok(arguments) = &call.arguments else { return true };
        let times = times.entry(hash_of_deed(&call.name, arguments)).or_default();
        *times += 1;
        *times <= MOST_SAME_CALLS
    });
    // What was cut off in a flood is a part of it, and no reason to make none of the others.
    let is_flood = times.into_values().any(|times| times >= MOST_SAME_CALLS);
    if is_cut && is_flood && calls.last().is_some_and(|last| last.arguments.is_err()) {
        calls.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A call in short: a tool and its argument, which is cut off before its end if there is none.
    fn call(text: &str) -> ToolCall {
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        let arguments = json!({"a": argument}).as_object().cloned().filter(|_| !argument.is_empty());
        ToolCall { name: name.into(), arguments: arguments.ok_or_else(|| "{\"a".into()) }
    }

    #[test]
    fn of_the_same_calls_some_are_made() {
        let same = "Roll 6";
        let table: [(&str, &[&str], bool, &[&str]); 9] = [
            ("one", &[same], false, &[same]),
            ("two", &[same, same], false, &[same, same]),
            ("ten", &[same; 10], false, &[same; 3]),
            (
                "in turn",
                &[same, "Roll 8", same, "Roll 8", same, same, "Roll 8"],
                false,
                &[same, "Roll 8", same, "Roll 8", same, "Roll 8"],
            ),
            (
                "many different ones",
                &["A 1", "A 2", "A 3", "A 4", "B 1", "B 2"],
                true,
                &["A 1", "A 2", "A 3", "A 4", "B 1", "B 2"],
            ),
            ("a flood that was cut off", &[same, same, same, same, "Roll"], true, &[same; 3]),
            ("as soon as it is one", &[same, same, same, "Roll"], true, &[same; 3]),
            ("one that was cut off behind two", &[same, same, "Roll"], true, &[same, same, "Roll"]),
            ("one that nobody can read", &[same, same, same, same, "Roll"], false, &[same, same, same, "Roll"]),
        ];
        for (what, made, is_cut, expected) in table {
            let mut calls: Vec<ToolCall> = made.iter().map(|text| call(text)).collect();
            stem(&mut calls, is_cut);
            assert_eq!(calls, expected.iter().map(|text| call(text)).collect::<Vec<_>>(), "{what}");
        }
    }

    #[test]
    fn what_is_said_of_a_command_makes_no_other() {
        let command = |description: usize| {
            let arguments = json!({"command": "ls", "description": description.to_string()});
            ToolCall { name: "Bash".into(), arguments: Ok(arguments.as_object().cloned().unwrap_or_default()) }
        };
        let mut calls: Vec<ToolCall> = (0..10).map(command).collect();
        stem(&mut calls, false);
        assert_eq!(calls, (0..3).map(command).collect::<Vec<_>>());
    }
}
