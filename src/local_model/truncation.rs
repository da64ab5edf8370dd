//! Whether a server has read less than it was sent, which some do without a word.
//!
//! Ollama drops what does not fit its context of 4096 tokens and answers the rest with status 200 (ollama/ollama#3839). What tells is
//! the server's own count of the prompt. It is held against two estimates: one that is seldom too short, and one that is
//! seldom too long. A template that renders no tools makes a prompt shorter too, and that is no truncation.

use crate::local_model::model::Model;
use crate::local_model::served::ServerKind;

/// The length of a request in tokens, by our estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// All of it; seldom less than a tokenizer counts.
    pub about: usize,
    /// The messages alone; seldom more than a tokenizer counts.
    pub messages: usize,
    /// The tools; seldom more than a tokenizer counts.
    pub tools: usize,
}

/// A prompt of which the server has read only a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncation {
    /// By our estimate, in tokens.
    pub sent: usize,
    /// By the server's count.
    pub read: u64,
}

/// The smallest context that servers give is 2048, of which Ollama may read the half. What says less than this does not count, or
/// not what it has in its cache.
const LEAST_READ: u64 = 1000;

/// Finds truncations among the requests of one process.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    /// A request whose prompt was read whole, as it seems, and what was read of it.
    whole: Option<(Sent, u64)>,
}

impl Detector {
    /// What the server says that it has `read` of a request to `model`.
    pub(crate) fn check_model(&mut self, sent: Sent, read: u64, model: Option<&Model>) -> Option<Truncation> {
        let window = model.and_then(|model| model.window);
        // The context that counts is the server's.
        let or_another = model.is_some_and(|model| model.is_stated);
        self.check(sent, read, &[window, if or_another { None } else { window }])
    }

    fn check(&mut self, sent: Sent, read: u64, windows: &[Option<u32>]) -> Option<Truncation> {
        if read < LEAST_READ {
            return None;
        }
        let truncation = Truncation { sent: sent.about, read };
        let expected = self.expected(sent);
        let is_short = is_far_below(read, sent.messages as f64) || expected.is_some_and(|expected| is_far_below(read, expected));
        let is_below = read < sent.about as u64;
        let is_as_expected = expected.is_some_and(|expected| (0.85..1.15).contains(&(read as f64 / expected)));
        let ends_at_a_limit = || windows.iter().any(|window| ends_at_a_limit(sent, read, *window));
        if is_below && (is_short || self.is_stuck(sent, read) || !is_as_expected && ends_at_a_limit()) {
            return Some(truncation);
        }
        // Little by little a request grows, too.
        if !self.whole.is_some_and(|(before, same)| same == read && before.tools == sent.tools && before.messages < sent.messages)
        {
            self.whole = Some((sent, read));
        }
        None
    }

    /// Whether the server has read as much as before of a request that has grown.
    fn is_stuck(&self, sent: Sent, read: u64) -> bool {
        const GROWN: usize = 16;
        self.whole
            .is_some_and(|(before, same)| same == read && sent.tools == before.tools && sent.messages >= before.messages + GROWN)
    }

    /// How many tokens the server would count of this request, by what it counted of one with the same tools.
    fn expected(&self, sent: Sent) -> Option<f64> {
        let (before, read) = self.whole?;
        let has_same_tools = before.tools.abs_diff(sent.tools) * 10 <= before.tools;
        let all = |sent: Sent| (sent.messages + sent.tools) as f64;
        (has_same_tools && all(before) > 0.0).then(|| read as f64 / all(before) * all(sent))
    }
}

/// Both estimates are rough where a text is unusual.
fn is_far_below(read: u64, expected: f64) -> bool {
    (read as f64) < 0.6 * expected
}

/// Whether the prompt was read to the end of the context, or to the half of it, where Ollama cuts to have room for an answer
/// (ollama/ollama#17427), while more than that was sent.
fn ends_at_a_limit(sent: Sent, read: u64, window: Option<u32>) -> bool {
    // The tokens that begin each prompt are kept, and counted or not.
    const KEPT: u64 = 8;
    let is_at = |limit: u64| limit > 0 && (limit.saturating_sub(2)..=limit + KEPT).contains(&read);
    let is_above = |factor: f64| sent.about as f64 >= factor * read as f64;
    let surely_above = || (sent.messages + sent.tools) as f64 >= 1.15 * read as f64;
    match window.map(u64::from) {
        Some(window) => is_at(window) && is_above(1.05) || is_at(window / 2) && is_above(1.8),
        None => {
            let power = (read + 2).next_power_of_two();
            let is_at_power = is_at(power) || is_at(power / 2);
            let is_at_round = is_at((read + 2) / 1024 * 1024);
            is_at_power && is_above(1.3) || is_at_round && surely_above()
        }
    }
}

