//! The tools of a lean request: those that the work is done with, in few words, and more of them where there is room.
//!
//! Small models choose the worse the more they can choose from, and read each word of a description on each turn. So a
//! tool says in one breath what it does and how it fails most often, and its schema keeps all arguments.

use serde_json::Value;

use crate::completions::tool::Tool;
use crate::local_model::context::tokens;

/// What reads and changes files and runs programs, with its description. An empty one: the caller's own, shortened.
const CORE: [(&str, &str); 9] = [
    (
        "Bash",
        "Runs a shell command and gives its output. The working directory is kept from call to call, variables are not. For git, \
         builds, tests and searches (`grep -rn`, `find`); read and change files with the other tools. Quote paths with spaces. \
         Nothing that waits for input. `timeout` is in milliseconds.",
    ),
    (
        "Read",
        "Gives the lines of a file, each behind its number, which is no part of the file. `file_path` is absolute. Of a long file \
         read what is needed, by `offset` (a line) and `limit` (how many). Read a file before you change it.",
    ),
    (
        "Edit",
        "Changes a file that was read: puts `new_string` in the place of `old_string`. Copy `old_string` from the file letter by \
         letter, with its indentation and without line numbers, and long enough to be there only once; or set `replace_all`.",
    ),
    ("MultiEdit", "Several changes of one file, as `Edit` makes them, one after the other: all of them or none."),
    (
        "Write",
        "Writes a whole file, in the place of what was there. `file_path` is absolute. Read a file that exists before; change it \
         with `Edit` if little is to be changed.",
    ),
    (
        "Grep",
        "Searches the contents of files by a regular expression (ripgrep). `output_mode`: `files_with_matches` unless you say \
         `content` or `count`; `glob` and `path` narrow the search.",
    ),
    ("Glob", "Finds files by a pattern such as `src/**/*.rs`; the newest come first."),
    ("LS", "Lists a folder. The path is absolute."),
    ("StructuredOutput", ""),
];

/// What comes after that and after the user's own tools, where there is room: the most used first.
const MORE: [&str; 24] = [
    "WebFetch",
    "TodoWrite",
    "TaskCreate",
    "TaskUpdate",
    "TaskList",
    "AskUserQuestion",
    "ExitPlanMode",
    "BashOutput",
    "TaskOutput",
    "KillShell",
    "TaskStop",
    "NotebookEdit",
    "Task",
    "Agent",
    "ToolSearch",
    "Skill",
    "SlashCommand",
    "EnterPlanMode",
    "TaskGet",
    "SendMessage",
    "Monitor",
    "LSP",
    "ListMcpResourcesTool",
    "ReadMcpResourceTool",
];

/// The tools of 2.1.330 that every lean request has.
pub(crate) const ALWAYS: [&str; 6] = ["Bash", "Read", "Edit", "Write", "Grep", "Glob"];

/// Whether more of Claude Code's tools than those have room in a context of so many tokens.
pub(crate) fn has_room_for_more(window: u32) -> bool {
    Budget::of(window as usize).others > 0
}

/// The prefix of tools from MCP servers.
const MCP: &str = "mcp__";

/// The longest descriptions of a tool, and of an argument, in bytes.
const SHORT_DESCRIPTION: usize = 300;
const SHORT_ARGUMENT: usize = 90;

/// Whether these are the tools of Claude Code.
pub(super) fn are_claude_codes(tools: &[Tool]) -> bool {
    tools.iter().any(|tool| core(&tool.name).is_some())
}

/// What tools beside the core may take, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Budget {
    /// The user's own, from MCP servers.
    pub own: usize,
    /// Claude Code's others.
    pub others: usize,
}

impl Budget {
    /// For a context of so many tokens. The smallest ones, and the models that have them, are better off with the core alone.
    pub(super) fn of(window: usize) -> Budget {
        const CORE_ONLY: usize = 8192;
        Budget { own: window / 16, others: window.saturating_sub(CORE_ONLY) / 12 }
    }
}

/// The tools that stay, in the order in which they were. `wanted`: those that must.
pub(super) fn kept(tools: &[Tool], wanted: &[&str], budget: Budget) -> Vec<Tool> {
    if !are_claude_codes(tools) {
        // A program of another kind needs all of its own.
        return tools.iter().map(shortened).collect();
    }
    let rank = |tool: &Tool| match tool.name.as_str() {
        name if core(name).is_some() => Some(0),
        name if name.starts_with(MCP) => Some(1),
        name => MORE.iter().position(|known| *known == name).map(|at| at + 2),
    };
    let ranks: Vec<Option<usize>> = tools.iter().map(rank).collect();
    let mut order: Vec<usize> = (0..tools.len()).filter(|at| ranks[*at].is_some()).collect();
    order.sort_by_key(|at| ranks[*at]);
    let mut left = [usize::MAX, budget.own, budget.others];
    let mut is_kept = vec![false; tools.len()];
    for at in order {
        let length = tokens(&shortened(&tools[at]).in_chat().to_string());
        let left = &mut left[ranks[at].unwrap_or_default().min(2)];
        if length <= *left {
            *left -= length;
            is_kept[at] = true;
        }
    }
    // They take nothing of the budget: what is wanted changes within a session, and must not change the choice of the others.
    let is_wanted = |tool: &Tool| wanted.contains(&tool.name.as_str());
    let kept = tools.iter().zip(is_kept).filter(|(tool, is_kept)| *is_kept || is_wanted(tool));
    kept.map(|(tool, _)| shortened(tool)).collect()
}

