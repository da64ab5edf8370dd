//! What the local server refuses while an agent works.

use std::time::Duration;

use serde_json::{Value, json};

use super::{DONE, FREE, Home, VERSIONS, done};
use crate::auto::{TODAY, each_of_a_share, same};
use crate::support::script::{Manner, Reply, calls};
use crate::support::{until, wait};

fn refuses(status: u16, message: &str) -> Reply {
    Reply::Refuses(status, json!({"error": {"message": message}}).to_string())
}

const ROLES: &str = "Jinja Exception: After the optional system message, conversation roles must alternate user and assistant roles \
                     except for tool calls and results.";

/// A red square.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

/// As the templates of Mistral count.
fn alternates(question: &Value) -> bool {
    let counts =
        |message: &&Value| message["role"] == "user" || message["role"] == "assistant" && message.get("tool_calls").is_none();
    let messages = question["messages"].as_array().expect("messages").iter().filter(counts);
    messages.enumerate().all(|(at, message)| (message["role"] == "user") == (at % 2 == 0))
}

#[test]
fn an_agent_goes_on_after_each() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::new(version);
        let picture = home.sandbox.write("work/a.png", PICTURE);
        let model = home.plays(
            Manner::Pieces,
            [
                refuses(503, "server busy, please try again.  maximum pending requests exceeded"),
                calls(&[("Read", json!({"file_path": picture}))]),
                refuses(500, "Failed to parse input at pos 12: </tool_call>"),
                refuses(500, ROLES),
                done(),
            ],
        );
        let output = home.ask("look at it", &[FREE]).run();
        same("the end", (0, format!("{DONE}\n")), (output.code(), output.out()))?;
        let questions = model.questions();
        same("questions", 5, questions.len())?;
        same("the same question", &questions[2], &questions[3])?;
        // Claude Code sends the picture behind the tool's result.
        same("a question out of order", false, alternates(&questions[3]))?;
        same("the same in order", true, alternates(&questions[4]))?;
        same("the picture", true, questions[4].to_string().contains("data:image/png;base64,"))?;
        home.is_left_clean()
    });
}

#[test]
fn the_switch_ends_a_pause() {
    let mut home = Home::new(TODAY);
    let busy = || refuses(503, "server busy");
    let model = home.plays(Manner::Pieces, (0..15).map(|_| busy()));
    let mut child = home.ask("do it", &[FREE]).spawn();
    drop(child.stdin.take());
    // The next pause takes four seconds.
    until(60, "a pause", || model.questions().len() == 3);
    home.sandbox.switch("claude");
    assert!(wait(&mut child, Duration::from_secs(60)).is_some_and(|status| status.code() == Some(1)));
    assert_eq!(model.questions().len(), 3);
}
