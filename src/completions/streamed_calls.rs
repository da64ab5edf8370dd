//! The calls that a server reports, put together from the pieces in which they are streamed.
//!
//! A call is known by its id, its index and its name together: servers leave out each of them, number parallel calls alike
//! (ollama/ollama#15457), change the id from piece to piece (LM Studio), repeat the name or cut it in two.

use crate::completions::chunk::CallPiece;
use crate::completions::circles::MOST_SAME_CALLS;
use crate::completions::tool::Tool;

/// A call as a server reports it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamedCall {
    /// Empty if no name has come.
    pub name: String,
    /// The text of a JSON object, as it should be.
    pub arguments: String,
    id: String,
    index: Option<u64>,
    object: ObjectEnd,
}

/// The calls of one answer so far.
pub(super) struct StreamedCalls<'t> {
    tools: &'t [Tool],
    calls: Vec<StreamedCall>,
}

impl<'t> StreamedCalls<'t> {
    /// `tools`: those that are offered, whose names tell a whole name from a part of one.
    pub(super) fn new(tools: &'t [Tool]) -> StreamedCalls<'t> {
        StreamedCalls { tools, calls: Vec::new() }
    }

    /// Takes the pieces of one event.
    pub(super) fn push(&mut self, pieces: Vec<CallPiece>) {
        for (place, piece) in pieces.into_iter().enumerate() {
            let at = self.place_of(&piece, place > 0).unwrap_or_else(|| {
                self.calls.push(StreamedCall { index: piece.index, ..StreamedCall::default() });
                self.calls.len() - 1
            });
            self.add(at, piece);
        }
    }

    /// The calls that have a name, in the order in which they began.
    pub(super) fn take(&mut self) -> Vec<StreamedCall> {
        let mut calls = std::mem::take(&mut self.calls);
        calls.retain(|call| !call.name.is_empty());
        calls
    }

    /// Whether the last call, as far as it is whole, has come more often than one answer may make it.
    pub(super) fn has_too_many_of_last(&self) -> bool {
        let Some(last) = self.calls.last().filter(|_| self.calls.len() > MOST_SAME_CALLS) else { return false };
        // What stands for arguments that are still to come is the same in all calls.
        let is_whole = last.object.has_come && last.arguments.trim() != "{}";
        let is_same = |call: &&StreamedCall| call.name == last.name && call.arguments == last.arguments;
        is_whole && self.calls.iter().filter(is_same).count() > MOST_SAME_CALLS
    }

    /// The call that a piece belongs to. None: it begins another. `is_beside`: another piece of the same event stands before it.
    fn place_of(&self, piece: &CallPiece, is_beside: bool) -> Option<usize> {
        let has_name = !piece.name.is_empty();
        let of_same_id = |call: &StreamedCall| !piece.id.is_empty() && call.id == piece.id && !differ(call.index, piece.index);
        if let Some(at) = self.calls.iter().rposition(of_same_id) {
            return (!self.begins_another(&self.calls[at], piece)).then_some(at);
        }
        let at = match piece.index {
            Some(index) => self.calls.iter().rposition(|call| call.index == Some(index))?,
            None => self.calls.len().checked_sub(1)?,
        };
        let call = &self.calls[at];
        let has_another_id = !piece.id.is_empty() && !call.id.is_empty();
        let is_another = match piece.index {
            _ if has_name && has_another_id => {
                let has_begun = !call.arguments.is_empty() || !piece.arguments.is_empty();
                call.object.has_come || !call.name.is_empty() && (call.name != piece.name || !has_begun)
            }
            // LM Studio: one call, whose id changes.
            _ if has_another_id => false,
            None if is_beside && has_name => true,
            _ => self.begins_another(call, piece),
        };
        (!is_another).then_some(at)
    }

    /// Whether a piece that could go on with `call` cannot, by its name and arguments.
    fn begins_another(&self, call: &StreamedCall, piece: &CallPiece) -> bool {
        if piece.name.is_empty() || call.name.is_empty() {
            return false;
        }
        let is_offered = |name: &str| self.tools.iter().any(|tool| tool.name == name);
        let has_other_name = piece.name != call.name && is_offered(&call.name) && is_offered(&piece.name);
        // A server that numbers no calls sends each of them once.
        let is_repeated = piece.index.is_some() && call.arguments.trim() == piece.arguments.trim();
        has_other_name || call.object.has_come && piece.arguments.trim_start().starts_with('{') && !is_repeated
    }

    fn add(&mut self, at: usize, piece: CallPiece) {
        let call = &mut self.calls[at];
        if !piece.id.is_empty() {
            call.id = piece.id;
        }
        call.index = call.index.or(piece.index);
        if call.name.is_empty() || call.arguments.is_empty() && piece.name.starts_with(&call.name) {
            // It comes late, again, or each time with more of it.
            call.name = if piece.name.is_empty() { std::mem::take(&mut call.name) } else { piece.name };
        } else if call.arguments.is_empty() {
            let joined = format!("{}{}", call.name, piece.name);
            let is_offered = |name: &str| self.tools.iter().any(|tool| tool.name == name);
            if is_offered(&joined) || !is_offered(&call.name) {
                call.name = joined;
            }
        }
        if call.arguments.trim() == "{}" && piece.arguments.trim_start().starts_with('{') {
            // It stood for arguments that are still to come.
            (call.arguments, call.object) = Default::default();
        }
        let is_repeated = call.object.has_come && call.arguments.trim() == piece.arguments.trim();
        let is_blank_end = call.object.has_come && piece.arguments.trim().is_empty();
        if !is_repeated && !is_blank_end {
            call.object.push(&piece.arguments);
            call.arguments.push_str(&piece.arguments);
        }
    }
}

fn differ(one: Option<u64>, other: Option<u64>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// Finds the end of a JSON object without reading it again for each piece.
#[derive(Debug, Default, PartialEq, Eq)]
struct ObjectEnd {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    has_come: bool,
}

impl ObjectEnd {
    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' if !self.in_string => self.depth += 1,
                b'}' if !self.in_string => {
                    self.has_come |= self.depth == 1;
                    self.depth = self.depth.saturating_sub(1);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
