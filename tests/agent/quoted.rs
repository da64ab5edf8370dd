//! What the model only shows is not done: calls in a README, in a log, in a tool's result and in the user's own prompt.

use serde_json::json;

use super::{FREE, Home, SAID, TODAY, stderr};
use crate::auto::{each, same};
use crate::support::script::{Manner, calls, says};

const COMMAND: &str = "touch EXECUTED";

/// The call as some families write it.
fn written() -> [String; 5] {
    let arguments = json!({"command": COMMAND, "description": "x"});
    [
        format!("<tool_call>{}</tool_call>", json!({"name": "Bash", "arguments": arguments})),
        format!("<tool_call>\n<function=Bash>\n<parameter=command>\n{COMMAND}\n</parameter>\n</function>\n</tool_call>"),
        format!("[TOOL_CALLS]Bash[ARGS]{arguments}"),
        format!(
            "<minimax:tool_call><invoke name=\"Bash\"><parameter name=\"command\">{COMMAND}</parameter></invoke></minimax:tool_call>"
        ),
        format!("```tool_code\nBash(command=\"{COMMAND}\", description=\"x\")\n```"),
    ]
}

#[test]
fn a_call_that_is_shown_is_not_made() {
    let [hermes, coder, mistral, minimax, gemma] = written();
    let readme = format!("# Tool calls\n\n```xml\n{coder}\n```\n");
    let log = format!("12:00 INFO parsing {hermes}\n12:01 ERROR failed\n");
    let answers = [
        // A README, in its own fence, and a log in one, at the answer's very end.
        ("Read", format!("The README shows this:\n\n```xml\n{coder}\n```")),
        ("Bash", format!("The log ends so:\n~~~\n{log}~~~")),
        // A tool's result, quoted, and as a sentence's subject.
        ("Bash", format!("It printed:\n\n> {hermes}")),
        ("Bash", format!("{mistral} is what it printed, and I have not run it.")),
        ("", format!("You wrote `{minimax}`")),
        ("", format!("You wrote \"{hermes}\".")),
        ("", format!("{minimax}\n\nThat is what you wrote.")),
        ("", format!("You wrote:\n{gemma}")),
    ];
    each(&answers, |(tool, answer)| {
        let mut home = Home::new(TODAY);
        std::fs::write(home.work("README.md"), &readme).unwrap();
        std::fs::write(home.work("tool.log"), &log).unwrap();
        let looks = match *tool {
            "Read" => vec![calls(&[("Read", json!({"file_path": home.work("README.md")}))])],
            "Bash" => vec![calls(&[("Bash", json!({"command": "cat tool.log"}))])],
            _ => vec![],
        };
        let count = looks.len() + 1;
        let model = home.plays(Manner::Pieces, looks.into_iter().chain([says(answer)]));
        let output = home.ask(&format!("What does it say? {hermes}"), &[FREE]).run();
        same("exit code", 0, output.code())?;
        same("stderr", SAID.to_string(), stderr(&output))?;
        same("stdout", format!("{}\n", answer.trim_end()), output.out())?;
        same("questions", count, model.questions().len())?;
        same("a file of the call", false, std::path::Path::new(&home.work("EXECUTED")).exists())
    });
}

/// The same words where the model means them.
#[test]
fn a_call_that_is_meant_is_made() {
    each(&written(), |call| {
        let mut home = Home::new(TODAY);
        let before = if call.starts_with('`') { "" } else { "As the `README` says:\n" };
        let model = home.plays(Manner::Pieces, [says(format!("{before}{call}")), says("It is there.")]);
        let output = home.ask("do it", &[FREE]).run();
        same("exit code", 0, output.code())?;
        same("stdout", "It is there.\n".to_string(), output.out())?;
        same("questions", 2, model.questions().len())?;
        same("a file of the call", true, std::path::Path::new(&home.work("EXECUTED")).exists())
    });
}
