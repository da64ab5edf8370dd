//! The way of somebody whose program has the Agent SDK: two commands, one option in the program, and the program.

use std::path::Path;

use crate::newcomers::Newcomer;
use crate::support::stub::Stub;
use crate::support::{deps, node};

#[test]
fn with_a_program_on_the_agent_sdk() {
    const OPTION: &str = ".local/share/claude-failover/bin/agent-llm";
    let server = Stub::answering("from here");
    let mut newcomer = Newcomer::new("Agent SDK");
    newcomer.sets_up(&server);
    let show = |path: &Path| path.display().to_string();
    let sdk = deps().join("sdk-ts/node_modules/@anthropic-ai/claude-agent-sdk/sdk.mjs");
    let program = format!(
        "const {{ query }} = await import('{}');\n\
         for await (const message of query({{ prompt: 'hi', options: {{ pathToClaudeCodeExecutable: '{}' }} }})) {{\n\
         if (message.type === 'result') console.log(message.result);\n}}\n",
        show(&sdk),
        show(&newcomer.sandbox.path(OPTION))
    );
    newcomer.sandbox.write("program.mjs", program);
    let answer = newcomer.types(&format!("{} program.mjs", show(&node().join("node"))));
    assert_eq!(answer.out(), "from here\n");
    newcomer.done_after(3);
}
