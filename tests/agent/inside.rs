//! What a session holds to: the caller's own rules, and the local model for all that it calls itself.

use serde_json::json;

use super::{DONE, FREE, Home, SAID, done, stderr};
use crate::auto::TODAY;
use crate::support::script::{Manner, calls, results};

#[test]
fn a_claude_that_a_tool_calls_stays_with_the_local_model() {
    let mut home = Home::new(TODAY);
    let flag = home.sandbox.path(".local/state/llm-backend").to_string_lossy().into_owned();
    let command = format!("echo claude > {flag}; claude -p 'a question from inside' < /dev/null");
    let model = home.plays(Manner::Pieces, [calls(&[("Bash", json!({"command": command}))]), done()]);
    let output = home.ask("do it", &[FREE]).run();
    assert_eq!((output.code(), output.out(), stderr(&output)), (0, format!("{DONE}\n"), SAID.to_string()));
    // A question without tools is answered beside the script.
    assert_eq!(results(&model.questions()[1]), ["aside"]);
    let inner =
        model.seen().into_iter().filter(|request| request.is_chat()).map(|request| request.json()["messages"].to_string());
    assert_eq!(inner.filter(|messages| messages.contains("\"content\":\"a question from inside\"")).count(), 1);
    assert_eq!(home.net.seen().len(), 0);
}

#[test]
fn rules_of_the_callers_own_hold_or_nothing_runs() {
    let touch = || calls(&[("Bash", json!({"command": "touch ran"}))]);
    let rules = "{\"permissions\":{\"deny\":[\"Bash\"]},\"model\":\"\\ud800\"}";
    for settings in [format!("\u{feff}{rules}"), rules.to_string()] {
        let mut home = Home::new(TODAY);
        home.plays(Manner::Pieces, [touch(), done()]);
        home.sandbox.write("work/rules.json", settings);
        let output = home.ask("do it", &[FREE, "--settings", "rules.json"]).run();
        assert_eq!((output.code(), output.out()), (0, format!("{DONE}\n")), "{}", output.err());
        assert!(!home.sandbox.path("work/ran").exists());
    }
    let refused = [
        ("rules.json", "no JSON object: trailing comma at line 1 column 19"),
        ("{\"permissions\":[]}", "`permissions` is no object"),
    ];
    for (given, why) in refused {
        let mut home = Home::new(TODAY);
        let model = home.plays(Manner::Pieces, [touch(), done()]);
        home.sandbox.write("work/rules.json", "{\"permissions\":{},}");
        let output = home.ask("do it", &[FREE, "--settings", given]).run();
        output.expect(1, "", &format!("claude: `--settings` cannot be used: {why}\n"));
        assert_eq!(model.questions().len(), 0);
    }
}
