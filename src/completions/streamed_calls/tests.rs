use serde_json::{Value, json};

use super::*;

/// What comes of events, each a list of pieces: `NAME ARGUMENTS` for each call.
fn calls(events: &Value) -> Vec<String> {
    let tool = |name: &str| Tool { name: name.into(), description: String::new(), schema: json!({}) };
    let tools = ["Bash", "Read", "ReadFile"].map(tool);
    let mut calls = StreamedCalls::new(&tools);
    for event in events.as_array().expect("a list") {
        calls.push(event.as_array().expect("a list").iter().map(CallPiece::from).collect());
    }
    calls.take().into_iter().map(|call| format!("{} {}", call.name, call.arguments)).collect()
}

fn piece(index: Value, id: Value, name: Value, arguments: impl Into<Value>) -> Value {
    json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments.into()}})
}

#[test]
fn calls_are_told_apart() {
    let no = || Value::Null;
    let (a, b) = (r#"{"command":"a"}"#, r#"{"command":"b"}"#);
    let both = ["Bash {\"command\":\"a\"}", "Bash {\"command\":\"b\"}"];
    let table: [(&str, Value, &[&str]); 22] = [
        (
            "OpenAI",
            json!([
                [piece(json!(0), json!("x"), json!("Bash"), "")],
                [piece(json!(0), no(), no(), "{\"command\":")],
                [piece(json!(1), json!("y"), json!("Bash"), "")],
                [piece(json!(0), no(), no(), "\"a\"}")],
                [piece(json!(1), no(), no(), b)]
            ]),
            &both,
        ),
        (
            "Ollama: all are number 0",
            json!([[piece(json!(0), json!("x"), json!("Bash"), a)], [piece(json!(0), json!("y"), json!("Bash"), b)]]),
            &both,
        ),
        (
            "all are number 0, in pieces",
            json!([
                [piece(json!(0), json!("x"), json!("Bash"), "")],
                [piece(json!(0), no(), no(), a)],
                [piece(json!(0), json!("y"), json!("Bash"), "{\"command\"")],
                [piece(json!(0), json!("y"), no(), ":\"b\"}")]
            ]),
            &both,
        ),
        (
            "all are number 0 and have no id",
            json!([[piece(json!(0), no(), json!("Bash"), a)], [piece(json!(0), no(), json!("Bash"), b)]]),
            &both,
        ),
        (
            "all are number 0 and begin before their arguments come",
            json!([
                [piece(json!(0), json!("x"), json!("Bash"), "")],
                [piece(json!(0), json!("y"), json!("Bash"), "")],
                [piece(json!(0), json!("x"), no(), a)],
                [piece(json!(0), json!("y"), no(), b)]
            ]),
            &both,
        ),
        (
            "an empty object stands for arguments to come",
            json!([
                [piece(json!(0), json!("x"), json!("Bash"), "{}")],
                [piece(json!(0), no(), no(), "{\"command\"")],
                [piece(json!(0), no(), no(), ":\"a\"}")],
                [piece(json!(1), json!("y"), json!("Bash"), "{}")],
                [piece(json!(1), json!("y"), no(), b)]
            ]),
            &both,
        ),
        (
            "all are number 0 in one event",
            json!([[piece(json!(0), json!("x"), json!("Bash"), a), piece(json!(0), json!("y"), json!("Bash"), b)]]),
            &both,
        ),
        (
            "LM Studio: the id changes, the name does not come again",
            json!([
                [piece(json!(0), json!("x"), json!("Bash"), "")],
                [piece(json!(0), json!("y"), json!(""), "{\"command\":")],
                [piece(json!(0), json!("z"), no(), "\"a\"}")]
            ]),
            &both[..1],
        ),
        (
            "the id changes and the name comes again",
            json!([
                [piece(json!(0), json!("x"), json!("Bash"), "{\"command\":")],
                [piece(json!(0), json!("y"), json!("Bash"), "\"a\"}")]
            ]),
            &both[..1],
        ),
        ("neither id nor number", json!([[piece(no(), no(), json!("Bash"), a), piece(no(), no(), json!("Bash"), b)]]), &both),
        (
            "neither, in events of their own",
            json!([[piece(no(), no(), json!("Bash"), a)], [piece(no(), no(), json!("Bash"), b)]]),
            &both,
        ),
        (
            "neither, in pieces",
            json!([
                [piece(no(), no(), json!("Bash"), "{\"command\":")],
                [piece(no(), no(), no(), "\"a\"}")],
                [piece(no(), no(), json!("Bash"), b)]
            ]),
            &both,
        ),
        (
            "the same id for all",
            json!([[piece(json!(0), json!("x"), json!("Bash"), a)], [piece(json!(1), json!("x"), json!("Bash"), b)]]),
            &both,
        ),
        (
            "the same id and number for all",
            json!([[piece(json!(0), json!("x"), json!("Bash"), a)], [piece(json!(0), json!("x"), json!("Bash"), b)]]),
            &both,
        ),
        (
            "a name that comes late",
            json!([[piece(json!(0), json!("x"), no(), "{\"command\":")], [piece(json!(0), no(), json!("Bash"), "\"a\"}")]]),
            &both[..1],
        ),
        (
            "a name in two pieces",
            json!([
                [piece(json!(0), json!("x"), json!("Ba"), "")],
                [piece(json!(0), no(), json!("sh"), "")],
                [piece(json!(0), no(), no(), a)]
            ]),
            &both[..1],
        ),
        (
            "a name whose first piece is one too",
            json!([[piece(json!(0), json!("x"), json!("Read"), "")], [piece(json!(0), json!("x"), json!("File"), "{}")]]),
            &["ReadFile {}"],
        ),
        (
            "a name that grows",
            json!([[piece(json!(0), json!("x"), json!("Ba"), "")], [piece(json!(0), no(), json!("Bash"), a)]]),
            &both[..1],
        ),
        (
            "a name with each piece",
            json!([
                [piece(json!(0), json!("x"), json!("Bash"), "")],
                [piece(json!(0), json!("x"), json!("Bash"), "{\"command\":")],
                [piece(json!(0), no(), json!("Bash"), "\"a\"}")]
            ]),
            &both[..1],
        ),
        (
            "a whole call twice",
            json!([[piece(json!(0), json!("x"), json!("Bash"), a)], [piece(json!(0), json!("x"), json!("Bash"), a)]]),
            &both[..1],
        ),
        (
            "two tools without arguments",
            json!([[piece(json!(0), json!("x"), json!("Read"), "")], [piece(json!(0), json!("y"), json!("Bash"), "")]]),
            &["Read ", "Bash "],
        ),
        (
            "arguments that are an object, a number that is text",
            json!([[piece(json!("0"), json!(7), json!("Bash"), json!({"command": "a"}))]]),
            &both[..1],
        ),
    ];
    for (what, events, expected) in table {
        assert_eq!(calls(&events), expected, "{what}");
    }
}

#[test]
fn what_is_no_call_is_dropped() {
    assert_eq!(calls(&json!([[{"index": 0, "function": null}], [null], [7], [{"function": {"arguments": "{}"}}]])), [""; 0]);
}

#[test]
fn a_flood_is_noticed_once_there_is_one_call_too_many() {
    let whole = |arguments: &str, times: usize| -> Vec<String> { vec![arguments.into(); times] };
    let (a, b) = (r#"{"command":"a"}"#, r#"{"command":"b"}"#);
    let mixed = [whole(a, 3), whole(b, 3)].concat();
    let table: [(&str, Vec<String>, bool); 7] = [
        ("three of the same", whole(a, 3), false),
        ("four", whole(a, 4), true),
        ("three of each", mixed.clone(), false),
        ("one more of the first", [mixed, whole(a, 1)].concat(), true),
        ("many different ones", (0..50).map(|number| format!("{{\"command\":\"{number}\"}}")).collect(), false),
        ("the fourth is not whole yet", [whole(a, 3), whole("{\"command\":\"a\"", 1)].concat(), false),
        ("arguments that are still to come", whole("{}", 10), false),
    ];
    for (what, arguments, expected) in table {
        let mut calls = StreamedCalls::new(&[]);
        for (index, arguments) in arguments.iter().enumerate() {
            let piece = piece(json!(index), json!(format!("id{index}")), json!("Bash"), arguments.as_str());
            calls.push(vec![CallPiece::from(&piece)]);
        }
        assert_eq!(calls.has_too_many_of_last(), expected, "{what}");
    }
}