/// The same tool in fewer words.
pub(super) fn shortened(tool: &Tool) -> Tool {
    let own = core(&tool.name).filter(|description| (1..tool.description.len()).contains(&description.len()));
    let description = own.unwrap_or_else(|| first_sentences(&tool.description, SHORT_DESCRIPTION));
    let mut schema = tool.schema.clone();
    shorten_schema(&mut schema);
    Tool { name: tool.name.clone(), description: description.into(), schema }
}

fn core(name: &str) -> Option<&'static str> {
    CORE.iter().find(|(known, _)| *known == name).map(|(_, description)| *description)
}

/// All arguments stay, with their types; what is said of each becomes shorter.
fn shorten_schema(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.shift_remove("$schema");
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "description" => *text = first_sentences(text, SHORT_ARGUMENT).to_string(),
                    _ => shorten_schema(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(shorten_schema),
        _ => {}
    }
}

/// As many whole sentences as fit, or the beginning of the first.
pub(super) fn first_sentences(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    let stop = ["\n\n", ".\n", ". "].iter().filter_map(|end| head.rfind(end)).max();
    head[..stop.map_or(head.len(), |at| at + 1)].trim_end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str) -> Tool {
        let schema = json!({
            "$schema": "x", "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {"a": {"type": "string", "description": "One. ".repeat(40)}, "description": {"type": "string"}},
        });
        Tool { name: name.into(), description: "It does this. ".repeat(60), schema }
    }

    #[test]
    fn a_larger_budget_brings_more_tools_in_the_order_of_their_use() {
        let offered = ["Agent", "Bash", "CronCreate", "Edit", "mcp__own__find", "Read", "TodoWrite", "WebFetch", "Write"];
        let offered = offered.map(tool);
        let one = tokens(&shortened(&offered[4]).in_chat().to_string()) + 5;
        let core = ["Bash", "Edit", "Read", "Write"];
        let table: [(usize, usize, &[&str], &[&str]); 7] = [
            (0, 0, &[], &[]),
            (one, 0, &[], &["mcp__own__find"]),
            (0, one, &[], &["WebFetch"]),
            (one, 2 * one, &[], &["mcp__own__find", "TodoWrite", "WebFetch"]),
            (0, 100 * one, &[], &["Agent", "TodoWrite", "WebFetch"]),
            (0, one, &["WebFetch"], &["WebFetch"]),
            (0, 0, &["CronCreate", "mcp__own__find"], &["CronCreate", "mcp__own__find"]),
        ];
        for (own, others, wanted, more) in table {
            let kept = kept(&offered, wanted, Budget { own, others });
            let names: Vec<&str> = kept.iter().map(|tool| tool.name.as_str()).collect();
            let is_expected = |name: &str| core.contains(&name) || more.contains(&name);
            let expected = offered.iter().map(|tool| tool.name.as_str()).filter(|name| is_expected(name));
            assert_eq!(names, expected.collect::<Vec<_>>(), "{own} {others} {wanted:?}");
        }
    }

    #[test]
    fn schemas_keep_all_arguments() {
        let short = shortened(&tool("WebFetch"));
        assert_eq!(short.schema["required"], json!(["a"]));
        assert_eq!(short.schema["properties"]["description"], json!({"type": "string"}));
        assert_eq!(short.schema["properties"]["a"]["type"], "string");
        assert!(short.schema["properties"]["a"]["description"].as_str().unwrap_or_default().len() <= SHORT_ARGUMENT);
        assert!(short.schema.get("$schema").is_none() && short.description.len() <= SHORT_DESCRIPTION);
    }

    #[test]
    fn descriptions_of_the_core_are_short() {
        for (name, description) in CORE {
            assert!(description.len() <= SHORT_DESCRIPTION, "{name}: {}", description.len());
        }
        let told = "Runs it.".to_string();
        assert_eq!(shortened(&Tool { description: told.clone(), ..tool("Bash") }).description, told, "shorter than ours");
    }

    #[test]
    fn descriptions_end_with_a_sentence() {
        let table = [
            ("Short.", 20, "Short."),
            ("One. Two. Three.", 12, "One. Two."),
            ("A first line.\nMore of it that is long", 20, "A first line."),
            ("no sentence at all", 9, "no senten"),
            ("ÿÿÿÿ", 5, "ÿÿ"),
        ];
        for (text, most, expected) in table {
            assert_eq!(first_sentences(text, most), expected, "{text}");
        }
    }
}
