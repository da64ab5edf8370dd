//! What only Anthropic can run is not offered to an agent on the local model.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{DONE, FREE, Home, VERSIONS, done};
use crate::auto::{TODAY, Version, each_of_a_share, same};
use crate::support::script::{Manner, Reply, calls, computed, results, tools};

/// Whatever the user allows or denies beside it.
#[test]
fn web_search_is_not_there() {
    let versions: Vec<Version> = VERSIONS.into_iter().chain([(2, 1, 197)]).collect();
    each_of_a_share(&versions, 3, |&version| {
        for settings in [None, Some(json!({"permissions": {"allow": ["WebSearch"], "deny": ["NotebookEdit"]}}))] {
            let mut home = Home::new(version);
            let model = home.plays(Manner::Pieces, [calls(&[("WebSearch", json!({"query": "the release date"}))]), done()]);
            let settings = settings.map(|settings| settings.to_string());
            let mut args = vec![FREE, "--allowedTools", "WebSearch"];
            if let Some(settings) = &settings {
                args.extend(["--settings", settings.as_str()]);
            }
            let output = home.ask("look it up", &args).run();
            same("answer", (0, format!("{DONE}\n")), (output.code(), output.out()))?;
            // What is not known is not denied aloud.
            same("a warning", false, output.err().contains("deny rule")).map_err(|fault| format!("{fault}: {}", output.err()))?;
            let questions = model.questions();
            let offered = tools(&questions[0]);
            same("offered", [true, false], ["Bash", "WebSearch"].map(|name| offered.contains(&name)))?;
            // 2.1.330 names in words what ToolSearch would find, and older ones the tools of each kind of agent.
            same("named", version < (2, 1, 0), questions[0].to_string().contains("WebSearch"))?;
            same("what the user denies", settings.is_none() && version < TODAY, offered.contains(&"NotebookEdit"))?;
            let heard = results(&questions[1]).concat();
            same("a failure", true, heard.contains("No such tool available")).map_err(|fault| format!("{fault}: {heard}"))?;
            home.is_left_clean()?;
        }
        Ok(())
    });
}

/// Nor does the search for tools find it.
#[test]
fn tool_search_does_not_find_it() {
    let mut home = Home::new(TODAY);
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = heard.clone();
    let find = |query: &str| calls(&[("ToolSearch", json!({"query": query, "max_results": 20}))]);
    let replies: [Reply; 3] = [
        find("select:WebSearch"),
        find("web search"),
        computed(move |question| {
            *noted.lock().expect("no panic") = tools(question).into_iter().map(str::to_string).collect();
            done()
        }),
    ];
    let model = home.plays(Manner::Pieces, replies);
    let output = home.ask("look it up", &[FREE]).run();
    assert_eq!((output.code(), output.out()), (0, format!("{DONE}\n")));
    let questions = model.questions();
    assert!(results(&questions[1]).concat().contains("No matching deferred tools found"), "{:?}", results(&questions[1]));
    let offered = heard.lock().expect("no panic").clone();
    assert!(offered.iter().any(|name| name == "WebFetch") && !offered.iter().any(|name| name == "WebSearch"), "{offered:?}");
}
