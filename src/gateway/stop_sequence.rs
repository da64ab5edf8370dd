//! The stop sequences of a request.

/// Looks for stop sequences. The servers do so too, but do not say which one they met.
pub(super) struct StopSequences<'a> {
    sequences: &'a [String],
    withheld: String,
    /// The one that has ended the answer.
    pub(super) found: Option<&'a str>,
}

impl<'a> StopSequences<'a> {
    pub(super) fn new(sequences: &'a [String]) -> StopSequences<'a> {
        StopSequences { sequences, withheld: String::new(), found: None }
    }

    /// Returns the text that certainly stands before any stop sequence.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.sequences.is_empty() {
            return text.into();
        }
        if self.found.is_some() {
            return String::new();
        }
        self.withheld.push_str(text);
        let first = self.sequences.iter().filter_map(|sequence| Some((self.withheld.find(sequence.as_str())?, sequence))).min();
        if let Some((at, sequence)) = first {
            self.found = Some(sequence);
            self.withheld.truncate(at);
            return std::mem::take(&mut self.withheld);
        }
        let may_begin = |at: &usize| self.sequences.iter().any(|sequence| sequence.starts_with(&self.withheld[*at..]));
        let longest = self.sequences.iter().map(String::len).max().unwrap_or_default();
        let from = self.withheld.len().saturating_sub(longest);
        let certain = (from..self.withheld.len()).filter(|at| self.withheld.is_char_boundary(*at)).find(may_begin);
        self.withheld.drain(..certain.unwrap_or(self.withheld.len())).collect()
    }

    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.withheld)
    }
}
