//! Tools of MCP servers: as many as the context has room for, and those that are used.

use serde_json::{Value, json};

use super::{DONE, FREE, Home, VERSIONS, done};
use crate::auto::{TODAY, Version, each_of_a_share, same};
use crate::support::life::{python, stand_in};
use crate::support::script::{Manner, calls, results, tools};

const OFFERED: usize = 40;

fn name(number: usize) -> String {
    format!("mcp__many__find_{number:02}")
}

/// What makes Claude Code start the server.
fn config() -> [String; 3] {
    let server = json!({"command": python(), "args": [stand_in("mcp_server.py"), OFFERED.to_string()]});
    ["--mcp-config".into(), json!({"mcpServers": {"many": server}}).to_string(), "--strict-mcp-config".into()]
}

/// The tools of the server that a question offers, and what they take in bytes.
fn found(question: &Value) -> (Vec<&str>, usize) {
    let names = tools(question).into_iter().filter(|name| name.starts_with("mcp__many__")).collect();
    let all = question["tools"].as_array().into_iter().flatten();
    let own = all.filter(|tool| tool["function"]["name"].as_str().is_some_and(|name| name.starts_with("mcp__many__")));
    (names, own.map(|tool| tool.to_string().len()).sum())
}

#[test]
fn tools_of_mcp_servers_come_within_a_budget_and_stay_once_used() {
    let others = VERSIONS.into_iter().filter(|version| *version != TODAY).map(|version| (version, 8192));
    let items: Vec<(Version, u32)> = [8192, 16_384, 32_768].map(|n_ctx| (TODAY, n_ctx)).into_iter().chain(others).collect();
    each_of_a_share(&items, 3, |&(version, n_ctx)| {
        let mut home = Home::new(version);
        let call = |number: usize, what: &str| calls(&[(&name(number), json!({"what": what}))]);
        let look = calls(&[("Bash", json!({"command": "echo looked"}))]);
        // The first is offered from the start, and the last is too far behind.
        let model = home.plays_in(n_ctx, Manner::Pieces, [call(0, "whales"), call(OFFERED - 1, "ships"), look, done()]);
        let output = home.ask("find them", &[FREE]).args(&config()).run();
        same("end", (0, format!("{DONE}\n")), (output.code(), output.out())).map_err(|fault| fault + &output.err())?;
        let questions = model.questions();
        same("questions", 4, questions.len())?;
        let (first, length) = found(&questions[0]);
        let expected: Vec<String> = (0..first.len()).map(name).collect();
        same("the first ones", expected.iter().map(String::as_str).collect(), first.clone())?;
        // A token has about four bytes.
        let share = length * 100 / 4 / n_ctx as usize;
        if first.len() == OFFERED || !(3..=7).contains(&share) {
            return Err(format!("{} tools take {share} % of the context: {length} bytes", first.len()));
        }
        let last = name(OFFERED - 1);
        let with_last: Vec<&str> = first.iter().copied().chain([last.as_str()]).collect();
        for (question, expected) in questions.iter().zip([&first, &first, &with_last, &with_last]) {
            let offered = tools(question);
            same("tools of the server", expected.clone(), found(question).0)?;
            same("tools of the trade", true, ["Bash", "Read", "Edit", "Write"].iter().all(|tool| offered.contains(tool)))?;
        }
        let told: Vec<Vec<String>> = questions[1..3].iter().map(results).collect();
        let found = |number: usize, what: &str| vec![format!("find_{number:02} has found {what}")];
        same("results", vec![found(0, "whales"), found(OFFERED - 1, "ships")], told)
    });
}

/// With full instructions 2.1.330 tells their names, and the model finds those that it wants.
#[test]
fn in_a_large_context_they_are_searched_for() {
    let mut home = Home::new(TODAY);
    let last = name(OFFERED - 1);
    let search = calls(&[("ToolSearch", json!({"query": format!("select:{last}")}))]);
    let model = home.plays_in(131_072, Manner::Pieces, [search, calls(&[(&last, json!({"what": "ships"}))]), done()]);
    let output = home.ask("find them", &[FREE]).args(&config()).run();
    assert_eq!((output.code(), output.out()), (0, format!("{DONE}\n")), "{}", output.err());
    let questions = model.questions();
    assert!(questions[0]["messages"].to_string().contains(&last));
    let offered: Vec<Vec<&str>> = questions.iter().map(|question| found(question).0).collect();
    assert_eq!(offered, [vec![], vec![last.as_str()], vec![last.as_str()]]);
    assert_eq!(results(&questions[2]), [format!("find_{} has found ships", OFFERED - 1)]);
}
