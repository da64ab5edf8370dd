//! Answers that nobody would write: all readers end, in time that grows with the answer's length, and what they find does not
//! depend on the pieces in which it comes.

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::family_tests::tools;
use super::harmony::Harmony;
use super::{FAMILIES, begins_bare};
use crate::completions::content::{Content, Part};
use crate::completions::tool::{Tool, ToolCall};

/// Marks and what stands between them, besides the openers.
const FRAGMENTS: &[&str] = &[
    "{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}",
    "{\"command\": \"ls\"}",
    "{\"command\": \"",
    "[{\"name\": \"Bash\", \"arguments\": ",
    "}",
    "]",
    "[[[[",
    "{\"a\":{\"a\":",
    "\"",
    "\\",
    "\\\"",
    "'",
    "\"\"\"",
    "Bash(command=\"ls\")",
    "[Bash(command='",
    "print(Bash(",
    "call:Bash{command:<|\"|>ls<|\"|>}",
    "call:Bash{a:",
    "<|\"|>",
    "<escape>",
    "Bash",
    "name",
    "\"name\"",
    "function",
    "<tool_call|>",
    "<end_function_call>",
    "<|channel>thought\n",
    "<channel|>",
    "</tool_call>",
    "</function>",
    "<parameter=command>",
    "</parameter>",
    "<arg_key>command</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "[ARGS]",
    "</invoke>",
    " name=\"Bash\">",
    "<parameter name=\"command\">",
    "<｜DSML｜parameter name=\"command\" string=\"true\">",
    "</｜DSML｜parameter>",
    "</minimax:tool_call>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "functions.Bash:0",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|start|>assistant",
    "<|channel|>analysis",
    "<|channel|>commentary to=functions.Bash",
    "<|channel|>final",
    "<|constrain|>json",
    "<|message|>",
    "<|end|>",
    "<|call|>",
    "<|return|>",
    "analysisWe",
    "assistantfinal",
    "assistantcommentary to=functions.Bash json",
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
    "<think>",
    "</think>",
    "[THINK]",
    "[/THINK]",
    "◁think▷",
    "◁/think▷",
    "Here is my thought process:",
    "Here is my response:",
    "```",
    "```json\n",
    "`",
    "~~~",
    "> ",
    "- ",
    "    ",
    "\n",
    "\n\n",
    " ",
    "<",
    "<|",
    "|>",
    "[",
    "é",
    "◁",
    "▁",
    "｜",
    "🦀",
    "I look.",
    "it's",
];

/// Numbers that look random: xorshift64.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    fn fragment(&mut self) -> &'static str {
        let openers: Vec<&str> = FAMILIES.iter().flat_map(|(openers, _)| *openers).copied().collect();
        match self.below(3) {
            0 => openers[self.below(openers.len())],
            _ => FRAGMENTS[self.below(FRAGMENTS.len())],
        }
    }

    /// A text of up to so many fragments, which may end in the middle of one.
    fn text(&mut self, most: usize) -> String {
        let fragments = 1 + self.below(most);
        let mut text: String = (0..fragments).map(|_| self.fragment()).collect();
        if self.below(4) == 0 {
            let end = self.below(text.len() + 1);
            text.truncate((end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len()));
        }
        text
    }

    fn pieces<'t>(&mut self, text: &'t str) -> Vec<&'t str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = 1 + self.below(rest.len().min(12));
            let (piece, left) = rest.split_at((end..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len()));
            pieces.push(piece);
            rest = left;
        }
        pieces
    }
}

/// The text, the thinking, and the calls, as they follow each other.
fn content(pieces: &[&str], tools: &[Tool], is_whole: bool) -> (String, String, Vec<String>) {
    let mut content = Content::new(tools);
    let mut parts = Vec::new();
    pieces.iter().for_each(|piece| content.push(piece, &mut parts));
    let (calls, _) = content.finish(is_whole, true, &mut parts).unzip();
    let (mut text, mut thinking) = (String::new(), String::new());
    for part in parts {
        match part {
            Part::Text(more) => text += &more,
            Part::Thinking(more) => thinking += &more,
        }
    }
    (text, thinking, calls.unwrap_or_default().into_iter().map(shown).collect())
}

fn shown(call: ToolCall) -> String {
    let ToolCall { name, arguments } = call;
    format!("{name} {:?}", arguments.map(Value::from))
}

#[test]
fn the_pieces_do_not_matter() {
    let tools = tools();
    for seed in 1..4000 {
        let mut random = Random::new(seed);
        let text = random.text(12);
        let is_whole = random.below(3) > 0;
        let whole = content(&[&text], &tools, is_whole);
        let pieces = random.pieces(&text);
        assert_eq!(content(&pieces, &tools, is_whole), whole, "seed {seed}: {text:?} in {pieces:?}");
        assert!(whole.2.iter().all(|call| call.starts_with("Bash ") || call.starts_with("Read ")), "seed {seed}: {whole:?}");
    }
}

#[test]
fn every_reader_ends() {
    let tools = tools();
    let openers: Vec<&str> = FAMILIES.iter().flat_map(|(openers, _)| *openers).copied().collect();
    for seed in 1..4000 {
        let mut random = Random::new(seed);
        let text = random.text(10);
        let is_whole = random.below(2) > 0;
        let opener = openers[random.below(openers.len())];
        if let Some((calls, left)) = super::read(opener, &text, &tools, is_whole) {
            assert!(!calls.is_empty() && text.ends_with(left), "seed {seed}: {opener}{text}");
        }
        begins_bare(&text, &tools);
        super::bare_calls(&text, &tools, true);
        Harmony::begins(&text);
        let mut harmony = Harmony::new(&tools);
        random.pieces(&text).into_iter().for_each(|piece| drop(harmony.push(piece)));
        harmony.finish(is_whole);
    }
}

/// The processor's time that this thread has taken, in microseconds: other work on the machine does not count.
fn processor_time() -> i64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock").num_microseconds()
}

/// The lesser of two runs over a unit that is repeated up to a length.
fn cost(unit: &str, length: usize, tools: &[Tool]) -> i64 {
    let text = unit.repeat(length / unit.len() + 1);
    let run = || {
        let begun = processor_time();
        content(&[&text], tools, true);
        processor_time() - begun
    };
    (0..2).map(|_| run()).min().unwrap_or_default()
}

/// Four times the length takes about four times as long, and sixteen times as long in a reader that begins anew each time.
#[test]
fn time_grows_with_the_length_and_no_faster() {
    const LENGTH: usize = 8 * 1024;
    const TOO_SHORT_TO_TELL: i64 = 5_000;
    let tools = tools();
    let openers = FAMILIES.iter().flat_map(|(openers, _)| *openers).map(ToString::to_string);
    let random = (1..150).map(|seed| Random::new(seed).text(5)).filter(|unit| !unit.is_empty());
    for unit in openers.chain(random) {
        let long = cost(&unit, 4 * LENGTH, &tools);
        if long > TOO_SHORT_TO_TELL {
            let short = cost(&unit, LENGTH, &tools);
            assert!(long < 10 * short, "{unit:?}: {short} µs, then {long} µs");
        }
    }
}
