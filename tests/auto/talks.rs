//! Conversations in lines, as programs have them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{LIMIT, TODAY, VERSIONS, clock, each, each_of_a_share, in_two_hours, same, sandbox, sign_in};
use crate::support::messages_api::{Reply, is_of_the_call, limit, questions_of_the_call, replying};
use crate::support::stub::Stub;
use crate::support::{Sandbox, kill_group, wait};

/// What Claude Code has said at limits and in outages, as a model may repeat it.
const QUOTES: [&str; 20] = [
    "Claude AI usage limit reached|1795341530",
    "Spending cap reached resets 9:59am",
    "Session limit reached ∙ resets 8:13pm",
    "Weekly limit reached ∙ resets Nov 25, 5:13pm",
    "You've hit your limit · resets 10:01am (UTC)",
    "You've hit your session limit · resets 10:01am (UTC)",
    "You've hit your weekly limit · resets Nov 25, 9:01am (UTC)",
    "You've hit your Opus limit · resets Nov 25, 9:01am (UTC)",
    "You've hit your 5-hour limit · resets 10:01am (UTC)",
    "You've hit your monthly spend limit",
    "You're out of extra usage · resets 7:44pm (UTC)",
    "5-hour limit reached ∙ resets 3pm (Europe/Stockholm) · /upgrade to increase your usage limit",
    "No, you haven't hit your rate limit yet.",
    "Credit balance is too low",
    "API Error: 529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
    "API Error: Request rejected (429) · slow down",
    "API Error: Connection error.",
    "Request timed out",
    "Not logged in · Please run /login",
    "It printed:\n\n    You've hit your 5-hour limit · resets 10:01am (UTC)\n\nand ended with exit code 1.",
];

#[test]
fn answers_that_quote_limits_trip_nothing() {
    each(&[(VERSIONS[0], 2 * QUOTES.len()), (TODAY, 200)], |&(version, turns)| {
        let asked = AtomicUsize::new(0);
        let api = replying(move |question| match is_of_the_call(question) {
            true => Reply::Text(QUOTES[asked.fetch_add(1, Ordering::SeqCst) % QUOTES.len()].into()),
            false => Reply::Text("aside".into()),
        });
        let local = Stub::answering("from here");
        let sandbox = sandbox(version, &api, &local);
        let mut talk = Talk::new(&sandbox);
        for turn in 0..turns {
            let result = talk.say("What was printed?")?;
            same("result", &json!(QUOTES[turn % QUOTES.len()]), &result["result"])?;
            same("is_error", &json!(false), &result["is_error"])?;
        }
        same("end", (Some(0), String::new()), talk.end()?)?;
        same("requests to Claude", turns, questions_of_the_call(&api).len())?;
        same("local questions", 0, local.seen().len())?;
        same("an open breaker", false, sandbox.path(".local/state/claude-failover/breaker.json").exists())
    });
}

#[test]
fn a_conversation_is_taken_over_at_the_turn_that_fails() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let api = replying(|question| match question["messages"].to_string().contains("the second") {
            false => Reply::Text("from Claude".into()),
            true => limit("five_hour", in_two_hours().as_second()),
        });
        let local = Stub::answering("from here");
        let mut sandbox = sandbox(version, &api, &local);
        sign_in(&mut sandbox);
        let mut talk = Talk::new(&sandbox);
        let results = [talk.say("the first")?, talk.say("the second")?, talk.say("the third")?];
        same("results", ["from Claude", "from here", "from here"], results.each_ref().map(|result| text(&result["result"])))?;
        same(
            "reasons",
            [&json!(null), &json!("five_hour"), &json!("five_hour")],
            results.each_ref().map(|result| &result["failover"]["reason"]),
        )?;
        same("one session", 1, results.iter().map(|result| text(&result["session_id"])).collect::<BTreeSet<_>>().len())?;
        let line = format!("claude: Claude is at its 5-hour limit until {}; the local model answers\n", clock(in_two_hours()));
        same("end", (Some(0), line), talk.end()?)?;
        let messages = local.chats().last().ok_or("no local question")?.json()["messages"].clone();
        let said: Vec<&str> = messages.as_array().into_iter().flatten().map(|message| text(&message["content"])).collect();
        same("the last local question", vec!["the first", "from Claude", "the second", "from here", "the third"], said)
    });
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("no text")
}

/// A conversation in lines, as programs have it: the next is said when the last is answered.
pub struct Talk {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Talk {
    pub fn new(sandbox: &Sandbox) -> Talk {
        Talk::with(sandbox, &[])
    }

    /// With these arguments, too.
    pub fn with(sandbox: &Sandbox, more: &[&str]) -> Talk {
        let args = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
        let mut child = sandbox.cmd("claude").args(&args).args(more).dir(sandbox.path("work")).spawn();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Talk { child, lines }
    }

    /// Says this and gives the turn's result.
    pub fn say(&mut self, what: &str) -> Result<Value, String> {
        let message = json!({"role": "user", "content": what});
        let line = json!({"type": "user", "message": message, "parent_tool_use_id": null, "session_id": ""});
        let stdin = self.child.stdin.as_mut().ok_or("it was ended")?;
        writeln!(stdin, "{line}").map_err(|error| format!("{what}: {error}"))?;
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(LIMIT)).map_err(|error| format!("{what}: {error}"))?;
            let line: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
            if line["type"] == "result" {
                return Ok(line);
            }
        }
    }

    /// Says no more, and gives the exit code and all of stderr.
    pub fn end(mut self) -> Result<(Option<i32>, String), String> {
        drop(self.child.stdin.take());
        let status = wait(&mut self.child, Duration::from_secs(LIMIT)).ok_or("it does not end")?;
        let stderr = std::io::read_to_string(self.child.stderr.take().expect("a pipe")).expect("text");
        Ok((status.code(), stderr))
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            kill_group(&mut self.child);
        }
    }
}
