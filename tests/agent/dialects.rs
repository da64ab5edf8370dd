//! The real Claude Code runs what the model has called in its text.

use super::{DONE, FREE, Home, SAID, done, stderr};
use crate::auto::{TODAY, each, same};
use crate::dialects::{DIALECTS, THOUGHT};
use crate::support::script::{Manner, results, says};

#[test]
fn calls_in_text_are_run() {
    each(DIALECTS, |dialect| {
        let mut home = Home::new(TODAY);
        let call = dialect.calls("echo made by $((1 + 1)) | tee made.txt");
        let model = home.plays(Manner::Whole, [says(call), done()]);
        let output = home.ask("do it", &[FREE]).run();
        same("exit code", 0, output.code())?;
        same("stderr", SAID.to_string(), stderr(&output))?;
        same("stdout", format!("{DONE}\n"), output.out())?;
        same("made.txt", "made by 2\n".to_string(), home.read("made.txt"))?;
        let questions = model.questions();
        same("questions", 2, questions.len())?;
        same("results", vec!["made by 2".to_string()], results(&questions[1]))?;
        let goes_back = questions[1].to_string();
        same("thinking goes back as text", false, goes_back.contains(THOUGHT))
    });
}