/// Counts the tokens that a text has at least: words, groups of three digits, and signs that stand together.
pub(crate) fn fewest_tokens(text: &str) -> usize {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Space,
        Letter,
        Digit,
        Sign,
        Other,
    }
    // In twelfths of a token.
    let mut twelfths: usize = 0;
    let (mut last, mut length) = (Kind::Space, 0);
    for byte in text.bytes() {
        let kind = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Kind::Space,
            b'0'..=b'9' => Kind::Digit,
            0x80.. => Kind::Other,
            _ if byte.is_ascii_alphabetic() => Kind::Letter,
            _ => Kind::Sign,
        };
        length = if kind == last { length + 1 } else { 0 };
        last = kind;
        twelfths += match kind {
            Kind::Letter if length % 16 == 0 => 12,
            Kind::Digit if length % 3 == 0 => 12,
            // Often part of the word that follows.
            Kind::Sign if length == 0 => 6,
            // Tokenizers with many languages have words of several signs.
            Kind::Other => 2,
            _ => 0,
        };
    }
    twelfths / 12
}

impl Sent {
    /// A request whose whole has `about` tokens.
    pub(crate) fn new<'a>(about: usize, messages: impl Iterator<Item = &'a str>, tools: impl Iterator<Item = String>) -> Sent {
        Sent { about, messages: messages.map(fewest_tokens).sum(), tools: tools.map(|tool| fewest_tokens(&tool)).sum() }
    }
}

