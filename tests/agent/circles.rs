//! A model that goes round in circles: it is told, and the work ends.

use serde_json::{Value, json};

use super::{DONE, FREE, Home, SAID, VERSIONS, done, stderr};
use crate::auto::{TODAY, each_of_a_share, same};
use crate::support::script::{Manner, calls, results, says};

fn messages(question: &Value) -> &[Value] {
    question["messages"].as_array().map_or(&[][..], Vec::as_slice)
}

#[test]
fn a_call_that_changes_nothing_is_told_of_and_stopped() {
    let items: Vec<_> = VERSIONS.iter().flat_map(|version| [(*version, "Bash"), (*version, "Read")]).collect();
    each_of_a_share(&items, 3, |&(version, tool)| {
        let mut home = Home::new(version);
        std::fs::write(home.work("a.txt"), "one\n").map_err(|error| error.to_string())?;
        let (command, file) = (json!({"command": "cat a.txt"}), json!({"file_path": home.work("a.txt")}));
        let call = if tool == "Bash" { command } else { file };
        let model = home.plays(Manner::Pieces, (0..20).map(|_| calls(&[(tool, call.clone())])));
        let output = home.ask("what is in it?", &[FREE, "--output-format", "json"]).run();
        same("exit code", 0, output.code())?;
        same("stderr", SAID.to_string(), stderr(&output))?;
        let result: Value = serde_json::from_str(&output.out()).map_err(|error| error.to_string())?;
        same("result", &json!(["success", false]), &json!([result["subtype"], result["is_error"]]))?;
        let text = result["result"].as_str().unwrap_or_default();
        if !text.starts_with("Stopped by claude-failover: the local model made the same call 5 times") || !text.contains(tool) {
            return Err(format!("{text:?}"));
        }
        let questions = model.questions();
        same("questions", 5, questions.len())?;
        for (number, question) in questions.iter().enumerate() {
            let is_told = results(question).iter().any(|result| result.contains(&format!("This call was made {number} times")));
            same("told", number >= 3, is_told)?;
        }
        // What was told stays in the conversation as it was.
        let told = |question: &Value| -> Vec<Value> {
            messages(question).iter().filter(|message| message["role"] == "tool").cloned().collect()
        };
        let (earlier, later) = (told(&questions[3]), told(&questions[4]));
        same("earlier results", &earlier[..], &later[..earlier.len()])
    });
}

#[test]
fn a_model_that_heeds_goes_on() {
    let mut home = Home::new(TODAY);
    let look = || calls(&[("Bash", json!({"command": "ls /nowhere"}))]);
    let other = calls(&[("Bash", json!({"command": "echo other > b.txt"}))]);
    let model = home.plays(Manner::Whole, [look(), look(), look(), other, look(), look(), done()]);
    let output = home.ask("look", &[FREE]).run();
    assert_eq!((output.code(), output.out()), (0, format!("{DONE}\n")));
    assert_eq!((model.questions().len(), home.read("b.txt").as_str()), (7, "other\n"));
}

#[test]
fn a_flood_of_the_same_call_is_stemmed() {
    let items: Vec<_> = VERSIONS.iter().flat_map(|version| [(*version, Manner::Pieces), (*version, Manner::Whole)]).collect();
    each_of_a_share(&items, 3, |&(version, manner)| {
        let mut home = Home::new(version);
        let call = |command: &str| ("Bash", json!({"command": command}));
        let (twice, flood) = (vec![call("echo two >> a.txt"); 2], vec![call("echo ten >> b.txt"); 10]);
        let model = home.plays(manner, [calls(&twice), calls(&flood), done()]);
        let output = home.ask("go", &[FREE]).run();
        same("end", (0, format!("{DONE}\n")), (output.code(), output.out()))?;
        same("stderr", SAID.to_string(), stderr(&output))?;
        same("made", ("two\n".repeat(2), "ten\n".repeat(3)), (home.read("a.txt"), home.read("b.txt")))?;
        let told: Vec<usize> = model.questions().iter().map(|question| results(question).len()).collect();
        same("results", vec![0, 2, 3], told)
    });
}

#[test]
fn an_answer_in_circles_is_cut() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::new(version);
        let line = "I should look at the configuration file again before I go on. ";
        let first = calls(&[("Bash", json!({"command": "echo one"}))]);
        let model = home.plays(Manner::Pieces, [first, says(line.repeat(10_000))]);
        let output = home.ask("go", &[FREE]).run();
        same("exit code", 0, output.code())?;
        same("stderr", SAID.to_string(), stderr(&output))?;
        let text = output.out();
        let is_cut = text.ends_with("[Cut here by claude-failover: the local model wrote the same again and again.]\n");
        if !text.starts_with(line) || !is_cut || text.len() > 10_000 {
            return Err(format!("{} bytes: {text:?}", text.len()));
        }
        same("questions and cancelled answers", (2, 1), (model.questions().len(), model.gone()))
    });
}
