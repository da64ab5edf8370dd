//! The stop sequences of a request.

/// Looks for what ends an answer. The servers do so too, but do not tell which it was.
pub(super) struct StopSequences<'a> {
    sequences: &'a [String],
    held: String,
    /// The one that has ended the answer.
    pub(super) found: Option<&'a str>,
}

impl<'a> StopSequences<'a> {
    pub(super) fn new(sequences: &'a [String]) -> StopSequences<'a> {
        StopSequences { sequences, held: String::new(), found: None }
    }

    /// Takes text, and gives what stands certainly before the end.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.sequences.is_empty() {
            return text.into();
        }
        if self.found.is_some() {
            return String::new();
        }
        self.held.push_str(text);
        let first = self.sequences.iter().filter_map(|sequence| Some((self.held.find(sequence.as_str())?, sequence))).min();
        if let Some((at, sequence)) = first {
            self.found = Some(sequence);
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let may_begin = |at: &usize| self.sequences.iter().any(|sequence| sequence.starts_with(&self.held[*at..]));
        let longest = self.sequences.iter().map(String::len).max().unwrap_or_default();
        let from = self.held.len().saturating_sub(longest);
        let certain = (from..self.held.len()).filter(|at| self.held.is_char_boundary(*at)).find(may_begin);
        self.held.drain(..certain.unwrap_or(self.held.len())).collect()
    }

    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}
