//! The part of stdin that has no answer yet, kept for another try.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::claude_code::protocol::input::{self, Input, Role};

/// More than Claude Code takes, in bytes: beyond this nothing is kept, since nothing will be answered.
pub(super) const MOST_KEPT: usize = 32 << 20;

/// The request that a session begins with.
pub(super) const INITIALIZE: &str = "initialize";

#[derive(Default)]
pub(super) struct Kept {
    /// Stdin is a stream of messages; otherwise all of it is one text.
    pub is_in_lines: bool,
    /// The lines that set something, each the last of its kind.
    settings: Vec<(String, Vec<u8>)>,
    /// The user's lines that are not answered, and what stands between them.
    unanswered: Vec<Vec<u8>>,
    /// How many of the user's lines came so far.
    lines_received: usize,
    /// How many of them are answered.
    answered_lines: usize,
    /// The ids of all of them: what comes twice is answered once.
    uuids: HashSet<String>,
    /// How many of the real Claude's own questions the caller has answered.
    responses: usize,
    /// The beginning of a line that is not whole yet. Of one text: all of it.
    unfinished: Vec<u8>,
    is_too_much: bool,
    /// Control requests are kept until they are answered, too: others than Claude Code answer them now.
    pub keeps_requests: bool,
}

impl Kept {
    pub(super) fn add(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest).filter(|_| self.is_in_lines) {
            let (line, next) = rest.split_at(end + 1);
            self.unfinished.extend_from_slice(line);
            let whole = std::mem::take(&mut self.unfinished);
            self.add_line(whole);
            rest = next;
        }
        self.unfinished.extend_from_slice(rest);
        if self.unfinished.len() > MOST_KEPT {
            self.unfinished = Vec::new();
            self.is_too_much = true;
        }
    }

    fn add_line(&mut self, line: Vec<u8>) {
        match input::parse_line(&line) {
            // Kept, so that the backend that answers it reports what is wrong with it.
            Err(_) => self.unanswered.push(line),
            Ok(Input::User(message)) if message.uuid.as_ref().is_none_or(|uuid| self.uuids.insert(uuid.clone())) => {
                self.unanswered.push(line);
                self.lines_received += 1;
            }
            Ok(Input::Assistant(..)) => self.unanswered.push(line),
            Ok(Input::Control { request, .. }) => {
                let subtype = request["subtype"].as_str().unwrap_or_default();
                if subtype.starts_with("set_") || subtype == INITIALIZE {
                    self.settings.retain(|(kind, _)| kind != subtype);
                    self.settings.push((subtype.into(), line));
                } else if self.keeps_requests {
                    self.unanswered.push(line);
                }
            }
            Ok(_) => self.responses += usize::from(memchr::memmem::find(&line, b"\"control_response\"").is_some()),
        }
    }

    /// What is not answered.
    pub(super) fn bytes(&self) -> Vec<u8> {
        [self.unanswered.concat(), self.unfinished.clone()].concat()
    }

    /// The whole lines of it.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.unanswered.iter().map(Vec::as_slice)
    }

    pub(super) fn settings(&self) -> Vec<Vec<u8>> {
        self.settings.iter().map(|(_, line)| line.clone()).collect()
    }

    pub(super) fn setting(&self, subtype: &str) -> Option<&[u8]> {
        self.settings.iter().find(|(kind, _)| kind == subtype).map(|(_, line)| line.as_slice())
    }

    /// The ids of the requests that set something.
    pub(super) fn setting_ids(&self) -> HashSet<String> {
        let id = |line: &[u8]| match input::parse_line(line) {
            Ok(Input::Control { id, .. }) => id?.as_str().map(str::to_string),
            _ => None,
        };
        self.settings.iter().filter_map(|(_, line)| id(line)).collect()
    }

    pub(super) fn lines_received(&self) -> usize {
        self.lines_received
    }

    pub(super) fn answered_lines(&self) -> usize {
        self.answered_lines
    }

    pub(super) fn responses(&self) -> usize {
        self.responses
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.is_too_much
    }

    /// Drops the user's lines up to the one of this number, which have their answer. Returns the messages dropped.
    pub(super) fn drop_answered(&mut self, count: usize) -> Vec<(Role, String)> {
        let mut messages = Vec::new();
        while self.answered_lines < count && !self.unanswered.is_empty() {
            match input::parse_line(&self.unanswered.remove(0)) {
                Ok(Input::User(message)) => {
                    messages.push((Role::User, message.as_text()));
                    self.answered_lines += 1;
                }
                Ok(Input::Assistant(_, text)) => messages.push((Role::Assistant, text)),
                _ => {}
            }
        }
        messages
    }

    pub(super) fn answered_uuids(&self) -> HashSet<String> {
        let uuid = |line: &Vec<u8>| match input::parse_line(line) {
            Ok(Input::User(message)) => message.uuid,
            _ => None,
        };
        let waiting: HashSet<String> = self.unanswered.iter().filter_map(uuid).collect();
        self.uuids.difference(&waiting).cloned().collect()
    }

    pub(super) fn drop_request(&mut self, id: &str) {
        let is_it = |line: &[u8]| match input::parse_line(line) {
            Ok(Input::Control { id: Some(Value::String(other)), .. }) => other == id,
            _ => false,
        };
        self.unanswered.retain(|line| !is_it(line));
    }

    /// Drops the message with this id, which is to have no answer.
    pub(super) fn drop_message(&mut self, uuid: &str) {
        let is_it =
            |line: &[u8]| matches!(input::parse_line(line), Ok(Input::User(message)) if message.uuid.as_deref() == Some(uuid));
        let before = self.unanswered.len();
        self.unanswered.retain(|line| !is_it(line));
        self.lines_received -= before - self.unanswered.len();
    }

    /// Puts `text` in the place of the next `lines` of the user's lines.
    pub(super) fn replace_lines(&mut self, lines: usize, text: &str) {
        let before = self.answered_lines;
        self.drop_answered(before + lines);
        let dropped = self.answered_lines - before;
        let message =
            json!({"type": "user", "message": {"role": "user", "content": text}, "session_id": "", "parent_tool_use_id": null});
        self.unanswered.insert(0, format!("{message}\n").into_bytes());
        self.answered_lines = before;
        self.lines_received = self.lines_received + 1 - dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> String {
        format!("{}\n", json!({"type": "user", "message": {"role": "user", "content": text}}))
    }

    fn kept(chunks: &[&str]) -> Kept {
        let mut kept = Kept { is_in_lines: true, ..Kept::default() };
        chunks.iter().for_each(|chunk| kept.add(chunk.as_bytes()));
        kept
    }

    #[test]
    fn lines_are_counted_whole_and_once() {
        let (first, second) = (user("one"), user("two"));
        let (begin, end) = first.split_at(9);
        let kept_in_pieces = kept(&[begin, end, &second[..5]]);
        assert_eq!(kept_in_pieces.lines_received(), 1);
        assert_eq!(kept_in_pieces.bytes(), format!("{first}{}", &second[..5]).into_bytes());
        let with_id = "{\"type\":\"user\",\"uuid\":\"u\",\"message\":{\"role\":\"user\",\"content\":\"x\"}}\n";
        assert_eq!(kept(&[with_id, with_id]).lines_received(), 1);
        assert_eq!(kept(&["{\"type\":\"control_response\"}\n", "{\"type\":\"keep_alive\"}\n"]).responses(), 1);
    }

    #[test]
    fn the_last_setting_of_each_kind_is_kept() {
        let set = |id: &str, subtype: &str| {
            format!("{}\n", json!({"type": "control_request", "request_id": id, "request": {"subtype": subtype}}))
        };
        let kept =
            kept(&[&set("1", INITIALIZE), &set("2", "set_model"), &set("3", "interrupt"), &set("4", "set_model"), &user("hi")]);
        assert_eq!(kept.settings(), [set("1", INITIALIZE).into_bytes(), set("4", "set_model").into_bytes()]);
        assert_eq!(kept.setting_ids(), HashSet::from(["1".to_string(), "4".to_string()]));
        assert_eq!(kept.setting(INITIALIZE), Some(set("1", INITIALIZE).as_bytes()));
        assert_eq!(kept.bytes(), user("hi").into_bytes());
    }

    #[test]
    fn answered_lines_are_dropped_and_told_once() {
        let mut kept = kept(&[&user("one"), "not json\n", &user("two"), &user("three")]);
        assert_eq!(kept.drop_answered(2), [(Role::User, "one".into()), (Role::User, "two".into())]);
        assert_eq!(kept.drop_answered(2), []);
        assert_eq!((kept.answered_lines(), kept.lines_received()), (2, 3));
        assert_eq!(kept.bytes(), user("three").into_bytes());
    }

    #[test]
    fn a_turn_is_replaced_by_one_line() {
        let table = [(1, 3, "two\nthree"), (2, 2, "three"), (9, 1, "")];
        for (lines, received, left) in table {
            let mut kept = kept(&[&user("one"), &user("two"), &user("three")]);
            kept.replace_lines(lines, "go on");
            assert_eq!((kept.answered_lines(), kept.lines_received()), (0, received), "{lines}");
            let messages = kept.drop_answered(usize::MAX);
            let texts: Vec<&str> = messages.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts.join("\n"), format!("go on\n{left}").trim_end(), "{lines}");
        }
    }

    #[test]
    fn a_text_is_kept_until_it_is_too_much() {
        let mut text = Kept::default();
        text.add(b"a\nb");
        assert_eq!((text.bytes(), text.lines_received()), (b"a\nb".to_vec(), 0));
        text.add(&vec![b'x'; MOST_KEPT]);
        assert!(text.bytes().is_empty() && !text.is_complete());
    }
}
