//! What becomes of a prompt that a person sends at a terminal: the decision, and the words that they answer with.

use crate::routing::interactive_policy::InteractivePolicy;
use crate::routing::route::Side;
use crate::shown::Shown;

/// Tells why the session could change sides, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Distinguishes it from other offers: each is made once.
    pub id: String,
    /// Why.
    pub why: Shown,
    /// The local model's name.
    pub model: Shown,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Sent,
    /// And the model is told this beside it.
    SentWith(String),
    /// It is not sent, and these lines are shown.
    Held(Shown),
    /// The session goes on at the other side, with this prompt.
    Carried(Option<String>),
}

/// What is known of the prompts of a session.
#[derive(Default)]
pub(super) struct Prompts {
    /// The prompt that was held last, until it is sent.
    held: Option<String>,
    /// The offer that was made last.
    made: Option<String>,
    /// The next prompt was carried over from the other side, where it was held.
    is_carried: bool,
    /// Claude is asked, whatever is known of it, until it refuses: the user has gone back to it.
    trusts_claude: bool,
}

impl Prompts {
    /// The session begins at a side with a prompt that must not be held again.
    pub(super) fn carry(&mut self) {
        self.is_carried = true;
    }

    /// Whether that prompt has not been sent yet.
    pub(super) fn is_carrying(&self) -> bool {
        self.is_carried
    }

    /// The user goes back to Claude, which may still be away.
    pub(super) fn trust_claude(&mut self) {
        self.trusts_claude = true;
    }

    pub(super) fn was_refused(&mut self) {
        self.trusts_claude = false;
    }

    /// `offer`: to go from `side` to the other one. `is_at_work`: another prompt is not answered yet, and this one has to wait for it.
    pub(super) fn fate(
        &mut self,
        side: Side,
        policy: InteractivePolicy,
        prompt: &str,
        offer: Option<&Offer>,
        is_at_work: bool,
    ) -> Fate {
        if std::mem::take(&mut self.is_carried) || !can_be_carried(prompt) {
            return Fate::Sent;
        }
        let go = match side {
            Side::Claude => "local",
            Side::Local => "claude",
        };
        let held = self.held.take();
        let answer = |word: &str| answers(word, prompt, held.as_deref());
        let Some(offer) = offer else {
            self.made = None;
            // Whoever has no patience may ask Claude at any time.
            let goes = side == Side::Local && answers(go, prompt, None);
            return if goes { Fate::Carried(None) } else { Fate::Sent };
        };
        if answer(go) {
            return Fate::Carried(held);
        }
        if is_at_work || self.trusts_claude && side == Side::Claude {
            return Fate::Sent;
        }
        if policy == InteractivePolicy::Auto {
            return Fate::Carried(Some(prompt.into()));
        }
        if let (Some(held), true) = (&held, side == Side::Claude && answer("wait")) {
            let is_alone = answers("wait", prompt, None);
            if is_alone && held.len() > LONGEST_BESIDE {
                return Fate::Held("Send the prompt again, and Claude gets it. The Up key brings it back.".into());
            }
            return Fate::SentWith(meant(prompt, held));
        }
        if self.made.as_ref() == Some(&offer.id) {
            return Fate::Sent;
        }
        self.made = Some(offer.id.clone());
        self.held = Some(prompt.into());
        let (why, model) = (&offer.why, &offer.model);
        let lines = match side {
            Side::Claude => {
                format!("{why}.\nType `local` to go on in this session with the local model `{model}`, or `wait` to stay.")
            }
            Side::Local => {
                format!(
                    "{why}.\nType `claude` to go back to it in this session, or send it again to stay with the local model `{model}`."
                )
            }
        };
        Fate::Held(Shown::lines(lines))
    }
}

/// Whether the prompt is this word, alone or behind the prompt that was held: 2.1.330 puts that back into the input box.
fn answers(word: &str, prompt: &str, held: Option<&str>) -> bool {
    let prompt = prompt.trim();
    let is_behind = |held: &str| {
        let before = prompt.len().checked_sub(word.len()).filter(|at| prompt.is_char_boundary(*at));
        before.is_some_and(|at| prompt[at..].eq_ignore_ascii_case(word) && prompt[..at].trim() == held.trim())
    };
    prompt.eq_ignore_ascii_case(word) || held.is_some_and(is_behind)
}

