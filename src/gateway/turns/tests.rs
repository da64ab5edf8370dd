use super::Part::{Answer, Asked, Result};
use super::*;
use crate::gateway::request;

/// A conversation in letters: `u` the user, `a` the model, `r` a result; each has 100 tokens, and in capitals 400. The prefix has 100.
fn turns(letters: &str) -> Turns {
    let messages = letters.chars().map(|letter| {
        let length = if letter.is_uppercase() { 400 } else { 100 };
        let part = match letter.to_ascii_lowercase() {
            'u' => Asked,
            'a' => Answer,
            _ => Result,
        };
        (part, length)
    });
    Turns::new(100, 50, messages)
}

#[test]
fn the_cut_moves_when_it_must_and_then_far() {
    // The conversation, where it was cut, the budget, and where it is cut then.
    let table = [
        ("it fits", "uauaua", 0, (700, 500, 5000), 0),
        ("one more, and much goes", "uauauau", 0, (799, 600, 5000), 5),
        ("a cut stays", "uauauauaua", 5, (1000, 600, 5000), 5),
        ("until it no longer fits", "uauauauauauau", 5, (1000, 600, 5000), 11),
        ("results stay with their calls", "uarruarruarru", 0, (1000, 750, 5000), 9),
        ("steps of one turn: the user's words stay", "uarararararar", 0, (1000, 700, 5000), 9),
        ("nothing but the last question fits", "uaUaUaU", 0, (900, 400, 5000), 7),
        ("the last step is more than should stay, and does", "uararaR", 0, (900, 400, 5000), 5),
        ("the last step is too long, and all that can be tried", "uaRaR", 0, (600, 400, 5000), 3),
        ("the last question is too long, and all that can be tried", "uaU", 0, (500, 400, 5000), 3),
        ("it cannot be cut", "U", 0, (300, 200, 5000), 0),
        ("the user's words of a turn are too long to go on in it", "uaUararararuar", 0, (900, 600, 5000), 12),
        ("what was long before the cut is of no account", "UAUAuauau", 5, (800, 500, 5000), 5),
        ("little is read anew", "uauauauauauau", 5, (1000, 800, 300), 11),
    ];
    for (what, letters, before, (most, after_cut, moved), expected) in table {
        assert_eq!(turns(letters).moved(before, Budget { most, after_cut, moved }), expected, "{what}");
    }
}

#[test]
fn the_same_conversation_is_cut_alike_again() {
    let letters = "uauarrarruauaRarauauarauUararararararararararuauauauaRa".to_string() + &"uaruauauaRa".repeat(20);
    for budget in [(1500, 1000), (3000, 1600)].map(|(most, after_cut)| Budget { most, after_cut, moved: most }) {
        let (mut at, mut moves) = (0, 0);
        for end in 1..=letters.len() {
            let turns = turns(&letters[..end]);
            // A request is sent after the user's words and after all results of a step.
            let is_asked = letters[end - 1..end].eq_ignore_ascii_case("u");
            let next = letters[end..].chars().next();
            if !is_asked && next.is_none_or(|next| !next.eq_ignore_ascii_case(&'a')) {
                continue;
            }
            let moved = turns.moved(at, budget);
            assert!(turns.length(moved, end) <= budget.most, "{end}");
            assert!(moved == at || turns.length(moved, end) <= budget.after_cut, "{end}");
            assert!(moved == 0 || turns.is_place_within(moved, end), "{end}");
            moves += usize::from(moved != at);
            at = moved;
            assert_eq!(turns.found(budget), at, "a gateway that was restarted, {end}");
        }
        assert!(at > 200 && moves < letters.len() / 4, "{at} {moves}");
    }
}

const REMINDER: &str = "<system-reminder>\n# claudeMd\nBe kind.\n</system-reminder>";

/// A conversation as Claude Code sends it.
fn conversation() -> MessagesRequest {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": id}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": format!("result of {id}. {}", "word ".repeat(300))});
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}});
    let mut shown = result("c");
    shown["content"] = json!([{"type": "text", "text": "shown"}, image]);
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": REMINDER}, {"type": "text", "text": "Build it."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call("a"), call("b")]},
        {"role": "user", "content": [result("a"), result("b")]},
        {"role": "assistant", "content": [call("c")]},
        {"role": "user", "content": [shown]},
        {"role": "assistant", "content": "It is built."},
        {"role": "user", "content": [image, {"type": "text", "text": "Like this?"}]},
        {"role": "assistant", "content": [call("d"), call("e")]},
        {"role": "user", "content": [result("d"), result("e")]},
    ]);
    let body = json!({"model": "m", "max_tokens": 100, "system": "Be brief.", "messages": messages});
    request::read(body.to_string().into_bytes()).unwrap()
}

#[test]
fn what_is_kept_begins_with_the_user_and_says_what_is_left_out() {
    let request = conversation();
    let turns = Turns::of(&request);
    let parts = [Asked, Answer, Result, Result, Answer, Result, Result, Answer, Asked, Answer, Result, Result];
    assert_eq!(turns.parts, parts);
    let places: Vec<usize> = (0..=parts.len()).filter(|at| can_be_cut(&request.messages, *at)).collect();
    assert_eq!(places, [4, 7, 9]);
    let first = |at: usize| cut(&request, at).messages[0]["content"].clone();
    let steps = |steps: &str| {
        format!("<system-reminder>\nThe {steps} of the work on this are done, and left out here.\n</system-reminder>")
    };
    assert_eq!(first(4), format!("{REMINDER}\n{NOTE}\n\nBuild it.\n\n{}", steps("first step")));
    assert_eq!(first(7), format!("{REMINDER}\n{NOTE}\n\nBuild it.\n\n{}", steps("first 2 steps")));
    let asked = first(9);
    assert_eq!((&asked[0]["text"], &asked[2]["text"]), (&json!(format!("{REMINDER}\n{NOTE}")), &json!("Like this?")));
    assert!(asked[1]["image_url"].is_object() && asked.as_array().is_some_and(|parts| parts.len() == 3));
    for at in places {
        let kept = cut(&request, at);
        assert_eq!((&kept.messages[1..], &kept.system, &kept.tools), (&request.messages[at..], &request.system, &request.tools));
        let foretold = turns.length(at, parts.len());
        let length = estimate(&kept);
        assert!(length <= foretold && foretold < length + NOTES, "{at}: {length} {foretold}");
    }
}

#[test]
fn only_older_results_are_shortened_and_only_as_far_as_needed() {
    let kept = cut(&conversation(), 9);
    let whole = estimate(&kept);
    let lengths = |most: usize| -> Vec<usize> {
        let mut short = kept.clone();
        shorten_results(&mut short, most);
        let results = short.messages.iter().filter(|message| message["role"] == "tool");
        results.map(|result| result["content"].as_str().unwrap_or_default().len()).collect()
    };
    let [older, newest] = lengths(whole)[..] else { panic!() };
    assert_eq!(lengths(whole - 1)[1], newest);
    assert!(lengths(whole - 1)[0] < older / 2);
    assert_eq!(lengths(0), lengths(whole - 1), "the newest one stays");
}
