//! The real Claude Code with `llm-failover gateway`: it offers `WebSearch` there, since nobody has denied it.

use serde_json::{Value, json};

use super::super::{Gateway, TOKEN};
use crate::auto::{self, LIMIT, TODAY, Version, each_of_a_share, same};
use crate::support::script::{Manner, Script, calls, computed, results, says, tools};
use crate::support::{Sandbox, node};

const VERSIONS: [Version; 5] = [(1, 0, 128), (2, 0, 76), (2, 1, 110), (2, 1, 197), TODAY];

#[test]
fn claude_code_hears_that_there_is_no_web_search() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let search = || calls(&[("WebSearch", json!({"query": "the release date"}))]);
        let first = move |question: &Value| match tools(question).contains(&"WebSearch") {
            true => search(),
            false => calls(&[("ToolSearch", json!({"query": "select:WebSearch", "max_results": 1}))]),
        };
        let second = move |question: &Value| match results(question).concat().contains("Web search") {
            true => says("done"),
            false => search(),
        };
        let model = Script::new(Manner::Pieces, 65_536, [computed(first), computed(second), says("done")]);
        let gateway = Gateway::new(&model.url());
        let mut sandbox = Sandbox::new();
        for (key, value) in [
            ("ANTHROPIC_BASE_URL", gateway.url().as_str()),
            ("ANTHROPIC_AUTH_TOKEN", TOKEN),
            ("ANTHROPIC_MODEL", "tiny"),
            ("ANTHROPIC_SMALL_FAST_MODEL", "tiny"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("IS_SANDBOX", "1"),
        ] {
            sandbox.set(key, value);
        }
        sandbox.set_path(&[node(), "/usr/bin".into(), "/bin".into()]);
        let args = ["-p", "look it up", "--dangerously-skip-permissions"];
        let output = sandbox.cmd(auto::claude(version)).args(&args).limit(LIMIT).run();
        same("answer", (0, "done\n".to_string()), (output.code(), output.out()))?;
        let told: Vec<String> = model.questions().iter().flat_map(results).filter(|result| result.contains("earch")).collect();
        let told = told.last().ok_or("no result")?;
        same("the failure", true, told.contains("Web search error: unavailable")).map_err(|fault| format!("{fault}: {told}"))?;
        same("why", true, told.contains("It did not run, and there are no results."))
            .map_err(|fault| format!("{fault}: {told}"))?;
        // Only its own questions are the model's.
        same(
            "the model was asked to search",
            false,
            model.seen().iter().any(|request| String::from_utf8_lossy(&request.body).contains("Perform a web search")),
        )
    });
}
