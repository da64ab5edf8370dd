use serde_json::json;

use super::*;

/// A conversation in short: `?text` is the user, `name arguments = result` is a call, and calls with ` & ` between them are those
/// of one answer. An image stands behind a result `IMAGE`.
fn conversation(steps: &[&str]) -> Vec<Value> {
    let mut messages = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(text) = step.strip_prefix('?') {
            messages.push(json!({"role": "user", "content": text}));
            continue;
        }
        let made: Vec<(&str, &str)> = step.split(" & ").map(|call| call.split_once(" = ").unwrap()).collect();
        let id = |number: usize| format!("{at}-{number}");
        let calls = made.iter().enumerate().map(|(number, (call, _))| {
            let (name, arguments) = call.split_once(' ').unwrap();
            json!({"id": id(number), "type": "function", "function": {"name": name, "arguments": arguments}})
        });
        messages.push(json!({"role": "assistant", "content": "", "tool_calls": calls.collect::<Vec<_>>()}));
        for (number, (_, result)) in made.iter().enumerate() {
            messages.push(json!({"role": "tool", "tool_call_id": id(number), "content": result}));
        }
        if made.iter().any(|(_, result)| *result == "IMAGE") {
            messages.push(json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}));
        }
    }
    messages
}

/// How often the model is told that it has made each call, by results, with 0 where it is told nothing; and whether it is stopped.
fn told(steps: &[&str]) -> (Vec<u32>, bool) {
    let mut messages = conversation(steps);
    let before = messages.clone();
    let stopped = tell_repeated(&mut messages).is_some();
    let told = before.iter().zip(&messages).filter(|(before, _)| before["role"] == "tool").map(|(before, after)| {
        let (before, after) = (before["content"].as_str().unwrap(), after["content"].as_str().unwrap());
        let added = after.strip_prefix(before).expect("results stay whole");
        added.strip_prefix("\n\n[This call was made ").map_or(0, |rest| rest.split(' ').next().unwrap().parse().unwrap())
    });
    (told.collect(), stopped)
}

#[test]
fn what_counts_as_repeated() {
    let same = r#"Read {"file_path":"/a"} = one"#;
    let other = r#"Read {"file_path":"/b"} = two"#;
    let edit = |number: u32| format!(r#"Edit {{"new_string":"{number}"}} = done"#);
    let test = r#"Bash {"command":"make test"} = 1 failed"#;
    let edits: Vec<String> = (0..6).map(edit).collect();
    let work: Vec<&str> = edits.iter().flat_map(|edit| [edit.as_str(), test]).collect();
    let wait = r#"Bash {"command":"sleep 5; cat log"} = nothing yet"#;
    let ask = r#"TaskOutput {"task_id":"1"} = running"#;
    let structure = r#"StructuredOutput {"a":1} = does not match the schema"#;
    let image = r#"Read {"file_path":"/a.png"} = IMAGE"#;
    let reminded = "Read {\"file_path\":\"/a\"} = one\n\n<system-reminder>\nThe date has changed.\n</system-reminder>\n";
    let unchanged = r#"Read {"file_path":"/a"} = File unchanged since last read. The content is still current."#;
    let cases: &[(&str, &[&str], &[u32], bool)] = &[
        ("nothing is repeated", &["?go", same, other], &[0, 0], false),
        ("three times", &["?go", same, same, same], &[0, 0, 3], false),
        ("four times", &["?go", same, same, same, same], &[0, 0, 3, 4], false),
        ("five times", &["?go", same, same, same, same, same], &[0, 0, 3, 4, 5], true),
        ("something else comes last", &["?go", same, same, same, same, same, other], &[0, 0, 3, 4, 5, 0], false),
        ("two in turn", &["?go", same, other, same, other, same, other, same, other, same], &[0, 0, 0, 0, 3, 3, 4, 4, 5], true),
        ("work between", &work, &[0; 12], false),
        ("the result differs", &["?go", same, r#"Read {"file_path":"/a"} = three"#, same, same], &[0, 0, 0, 3], false),
        ("the user wants it again", &["?go", same, same, "?again", same, same, "?again", same], &[0; 5], false),
        ("the user speaks behind the fifth", &["?go", same, same, same, same, same, "?why"], &[0, 0, 3, 4, 5], false),
        (
            "a reminder is no word of the user",
            &["?go", same, same, "?<system-reminder>\nx\n</system-reminder>", same],
            &[0, 0, 3],
            false,
        ),
        ("a reminder in a result", &["?go", same, reminded, same], &[0, 0, 3], false),
        ("a file that is not read again", &["?go", same, unchanged, unchanged], &[0, 0, 3], false),
        (
            "arguments in another order",
            &["?go", r#"T {"a":1,"b":2} = x"#, r#"T {"b":2,"a":1} = x"#, r#"T { "a":1, "b":2 } = x"#],
            &[0, 0, 3],
            false,
        ),
        (
            "a command that is described otherwise",
            &[
                "?go",
                r#"Bash {"command":"ls","description":"a"} = x"#,
                r#"Bash {"command":"ls"} = x"#,
                r#"Bash {"command":"ls","description":"c"} = x"#,
            ],
            &[0, 0, 3],
            false,
        ),
        ("arguments that are no JSON", &["?go", "T {a = x", "T {a = x", "T {a = x"], &[0, 0, 3], false),
        ("three at once are one step", &["?go", &[same; 3].join(" & ")], &[0, 0, 0], false),
        ("one at once is new", &["?go", same, same, &[same, other].join(" & "), same], &[0, 0, 0, 0, 0], false),
        ("images differ", &["?go", image, image, image, image, image], &[0; 5], false),
        ("waiting", &["?go", wait, wait, wait, wait, wait, wait], &[0; 6], false),
        ("asking what is in the background", &["?go", ask, ask, ask, ask, ask, ask], &[0; 6], false),
        ("what Claude Code counts", &["?go", structure, structure, structure, structure, structure], &[0; 5], false),
    ];
    for (name, steps, expected, stopped) in cases {
        assert_eq!(told(steps), (expected.to_vec(), *stopped), "{name}");
    }
}

#[test]
fn waiting_ends_too() {
    let mut steps = vec!["?go"];
    steps.extend([r#"Bash {"command":"sleep 5; cat log"} = nothing yet"#; 50]);
    let (times, stopped) = told(&steps);
    let expected: Vec<u32> = (1..=50).map(|times| if times < 30 { 0 } else { times }).collect();
    assert_eq!((times, stopped), (expected, true));
}

/// What the server has read of a conversation stays as it was, however it goes on.
#[test]
fn earlier_requests_are_the_beginning_of_later_ones() {
    let (same, other) = (r#"Read {"file_path":"/a"} = one"#, r#"Read {"file_path":"/b"} = two"#);
    let steps =
        ["?go", same, same, same, other, same, other, same, other, &[same, other].join(" & "), "?on", same, same, same, same];
    let mut whole = conversation(&steps);
    tell_repeated(&mut whole);
    for count in 1..steps.len() {
        let mut part = conversation(&steps[..count]);
        tell_repeated(&mut part);
        assert_eq!(part, whole[..part.len()], "{count}");
    }
}

#[test]
fn the_end_says_what_was_repeated() {
    let repeated = Repeated { name: "Bash".into(), arguments: format!(r#"{{"command":"{}"}}"#, "x".repeat(400)), times: 5 };
    let message = repeated.message();
    assert!(message.starts_with("Stopped by claude-failover: the local model made the same call 5 times"), "{message}");
    assert!(message.contains("The call was Bash {\"command\":\"xxx") && message.contains("x…. What was done"), "{message}");
}
