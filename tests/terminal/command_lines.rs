//! What the user has given Claude Code stays in force on both sides: options, prompts, sessions, settings and hooks.

use std::fs;

use serde_json::json;

use super::{ASKS, Home, VERSIONS, conversation};
use crate::auto::{TODAY, each_of_a_share, in_two_hours, same};
use crate::support::script::says;

const ID: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";

/// Command lines, and the prompt in each.
const LINES: [(&str, Option<&str>); 9] = [
    ("claude --continue", None),
    ("claude -c 'Of cherries.'", Some("Of cherries.")),
    ("claude --resume aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1", None),
    ("claude 'Of cherries.'", Some("Of cherries.")),
    ("claude -- '--of cherries'", Some("--of cherries")),
    ("claude --allowedTools Read Glob -- 'Of cherries.'", Some("Of cherries.")),
    ("claude --add-dir . --permission-mode acceptEdits 'Of cherries.'", Some("Of cherries.")),
    ("claude --session-id bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbb1 'Of cherries.'", Some("Of cherries.")),
    ("agent-llm 'Of cherries.'", Some("Of cherries.")),
];

#[test]
fn however_the_session_began() {
    let mut items: Vec<_> = LINES.into_iter().map(|line| (TODAY, line)).collect();
    items.extend([LINES[0], LINES[5]].map(|line| (VERSIONS[0], line)));
    each_of_a_share(&items, 2, |&(version, (line, prompt))| {
        let mut home = Home::new(version);
        let model = home.plays([says("The first of here."), says("The second of here.")]);
        home.claude_says("The first of Claude.");
        let begun = ["-c ", "--continue", "--resume"].iter().any(|option| line.contains(option));
        if begun {
            home.claude_says("An earlier answer.");
            let first = home.session(&format!("claude --session-id {ID}"));
            first.hears("Of apples.", "An earlier answer.");
            // In 2.1.78 `/exit` is a part of the conversation.
            first.presses_ctrl_c_twice();
            first.has_left(0)?;
            home.claude_says("The first of Claude.");
        }
        let person = home.session(line);
        let mut said: Vec<&str> = if begun { vec!["Of apples.", "An earlier answer."] } else { vec![] };
        if let Some(prompt) = prompt {
            person.reads("The first of Claude.");
            said.extend([prompt, "The first of Claude."]);
        }
        home.claude_is_at_its_limit(in_two_hours());
        person.is_refused("Of pears.");
        person.is_asked("Of plums.", ASKS);
        person.goes(|person| person.answers("Of plums.", "local"));
        person.reads("The first of here.");
        if line.contains("acceptEdits") {
            person.terminal.wait_for("accept edits on");
        }
        said.push("Of pears. Of plums.");
        let questions = model.questions();
        same("said to the local model", said.clone(), conversation(&questions[0]).iter().map(String::as_str).collect())?;
        home.claude_says("The second of Claude.");
        person.goes(|person| person.says("claude"));
        person.hears("Of nuts.", "The second of Claude.");
        said.extend(["The first of here.", "Of nuts."]);
        let asked = home.asked_of_claude();
        same("said to Claude", Some(said), asked.last().map(|asked| asked.iter().map(String::as_str).collect()))?;
        person.leaves()
    });
}

#[test]
fn settings_and_hooks_of_the_user() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let mut home = Home::new(version);
        let _model = home.plays([says("The first of here.")]);
        home.claude_says("The first of Claude.");
        let settings = |place: &str| {
            let note = home.sandbox.path("noted").display().to_string();
            let hook =
                |event: &str| json!([{"hooks": [{"type": "command", "command": format!("echo {place} {event} >> '{note}'")}]}]);
            json!({"hooks": {"UserPromptSubmit": hook("prompt"), "StopFailure": hook("refusal"), "Stop": hook("end")}})
                .to_string()
        };
        let places = [".claude/settings.json", "work/.claude/settings.json", "work/.claude/settings.local.json", "own.json"];
        let files: Vec<_> = places.iter().map(|place| home.sandbox.write(place, settings(place))).collect();
        let person = home.session("claude --settings ../own.json --permission-mode default");
        person.hears("Of apples.", "The first of Claude.");
        home.claude_is_at_its_limit(in_two_hours());
        person.is_refused("Of pears.");
        person.is_asked("Of plums.", ASKS);
        person.goes(|person| person.answers("Of plums.", "local"));
        person.reads("The first of here.");
        home.claude_says("The second of Claude.");
        person.goes(|person| person.says("claude"));
        person.hears("Of nuts.", "The second of Claude.");
        person.leaves()?;
        let noted = fs::read_to_string(home.sandbox.path("noted")).unwrap_or_default();
        for place in places {
            let count = |event: &str| noted.lines().filter(|line| *line == format!("{place} {event}")).count();
            // Of apples, pears, plums, `local`, plums, `claude` and nuts.
            same(place, [7, 1, 3], ["prompt", "refusal", "end"].map(count)).map_err(|fault| format!("{fault}: {noted}"))?;
        }
        for (place, file) in places.into_iter().zip(files) {
            same(place, settings(place), fs::read_to_string(file).unwrap_or_default())?;
        }
        Ok(())
    });
}

#[test]
fn no_credential_of_claudes_is_at_the_local_side() {
    const MARK: &str = "SECRET-OF-CLAUDE";
    each_of_a_share(&VERSIONS, 2, |&version| {
        let mut home = Home::new(version);
        let model = home.plays([says("The first of here.")]);
        home.sandbox.set("CLAUDE_CODE_OAUTH_TOKEN", format!("sk-ant-oat01-{MARK}"));
        home.sandbox.set("ANTHROPIC_CUSTOM_HEADERS", format!("x-other: {MARK}"));
        let tokens = json!({"accessToken": format!("{MARK}-access"), "refreshToken": format!("{MARK}-refresh"), "expiresAt": 4_102_444_800_000_u64,
                            "scopes": ["user:inference"], "subscriptionType": "max"});
        home.sandbox.write(".claude/.credentials.json", json!({ "claudeAiOauth": tokens }).to_string());
        home.claude_is_at_its_limit(in_two_hours());
        let person = home.session("claude --permission-mode default");
        person.is_refused("Of pears.");
        let given = home.api.seen().iter().any(|request| format!("{:?}", request.headers).contains(MARK));
        same("Claude gets it", true, given)?;
        person.is_asked("Of plums.", ASKS);
        person.goes(|person| person.answers("Of plums.", "local"));
        person.reads("The first of here.");
        for request in model.seen() {
            let bytes = [request.line.as_bytes(), format!("{:?}", request.headers).as_bytes(), &request.body].concat();
            same("it reaches the model", false, String::from_utf8_lossy(&bytes).contains(MARK))?;
        }
        for pid in [person.helper("--gateway"), person.helper("--guard"), person.claude_code()] {
            let environment =
                fs::read(format!("/proc/{}/environ", pid.ok_or("no process")?)).map_err(|error| error.to_string())?;
            same("it is in an environment", false, String::from_utf8_lossy(&environment).contains(MARK))?;
        }
        person.leaves()
    });
}
