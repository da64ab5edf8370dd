//! Programs of both Agent SDKs that have hooks, a say in permissions, and tools of their own.

use std::path::Path;

use serde_json::json;

use super::{DONE, Home, SAID, VERSIONS, done};
use crate::auto::{LIMIT, TODAY, each, each_of_a_share, same};
use crate::support::script::{Manner, calls, results};
use crate::support::{deps, node};

/// What the programs print of the first session and of the second, which has nothing but a hook.
const EXPECTED: &str = "\
hook PreToolUse Bash
may it use Bash: touch allowed
hook PreToolUse Bash
may it use Bash: touch forbidden
hook PreToolUse mcp__calculator__add
may it use mcp__calculator__add: null
add 1 and 2
result success: All of it is done.
hook UserPromptSubmit
hook PreToolUse Bash
hook Stop
result success: All of it is done.
";

#[derive(Clone, Copy, Debug)]
enum Sdk {
    Python,
    TypeScript,
}

#[test]
fn programs_keep_their_say() {
    each(&[Sdk::Python, Sdk::TypeScript], |&sdk| {
        let mut home = Home::new(TODAY);
        let bash = |command: &str| calls(&[("Bash", json!({"command": command}))]);
        let add = calls(&[("mcp__calculator__add", json!({"a": 1, "b": 2}))]);
        let model =
            home.plays(Manner::Pieces, [bash("touch allowed"), bash("touch forbidden"), add, done(), bash("touch held"), done()]);
        let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name);
        let command = match sdk {
            Sdk::Python => home.sandbox.cmd(deps().join("sdk-py/bin/python")).arg(script("agent.py")),
            Sdk::TypeScript => {
                let module = deps().join("sdk-ts/node_modules/@anthropic-ai/claude-agent-sdk/sdk.mjs");
                home.sandbox.cmd(node().join("node")).arg(script("agent.mjs")).arg(module)
            }
        };
        let output = command.arg(home.sandbox.path("bin/claude")).dir(home.work("")).limit(2 * LIMIT).run();
        same("stdout", EXPECTED.to_string(), output.out()).map_err(|fault| format!("{fault}: {}", output.err()))?;
        same("exit code", 0, output.code())?;
        let said = output.err().lines().filter(|line| line.trim() == SAID.trim()).count();
        same("sessions on the local model", 2, said).map_err(|fault| format!("{fault}: {}", output.err()))?;
        let exists = ["allowed", "forbidden", "held"].map(|name| home.sandbox.path("work").join(name).exists());
        same("what was done", [true, false, false], exists)?;
        let heard: Vec<String> = model.questions().iter().flat_map(results).collect();
        for (heard, expected) in heard.iter().zip(["", "not this one", "3", "held by the hook"]) {
            same(expected, true, heard.contains(expected)).map_err(|_| heard.clone())?;
        }
        same("results", 4, heard.len())?;
        home.is_left_clean()
    });
}

/// As docs/sdks.md shows it: the Python SDK drops fields that it does not know.
#[test]
fn a_python_program_sees_who_has_answered() {
    let plain: [&str; 0] = [];
    let ways = VERSIONS.into_iter().flat_map(|version| [(version, &["Bash"][..]), (version, &plain[..])]).collect::<Vec<_>>();
    each_of_a_share(&ways, 3, |&(version, tools)| {
        let mut home = Home::new(version);
        let _model = home.plays(Manner::Pieces, [done()]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/who.py");
        let cmd = home.sandbox.cmd(deps().join("sdk-py/bin/python")).arg(script).arg(home.sandbox.path("bin/claude"));
        let output = cmd.args(tools).dir(home.work("")).limit(LIMIT).run();
        // What has no tools is an aside to the script.
        let said = if tools.is_empty() { "aside" } else { DONE };
        same("end", (0, format!("{said} True\n")), (output.code(), output.out()))
            .map_err(|fault| format!("{fault}: {}", output.err()))
    });
}
