use super::*;
use crate::gateway::request::read;

const IDENTITY: &str = "You are Claude Code, Anthropic's official CLI for Claude.";

/// The system prompt and the first message of a request with these.
fn ordered(system: &[&str], content: &Value) -> (Vec<String>, Value) {
    let system: Vec<Value> = system.iter().map(|text| json!({"type": "text", "text": text})).collect();
    let body = json!({"model": "m", "max_tokens": 9, "system": system, "messages": [{"role": "user", "content": content}]});
    let request = read(body.to_string().into_bytes()).unwrap();
    (request.system.to_vec(), request.messages[0]["content"].clone())
}

fn told(text: &str) -> String {
    format!("{OPEN}{text}{CLOSE}")
}

#[test]
fn what_changes_from_session_to_session_stands_last() {
    let (git, git_reminder) = ("gitStatus: This is\n\nStatus:\nM a", told("As you answer:\n# gitStatus\nStatus: M a"));
    let (rules, date) = (told("# claudeMd\nWrite tests."), told("Today's date is 2026-11-26."));
    // In the terms of 2.1.330, of versions before it, and of nobody.
    let table = [
        (
            vec![IDENTITY, "# Environment\nOS\n\nToday's date is 2026-11-26."],
            format!("{rules}\n{git_reminder}\n{}\n\ndo it", told("Attribution")),
            vec![IDENTITY, "# Environment\nOS"],
            format!("{rules}\n{}\n{date}\n{git_reminder}\n\ndo it", told("Attribution")),
        ),
        (
            vec![IDENTITY, "You are\nOS\nToday's date: 2026-11-26\n\ngitStatus: This is\n\nStatus:\nM a"],
            format!("{rules}\ndo it"),
            vec![IDENTITY, "You are\nOS"],
            format!("{rules}\n{}\n{}\n\ndo it", told("Today's date: 2026-11-26"), told(git)),
        ),
        (vec![IDENTITY, "Today's date is 2026-11-26."], "do it".into(), vec![IDENTITY], format!("{date}\n\ndo it")),
        (vec![IDENTITY, "No date"], format!("{rules}\n\ndo it"), vec![IDENTITY, "No date"], format!("{rules}\n\ndo it")),
        (vec![IDENTITY], format!("do it: {git_reminder}"), vec![IDENTITY], format!("do it: {git_reminder}")),
        (vec!["Today's date is 1."], "do it".into(), vec!["Today's date is 1."], "do it".into()),
    ];
    for (system, content, expected_system, expected) in table {
        let found = ordered(&system, &json!(content));
        assert_eq!(found, (expected_system.iter().map(ToString::to_string).collect(), json!(expected)));
        let again = ordered(&expected_system, &json!(expected));
        assert_eq!(again, found, "once is enough");
    }
    let picture = json!({"type": "image", "source": {"type": "url", "url": "http://x/y.png"}});
    let (_, content) = ordered(&[IDENTITY, "Today's date is 2026-11-26."], &json!([{"type": "text", "text": "see"}, picture]));
    assert_eq!(content[0]["text"], format!("{date}\n\nsee"));
    assert_eq!(content[1]["type"], "image_url");
}

#[test]
fn a_prefix_ends_before_the_users_words() {
    let rules = told("# claudeMd\nWrite tests.");
    let system = json!({"role": "system", "content": "S"});
    let user = |content: Value| json!({"role": "user", "content": content});
    let table = [
        (
            vec![system.clone(), user(json!(format!("{rules}\n{rules}\n\nmine")))],
            vec![system.clone(), user(json!(format!("{rules}\n{rules}")))],
        ),
        (vec![system.clone(), user(json!("mine"))], vec![system.clone(), user(json!("Hi"))]),
        (vec![user(json!(format!("mine {rules}")))], vec![user(json!("Hi"))]),
        (vec![user(json!("<system-reminder>\nnever closed"))], vec![user(json!("Hi"))]),
        (
            vec![
                system.clone(),
                user(json!([{"type": "text", "text": format!("{rules} mine")}, {"type": "image_url"}])),
                user(json!("mine")),
            ],
            vec![system, user(json!(rules))],
        ),
    ];
    for (sent, expected) in table {
        let sent = json!({"messages": sent, "tools": [1, 2], "max_tokens": 9, "model": "m"});
        let Value::Object(sent) = sent else { unreachable!() };
        assert_eq!(prefix(sent), Prefix { messages: expected, tools: vec![json!(1), json!(2)] });
    }
}
