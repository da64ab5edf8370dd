//! Output that runs in circles: a passage that comes again and again, to the letter.
//!
//! A model that is caught in one goes on to the last token that it may write. Much is repeated on purpose, though: rows of zeros, cells
//! of a table, lines of code. So what reads as prose is cut early, anything else late, and what is almost the same never.

use memchr::memmem;

/// How often a passage must come, in whole.
const FEWEST_TIMES: usize = 6;

/// How long a repetition is, in bytes, when it is cut: prose, other text, and what a call is given. A user may well ask for a hundred
/// times the same sentence, for ten thousand zeros, or for a file of either.
const MOST_PROSE: usize = 6 << 10;
const MOST_OTHER: usize = 32 << 10;
const MOST_IN_CALL: usize = 64 << 10;

/// The same for an answer that its limit has ended within a repetition: with more tokens it would only go on.
const MOST_AT_LIMIT: usize = 1 << 10;

/// The longest passage that is noticed, in bytes.
const LONGEST_PASSAGE: usize = 4 << 10;

/// How many bytes come between two searches, and how many a repetition has at least when it is noticed.
const STEP: usize = 512;

/// The end of a text whose earlier places are looked for.
const NEEDLE: usize = 32;

/// How many of those places are tried.
const MOST_TRIED: usize = 64;

/// How often one answer may make the same call. Some tools give something else each time, and a user may want three throws of the dice.
pub(crate) const MOST_SAME_CALLS: usize = 3;

/// What stands behind a text that was cut.
pub(crate) const CUT: &str = "\n\n[Cut here by claude-failover: the local model wrote the same again and again.]";

/// Where an answer runs in circles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circling {
    /// In its text, or in its thinking.
    InText,
    /// In what it gives to a call, which cannot be made then.
    InCall,
    /// In the calls themselves: the same one again and again.
    OfCalls,
}

/// Watches an answer as it comes.
pub(super) struct Watch {
    text: Circles,
    calls: Circles,
    pub found: Option<Circling>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { text: Circles::default(), calls: Circles::in_calls(), found: None }
    }
}

impl Watch {
    /// Text or thinking that the caller gets.
    pub(super) fn push_given(&mut self, text: &str) {
        if self.text.push(text) {
            self.found = Some(Circling::InText);
        }
    }

    /// Text that is held back, and may be a call.
    pub(super) fn push_held(&mut self, text: &str, is_text: impl FnOnce() -> bool) {
        if self.text.push(text) {
            match is_text() {
                true => self.found = Some(Circling::InText),
                false => self.text = Circles::in_calls(),
            }
        }
    }

    /// What a call is given.
    pub(super) fn push_call(&mut self, text: &str) {
        if self.calls.push(text) {
            self.found = self.found.or(Some(Circling::InCall));
        }
    }

    /// Whether the text repeats itself at its end, which its limit has set.
    pub(super) fn is_circling_at_limit(&self) -> bool {
        let is_long = |circle: &Circle| circle.length >= MOST_AT_LIMIT.max(FEWEST_TIMES * circle.period);
        self.text.circle.as_ref().is_some_and(is_long)
    }

    /// The same call has come too often.
    pub(super) fn note_same_calls(&mut self) {
        self.found = self.found.or(Some(Circling::OfCalls));
    }
}

/// Watches a text as it comes. It costs a fast search for every [`STEP`] bytes.
#[derive(Default)]
pub(super) struct Circles {
    /// The end of the text.
    tail: Vec<u8>,
    unsearched: usize,
    /// The passage that the text repeats at the moment.
    circle: Option<Circle>,
    in_calls: bool,
}

#[derive(Clone, Copy)]
struct Circle {
    /// The length of the passage in bytes.
    period: usize,
    /// How long it has been repeated, in bytes.
    length: usize,
    most: usize,
}

impl Circles {
    /// For what calls are given.
    pub(super) fn in_calls() -> Circles {
        Circles { in_calls: true, ..Circles::default() }
    }

    /// Takes the next piece. True once the text runs in circles.
    pub(super) fn push(&mut self, piece: &str) -> bool {
        let begun = self.tail.len();
        self.tail.extend_from_slice(piece.as_bytes());
        self.unsearched += piece.len();
        if let Some(circle) = &mut self.circle {
            let same = (begun..self.tail.len()).take_while(|at| self.tail[*at] == self.tail[at - circle.period]).count();
            circle.length += same;
            if circle.is_too_long() {
                return true;
            }
            if begun + same < self.tail.len() {
                self.circle = None;
            }
        }
        if self.circle.is_none() && self.unsearched >= STEP {
            self.unsearched = 0;
            self.circle = self.search();
            if self.circle.is_some_and(|circle| circle.is_too_long()) {
                return true;
            }
        }
        if self.tail.len() > 4 * LONGEST_PASSAGE {
            self.tail.drain(..self.tail.len() - 2 * LONGEST_PASSAGE);
        }
        false
    }

    /// What the end of the text repeats.
    fn search(&self) -> Option<Circle> {
        let tail = &self.tail;
        let last = tail.len().checked_sub(NEEDLE)?;
        let places: Vec<usize> = memmem::find_iter(&tail[..tail.len() - 1], &tail[last..]).collect();
        places.iter().rev().take(MOST_TRIED).find_map(|place| {
            let period = last - place;
            let same = (period..tail.len()).rev().take_while(|at| tail[*at] == tail[at - period]).count();
            let length = period + same;
            (period <= LONGEST_PASSAGE && length >= STEP.max(2 * period)).then(|| Circle {
                period,
                length,
                most: self.most(&tail[tail.len() - period..]),
            })
        })
    }

    fn most(&self, passage: &[u8]) -> usize {
        match is_prose(&String::from_utf8_lossy(passage)) {
            _ if self.in_calls => MOST_IN_CALL,
            true => MOST_PROSE,
            false => MOST_OTHER,
        }
    }
}

impl Circle {
    fn is_too_long(&self) -> bool {
        self.length >= self.most.max(FEWEST_TIMES * self.period)
    }
}

/// Whether a text reads as sentences do: mostly of letters, many different ones, with few signs, and no row of a table.
fn is_prose(passage: &str) -> bool {
    let mut different: Vec<char> = passage.chars().filter(|letter| letter.is_alphabetic()).collect();
    let letters = different.len();
    let signs = passage.chars().filter(char::is_ascii_punctuation).count();
    let marks = passage.chars().filter(|letter| !letter.is_whitespace()).count();
    different.sort_unstable();
    different.dedup();
    const FEWEST_LETTERS: usize = 9;
    different.len() >= FEWEST_LETTERS && 10 * letters >= 6 * marks && 5 * signs <= marks && !passage.contains('|')
}

/// A text that runs in circles at its end, with the first repetitions only.
pub(crate) fn without_circle(text: &str) -> &str {
    let Some((begin, period)) = repetition(text) else { return text };
    let mut end = begin + 2 * period;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    &text[..end]
}

/// Where the repetition begins with which a text ends, and how long the passage is, in bytes.
pub(super) fn repetition(text: &str) -> Option<(usize, usize)> {
    let mut circles = Circles::default();
    circles.tail.extend_from_slice(text.as_bytes());
    let Circle { period, length, .. } = circles.search()?;
    Some((text.len() - length, period))
}

#[cfg(test)]
mod tests;