impl Truncation {
    /// The line that says so, with the setting that mends it.
    pub(crate) fn line(self, server: ServerKind) -> String {
        let Truncation { sent, read } = self;
        // The estimate is on the long side, and three digits of it are enough.
        let sent = sent / 6 * 5;
        let unit = 10_usize.pow(sent.max(1).ilog10().saturating_sub(2));
        let about = (sent + unit / 2) / unit * unit;
        let mend = match server {
            ServerKind::Ollama => "set OLLAMA_CONTEXT_LENGTH where Ollama runs",
            ServerKind::LlamaCpp => "start llama.cpp with a larger --ctx-size",
            ServerKind::LmStudio => "raise the model's context length in LM Studio's settings",
            ServerKind::Vllm | ServerKind::Sglang | ServerKind::MlxLm | ServerKind::Unknown => {
                "raise the server's context (OLLAMA_CONTEXT_LENGTH for Ollama, --ctx-size for llama.cpp)"
            }
        };
        format!(
            "the local server has read {read} of about {about} tokens, and dropped the rest: {mend}, or tell its context with \
             LOCAL_LLM_CONTEXT"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_model::context::tokens;
    use crate::settings::Setting;

    fn sent(about: usize, messages: usize, tools: usize) -> Sent {
        Sent { about, messages, tools }
    }

    #[test]
    fn one_answer_alone() {
        // Claude Code's first request, without and with its tools in mind; a talk; a short question.
        let (agent, talk, short) = (sent(12_400, 3900, 5200), sent(9000, 6800, 0), sent(60, 30, 0));
        let table = [
            ("all was read", agent, 12_409, None, false),
            ("all was read, by a tokenizer with longer words", agent, 9300, None, false),
            ("the server does not count", agent, 0, None, false),
            ("a template without tools (SmolLM2)", agent, 4140, None, false),
            ("the same, with the context known", agent, 4140, Some(8192), false),
            ("Ollama's default", agent, 4096, None, true),
            ("one less", agent, 4095, None, true),
            ("with what is kept", agent, 4100, None, true),
            ("the half of it, and what is kept", agent, 2050, None, true),
            ("far less than the messages", agent, 2222, None, true),
            ("the context is known", agent, 4096, Some(4096), true),
            ("the half of a known one", agent, 5002, Some(10_000), true),
            ("round by chance, where the context is larger", agent, 8192, Some(32_768), false),
            ("another round size", agent, 7168, None, true),
            ("round, and all that was sent", agent, 12_288, None, false),
            ("round, and no shorter than such a text can be", talk, 6144, None, false),
            ("a long talk", talk, 4096, None, true),
            ("a power of two below a long estimate", sent(5400, 3700, 0), 4096, None, true),
            ("Chinese at a tokenizer of its own", sent(9000, 2000, 0), 2700, None, false),
            ("a short question", short, 41, None, false),
            ("a short question with nothing around it", short, 24, None, false),
            ("a large file", sent(90_000, 60_000, 0), 1026, None, true),
            ("a server that counts what is not in its cache", agent, 317, None, false),
        ];
        for (what, sent, read, window, expected) in table {
            let found = Detector::default().check(sent, read, &[window]);
            assert_eq!(found.is_some(), expected, "{what}: {sent:?} {read} {window:?}");
            assert!(found.is_none_or(|found| found == Truncation { sent: sent.about, read }), "{what}");
        }
    }

    #[test]
    fn what_was_read_before_tells_what_to_expect() {
        let agent = sent(12_400, 3900, 5200);
        let mut without_tools = Detector::default();
        assert_eq!(without_tools.check(agent, 4000, &[None]), None);
        assert_eq!(without_tools.check(sent(12_500, 3980, 5200), 4096, &[None]), None, "round by chance");
        assert_eq!(without_tools.check(sent(900, 600, 0), 700, &[None]), None, "a question without tools");
        let mut with_tools = Detector::default();
        assert_eq!(with_tools.check(agent, 12_409, &[None]), None);
        assert_eq!(with_tools.check(sent(14_000, 4900, 5200), 13_800, &[None]), None, "a turn more");
        assert!(with_tools.check(sent(15_000, 5600, 5200), 7800, &[None]).is_some(), "the front is dropped");
        assert_eq!(with_tools.check(sent(15_000, 5600, 5200), 14_900, &[None]), None, "a truncated one is no measure");
        let mut known = Detector::default();
        let window = [Some(32_768)];
        assert_eq!(known.check(agent, 4096, &window), None, "a template without tools, as it seems");
        assert_eq!(known.check(agent, 4096, &window), None, "the same question again");
        assert_eq!(known.check(sent(12_450, 3910, 5200), 4096, &window), None, "hardly more");
        assert!(known.check(sent(12_500, 3920, 5200), 4096, &window).is_some(), "no more was read of more");
    }

    #[test]
    fn what_the_user_says_of_the_context_may_be_wrong() {
        let agent = sent(12_400, 3900, 5200);
        let model = |is_stated| Model {
            name: "m".into(),
            id: None,
            window: Some(32_768),
            is_stated,
            is_checked: false,
            is_assumed: false,
            is_known: true,
            server: ServerKind::Unknown,
        };
        assert!(Detector::default().check_model(agent, 4096, Some(&model(true))).is_some());
        assert_eq!(Detector::default().check_model(agent, 4096, Some(&model(false))), None);
        assert!(Detector::default().check_model(agent, 4096, None).is_some());
    }

    #[test]
    fn the_least_is_below_what_tokenizers_count() {
        // Counted by SmolLM2's tokenizer.
        let table = [
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("{\"a\": [1, 2, 3]}", 12),
            ("fn main() { println!(\"{}\", x + 1); }", 15),
            ("2026-11-22T13:46:05.188Z", 24),
            ("    indented\n\tcode\n\n", 7),
            ("日本語のテキスト", 15),
            ("Привет, как дела?", 13),
            ("😀🎉", 6),
        ];
        for (text, real) in table {
            let least = fewest_tokens(text);
            assert!((real / 8..=real).contains(&least) && least <= tokens(text), "{text}: {least} for {real}");
        }
        assert_eq!(fewest_tokens(&"=".repeat(400)), 0);
        assert_eq!(fewest_tokens(&"1234567890\n".repeat(10)), 40);
    }

    #[test]
    fn the_line_names_what_mends_it() {
        let truncation = Truncation { sent: 14_832, read: 4096 };
        assert_eq!(
            truncation.line(ServerKind::Ollama),
            "the local server has read 4096 of about 12400 tokens, and dropped the rest: set OLLAMA_CONTEXT_LENGTH where Ollama \
             runs, or tell its context with LOCAL_LLM_CONTEXT"
        );
        for (server, what) in [
            (ServerKind::LlamaCpp, "--ctx-size"),
            (ServerKind::LmStudio, "LM Studio's settings"),
            (ServerKind::Unknown, "OLLAMA_CONTEXT_LENGTH for Ollama, --ctx-size for llama.cpp"),
        ] {
            let line = truncation.line(server);
            assert!(line.contains(what) && line.contains(Setting::Window.name()), "{line}");
        }
        assert!(Truncation { sent: 600, read: 9 }.line(ServerKind::Ollama).contains("9 of about 500 tokens"));
    }
}