/// How long an argument may be, in bytes and with room to spare: Linux takes 128 KiB.
const LONGEST: usize = 120_000;

/// Whether a prompt can be an argument of the next Claude Code. One that cannot is sent where it is: if it is refused there, it is in the
/// session all the same, and goes over with the next one. What an image shows, no hook is told (2.1.330).
pub(super) fn can_be_carried(prompt: &str) -> bool {
    prompt.len() <= LONGEST && !prompt.contains('\0') && !prompt.contains("[Image #")
}

/// How long a text beside a prompt may be, in bytes: of a longer one the model gets the beginning (2.1.78 to 2.1.330).
const LONGEST_BESIDE: usize = 4000;

/// Which prompt somebody sends with `wait`.
fn meant(prompt: &str, held: &str) -> String {
    match prompt.trim().len() > "wait".len() {
        true => "The word `wait` at the end of the prompt was an answer to claude-failover and is no part of it.".into(),
        false => format!("This `wait` was an answer to claude-failover. The prompt that the user sends is:\n{held}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown::shown;
    use InteractivePolicy::{Ask, Auto};
    use Side::{Claude, Local};

    fn offer(id: &str) -> Offer {
        Offer { id: id.into(), why: shown!("Because of {id}"), model: "small".into() }
    }

    /// A prompt, and the offer that there is.
    type Said = (&'static str, Option<&'static str>);

    type Row = (Side, InteractivePolicy, &'static [Said], &'static [&'static str]);

    /// Plays prompts, each with the offer that there is, and returns what becomes of each in a word.
    fn played(side: Side, policy: InteractivePolicy, said: &[Said]) -> Vec<String> {
        let mut prompts = Prompts::default();
        let mut one = |(prompt, id): &Said| match prompts.fate(side, policy, prompt, id.map(offer).as_ref(), false) {
            Fate::Sent => "sent".into(),
            Fate::SentWith(text) => format!("sent with: {}", text.lines().last().unwrap_or_default()),
            Fate::Held(lines) => format!("held: {}", lines.lines().next().unwrap_or_default()),
            Fate::Carried(prompt) => format!("carried: {}", prompt.unwrap_or_default()),
        };
        said.iter().map(&mut one).collect()
    }

    #[test]
    fn each_prompt_has_one_fate() {
        const NO_PART: &str =
            "sent with: The word `wait` at the end of the prompt was an answer to claude-failover and is no part of it.";
        const A: Option<&str> = Some("a");
        let table: &[Row] = &[
            (Claude, Ask, &[("one", None), ("local", None), ("wait", None)], &["sent", "sent", "sent"]),
            (Claude, Ask, &[("one", A), ("local", A)], &["held: Because of a.", "carried: one"]),
            (Claude, Ask, &[("one", A), (" Local\n", A)], &["held: Because of a.", "carried: one"]),
            (Claude, Ask, &[("one", A), ("onelocal", A)], &["held: Because of a.", "carried: one"]),
            (Claude, Ask, &[("one\ntwo ", A), ("one\ntwo\nlocal", A)], &["held: Because of a.", "carried: one\ntwo "]),
            (Claude, Ask, &[("one", A), ("wait", A), ("two", A)], &["held: Because of a.", "sent with: one", "sent"]),
            (Claude, Ask, &[("one", A), ("one wait", A), ("two", A)], &["held: Because of a.", NO_PART, "sent"]),
            (Claude, Ask, &[("one", A), ("one", A), ("two", A)], &["held: Because of a.", "sent", "sent"]),
            (Claude, Ask, &[("one", A), ("other", A), ("local", A)], &["held: Because of a.", "sent", "carried: "]),
            // Words within other prompts are none of ours.
            (Claude, Ask, &[("one", A), ("local files", A), ("go local", A)], &["held: Because of a.", "sent", "sent"]),
            (Claude, Ask, &[("local", A)], &["carried: "]),
            // A prompt whose end is the word.
            (Claude, Ask, &[("await", A), ("await", A)], &["held: Because of a.", "sent"]),
            (Claude, Ask, &[("\u{e4}", A), ("\u{e4}\u{e4}", A)], &["held: Because of a.", "sent"]),
            // Another limit is another offer; and so is the same one after an answer in between.
            (Claude, Ask, &[("one", A), ("one", A), ("two", Some("b"))], &["held: Because of a.", "sent", "held: Because of b."]),
            (Claude, Ask, &[("one", A), ("one", None), ("two", A)], &["held: Because of a.", "sent", "held: Because of a."]),
            (Claude, Auto, &[("one", None), ("two", A)], &["sent", "carried: two"]),
            (Local, Ask, &[("one", None), ("local", None), ("claude", None)], &["sent", "sent", "carried: "]),
            (Local, Ask, &[("one", A), ("claude", A)], &["held: Because of a.", "carried: one"]),
            (Local, Ask, &[("one", A), ("one", A), ("two", A)], &["held: Because of a.", "sent", "sent"]),
            (Local, Ask, &[("one", A), ("wait", A)], &["held: Because of a.", "sent"]),
            (Local, Auto, &[("one", None), ("two", A)], &["sent", "carried: two"]),
        ];
        for (side, policy, said, expected) in table {
            assert_eq!(played(*side, *policy, said), *expected, "{side:?} {policy:?} {said:?}");
        }
    }

    #[test]
    fn who_has_gone_back_to_claude_is_asked_when_it_refuses() {
        for policy in [Ask, Auto] {
            let mut prompts = Prompts::default();
            prompts.trust_claude();
            assert_eq!(prompts.fate(Claude, policy, "one", Some(&offer("a")), false), Fate::Sent);
            prompts.was_refused();
            assert_ne!(prompts.fate(Claude, policy, "two", Some(&offer("a")), false), Fate::Sent);
        }
    }

    #[test]
    fn what_has_to_wait_is_neither_held_nor_carried() {
        for policy in [Ask, Auto] {
            let mut prompts = Prompts::default();
            assert_eq!(prompts.fate(Claude, policy, "one", Some(&offer("a")), true), Fate::Sent);
            assert_ne!(prompts.fate(Claude, policy, "two", Some(&offer("a")), false), Fate::Sent);
            assert_eq!(Prompts::default().fate(Claude, policy, "local", Some(&offer("a")), true), Fate::Carried(None));
        }
    }

    #[test]
    fn a_prompt_that_was_carried_over_is_sent() {
        let mut prompts = Prompts::default();
        prompts.carry();
        assert_eq!(prompts.fate(Local, Ask, "one", Some(&offer("a")), false), Fate::Sent);
        assert!(matches!(prompts.fate(Local, Ask, "two", Some(&offer("a")), false), Fate::Held(_)));
    }

    #[test]
    fn a_prompt_that_no_argument_can_hold_is_sent_where_it_is() {
        for prompt in ["x".repeat(130_000).as_str(), "[Image #1] what is it", "a\0b"] {
            let mut prompts = Prompts::default();
            assert_eq!(prompts.fate(Claude, Ask, prompt, Some(&offer("a")), false), Fate::Sent);
            assert_eq!(prompts.fate(Claude, Auto, prompt, Some(&offer("a")), false), Fate::Sent);
            assert!(matches!(prompts.fate(Claude, Ask, "one", Some(&offer("a")), false), Fate::Held(_)));
        }
    }

    #[test]
    fn a_long_prompt_is_sent_again_by_the_user() {
        let mut prompts = Prompts::default();
        let long = "word ".repeat(1000);
        let mut fate = |prompt: &str| prompts.fate(Claude, Ask, prompt, Some(&offer("a")), false);
        assert!(matches!(fate(&long), Fate::Held(_)));
        assert!(matches!(fate("wait"), Fate::Held(_)));
        assert_eq!(fate(&long), Fate::Sent);
    }
}
