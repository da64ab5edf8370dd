//! The real Claude Code by the wrapper form, as VS Code's extension runs it.

use std::path::Path;

use crate::real_cli::{self, real};
use crate::support::messages_api::{answering, refusing};
use crate::support::stub::Stub;
use crate::support::{Sandbox, deps, node};

/// A home that has no other Claude Code than the one that the extension has brought along.
fn sandbox(api: &Stub) -> Sandbox {
    let mut sandbox = real_cli::sandbox(api);
    sandbox.unset("CLAUDE_BIN");
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox
}

#[test]
fn the_list_of_plugins() {
    let sandbox = sandbox(&answering("from Claude"));
    for backend in ["claude", "local", "auto"] {
        sandbox.switch(backend);
        let call = sandbox.cmd("claude").arg(real()).args(&["plugin", "list", "--json"]);
        call.limit(120).run().expect(0, "[]\n", "");
    }
}

#[test]
fn a_chat() {
    let local = Stub::answering("from here");
    for (backend, api, expected) in [
        ("claude", answering("from Claude"), "success: from Claude\ntrue\n"),
        ("local", answering("from Claude"), "success: from here\ntrue\n"),
        ("auto", refusing(529), "success: from here\ntrue\n"),
    ] {
        let mut sandbox = sandbox(&api);
        sandbox.set("LOCAL_LLM_URL", local.url());
        sandbox.switch(backend);
        let sdk = deps().join("sdk-ts/node_modules/@anthropic-ai/claude-agent-sdk/sdk.mjs");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrapper_form/chat.mjs");
        let chat = sandbox.cmd(node().join("node")).arg(script).arg(sdk).arg(sandbox.path("bin/claude")).arg(real());
        let output = chat.dir(sandbox.path("work")).limit(240).run();
        assert_eq!((output.code(), output.out().as_str()), (0, expected), "{backend}: {}", output.err());
    }
}
