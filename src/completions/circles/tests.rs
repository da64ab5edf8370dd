use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// How much of a text comes before it is cut, in bytes, if it is. It comes in pieces of this length.
fn cut_in(mut circles: Circles, text: &str, piece: usize) -> Option<usize> {
    let mut given = 0;
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(piece).find_map(|piece| {
        let piece: String = piece.iter().collect();
        given += piece.len();
        circles.push(&piece).then_some(given)
    })
}

/// The same for an answer, which has to be so in pieces of any length.
fn cut(name: &str, text: &str) -> Option<usize> {
    let found: Vec<_> = [1, 4, 50].iter().map(|piece| cut_in(Circles::default(), text, *piece)).collect();
    assert!(found.iter().all(|at| at.is_some() == found[0].is_some()), "{name}: {found:?}");
    found[0]
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|number| line(number) + "\n").collect()
}

#[test]
fn what_runs_in_circles_is_cut() {
    let line = "Let me check the configuration file again.\n";
    let paragraph = "I need to look at the failing test first. It expects that the parser keeps the order of the keys.\n\n\
                     Then I can change the function, and run the tests again to see whether they pass now.\n\n";
    let long: String = (0..40).map(|number| format!("Sentence number {number} of a long passage says this. ")).collect();
    let begun = "This is how an answer begins that will be caught later on. ".to_string();
    // The name, the text that comes again and again, and after how many bytes at most it is cut.
    let cases = [
        ("a line", line.to_string(), 8 << 10),
        ("a paragraph", paragraph.to_string(), 8 << 10),
        ("a long passage", long.clone(), 7 * long.len()),
        ("another script", "我需要再次检查配置文件，然后重新运行测试。\n".to_string(), 8 << 10),
        ("a word", "the ".to_string(), 34 << 10),
        ("a sign", "!".to_string(), 34 << 10),
        ("blank lines", "\n".to_string(), 34 << 10),
        ("a row of a table", "| name | value | remark |\n".to_string(), 34 << 10),
        ("a line with another inside", format!("{}so we try this again and again\n", "ha ".repeat(20)), 8 << 10),
    ];
    for (name, passage, most) in cases {
        let text = begun.clone() + &passage.repeat(100_000 / passage.len());
        let at = cut(name, &text).unwrap_or(usize::MAX);
        assert!((MOST_PROSE..=begun.len() + most).contains(&at), "{name}: {at}");
    }
}

#[test]
fn what_is_repeated_on_purpose_is_not_cut() {
    let cases = [
        ("five thousand zeros", "0\n".repeat(5000)),
        ("a list of zeros", format!("[{}]", "0, ".repeat(5000))),
        ("a matrix of zeros", (" 0".repeat(64) + "\n").repeat(64)),
        ("numbers in a row", lines(20_000, |number| number.to_string())),
        ("a line of dashes", "-".repeat(5000)),
        ("an empty table", "|  |  |  |\n".repeat(1000)),
        ("a table", lines(2000, |number| format!("| item {number} | in stock | {} | ships tomorrow |", number % 7))),
        ("a table of equal rows", "| widget | in stock | ships tomorrow |\n".repeat(300)),
        ("records", "{\"name\": \"test\", \"value\": null},\n".repeat(500)),
        ("code with similar lines", lines(2000, |number| format!("    assert_eq!(parse(\"{number}\"), Ok({number}));"))),
        ("code with equal lines", "    builder.push(Entry::default());\n".repeat(500)),
        ("a sentence a hundred times", "I will not talk in class while others are speaking.\n".repeat(100)),
        ("sentences that count", lines(3000, |number| format!("Step {number}: run the tests again and read what they say."))),
        ("booleans", "true, false, ".repeat(2000)),
        ("the same picture in letters", "AAAA".repeat(5000)),
        (
            "a poem with a refrain",
            lines(200, |number| format!("Verse {number} is another one.\nRow, row, row your boat, gently down the stream")),
        ),
    ];
    for (name, text) in cases {
        assert_eq!(cut(name, &text), None, "{name}");
    }
}

#[test]
fn a_call_may_be_given_more() {
    let line = "All work and no play makes Jack a dull boy.\n";
    assert_eq!(cut_in(Circles::in_calls(), &line.repeat(1000), 4), None);
    let at = cut_in(Circles::in_calls(), &line.repeat(5000), 4).unwrap();
    assert!((MOST_IN_CALL..MOST_IN_CALL + 2 * STEP).contains(&at), "{at}");
}

/// What has ended is no circle any more.
#[test]
fn a_repetition_must_go_on() {
    let line = "Let me check the configuration file again.\n";
    let nearly = line.repeat(MOST_PROSE / line.len() - 2);
    let other =
        "Now I know what to do, since the second section of it names the folder that I have been looking for all along.\n";
    assert_eq!(cut("nearly", &(nearly + other).repeat(5)), None);
}

/// Texts as people write them: all of this project.
#[test]
fn no_real_text_is_cut() {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, found),
                false => found.push(path),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("Cargo.lock"), root.join("CHANGELOG.md")];
    for folder in ["src", "tests", "docs", "scripts"] {
        files(&root.join(folder), &mut found);
    }
    let texts: Vec<(PathBuf, String)> =
        found.into_iter().filter_map(|path| fs::read_to_string(&path).ok().map(|text| (path, text))).collect();
    assert!(texts.len() > 100, "{}", texts.len());
    for (path, text) in texts {
        assert_eq!(cut_in(Circles::default(), &text, 4), None, "{}", path.display());
    }
}

#[test]
fn a_few_repetitions_stay() {
    for line in
        ["Let me check the file again. ", "Let me check the file again, and then run all of the tests.\n", "再次检查文件。"]
    {
        let text = "So: ".to_string() + &line.repeat(300);
        let kept = without_circle(&text);
        let fits = kept.starts_with(&format!("So: {}", line.repeat(2))) && kept.len() < 10 * line.len();
        assert!(text.starts_with(kept) && fits, "{kept}");
    }
    assert_eq!(without_circle("Nothing is repeated here."), "Nothing is repeated here.");
}
