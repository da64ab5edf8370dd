//! What each line of Claude's stream means for the turn, and whether it is printed or withheld.

use jiff::Timestamp;
use memchr::memmem::find;
use serde::de::IgnoredAny;

use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::line::Line;
use crate::claude_code::refusal::{self, Cause, Ending, Retry, Verdict};
use crate::claude_code::version::{self, Version};
use crate::error::notice;
use crate::shown::shown;
use crate::stdin::Pump;
use crate::watch::give_up::{AfterRefusal, OnRetry};
use crate::watch::turn::Phase;
use crate::watch::{Mode, Step, Watch};

impl Watch<'_> {
    /// `bytes`: the line with its newline.
    pub(super) fn handle_line(&mut self, bytes: &[u8]) -> Option<Step> {
        let line = Line::parse(bytes);
        if line.kind().0.is_empty() {
            return self.pass_untyped(bytes);
        }
        self.has_stream = true;
        if let Some(ending) = line.ending() {
            return self.end_turn(bytes, &line, ending);
        }
        if line.is("control_request") || line.is("control_response") || line.is("control_cancel_request") {
            self.handle_control(bytes, &line);
            return None;
        }
        if line.is_system("init") {
            self.handle_init(&line);
        }
        if line.is_system("status") {
            self.turn.phase = self.turn.phase.on_status(line.is_busy());
        }
        if line.is_system("session_state_changed") {
            self.is_session_running = !line.has_state("idle");
        }
        let (is_event, is_synthetic) = (line.is("stream_event"), line.is("assistant") && line.is_synthetic());
        self.turn.evidence.is_interrupted |= line.is_interrupt();
        if line.has_tool() {
            self.turn.ran_tool = true;
            // What is said while a tool runs, Claude Code hears with the tool's result.
            if let Some(pump) = self.stdin.pump().filter(|_| line.is("user")) {
                self.turn.lines_seen = pump.lines_received();
            }
        }
        if let Some(limit) = line.rejected_limit() {
            self.turn.evidence.rejected = Some(limit);
            self.withhold(bytes);
            return None;
        }
        if let Some((attempt, retry)) = line.retry() {
            self.print_in_order(bytes);
            return self.handle_retry(attempt, &retry);
        }
        if is_synthetic {
            self.turn.evidence.is_by_model = false;
            self.turn.evidence.is_synthetic = true;
            self.turn.evidence.error = line.error();
            self.withhold(bytes);
        } else if is_event || line.is("assistant") || line.is("user") {
            self.note_event(bytes, &line);
            let is_piece = self.handle_content(bytes, &line, is_event);
            let is_first = is_piece && !std::mem::replace(&mut self.announced.answer, true);
            return is_first.then_some(Step::Answering);
        } else if self.out.has_partials() || !line.has_status("requesting") {
            self.print_in_order(bytes);
        }
        let is_first = line.warns_of_limit() && !std::mem::replace(&mut self.announced.near_limit, true);
        is_first.then_some(Step::NearLimit)
    }

    /// Passes on what is no line of the stream: the caller would have seen it, too. It is no piece of an answer.
    pub(super) fn pass_text(&mut self, text: &[u8]) -> Option<Step> {
        // A wrapper says it after Claude Code has ended, and has printed all.
        if self.transcript.has_result && !self.listens {
            self.out.finish();
        }
        self.out.print_text_as_is(text);
        None
    }

    fn pass_untyped(&mut self, bytes: &[u8]) -> Option<Step> {
        // Claude Code died while it wrote a line.
        let is_cut = bytes.starts_with(b"{\"") && !bytes.ends_with(b"\n") && serde_json::from_slice::<IgnoredAny>(bytes).is_err();
        self.has_stream |= is_cut;
        if is_cut && !self.out.is_live() { None } else { self.pass_text(bytes) }
    }

    /// Notes what the verdict on the turn depends on.
    fn note_event(&mut self, bytes: &[u8], line: &Line) {
        let evidence = &mut self.turn.evidence;
        match line.event().as_deref() {
            Some("message_start") => evidence.is_answer_broken_off = true,
            // Only a whole answer has one. Claude Code itself says `message_stop` of an answer that it gives up.
            Some("message_delta") => evidence.is_answer_broken_off = false,
            Some("error") => evidence.is_answer_broken_off |= find(bytes, b"\"overloaded_error\"").is_some(),
            _ => {}
        }
        if line.is("assistant") {
            (evidence.is_by_model, evidence.is_synthetic, evidence.error) = (true, false, None);
        }
    }

    /// Returns whether it is a piece of an answer.
    fn handle_content(&mut self, bytes: &[u8], line: &Line, is_event: bool) -> bool {
        let has_answer = self.turn.phase.has_answer();
        // 1.0.128 does not say what is one.
        let is_replay = line.is("user") && self.listens && !has_answer && !self.turn.ran_tool && !line.is_interrupt();
        if line.is_replay() || is_replay {
            // What the caller says itself is no sign of an answer. Older versions mark what a slash command prints in the same way.
            self.withhold(bytes);
            return false;
        }
        // The summary of a conversation that was compacted is no answer yet.
        if self.mode == Mode::Local && line.is("user") && !has_answer {
            self.withhold(bytes);
            return false;
        }
        self.turn.phase = self.turn.phase.on_answer();
        // The frame of an answer is not yet a part of it: Anthropic may say there that it is overloaded.
        let is_frame =
            is_event && matches!(line.event().as_deref(), Some("message_start" | "content_block_start" | "ping" | "error"));
        if is_event && !self.out.has_partials() {
            return !is_frame;
        }
        if is_frame {
            self.withhold(bytes);
            return false;
        }
        if line.is("assistant") {
            self.turn.replies.extend(line.text().filter(|_| self.listens));
        }
        if self.out.is_live() {
            self.turn.phase = Phase::Printed;
        }
        self.print_withheld_lines();
        self.out.print_line(bytes);
        true
    }

    fn handle_control(&mut self, bytes: &[u8], line: &Line) {
        if line.is("control_request") {
            self.questions += 1;
        } else if line.is("control_cancel_request") {
            self.questions = self.questions.saturating_sub(1);
        }
        let has_answer = line.answered_request().is_some_and(|request| self.answered_requests.remove(&request));
        if !has_answer {
            self.out.print_line(bytes);
        }
    }

    fn handle_init(&mut self, line: &Line) {
        self.transcript.session_id = line.session_id().or(self.transcript.session_id.take());
        self.model = line.model().or(self.model.take());
        self.turn.phase = self.turn.phase.on_init();
        let version = line.version().as_deref().and_then(Version::parse);
        if let Some(version) = version.filter(|version| Some(*version) != self.version) {
            self.version = Some(version);
            self.out.set_version(self.version);
            version::remember(self.context, self.claude.file(), version);
        }
    }

    fn handle_retry(&mut self, attempt: u32, retry: &Retry) -> Option<Step> {
        if !self.withholds_refusals() {
            return None;
        }
        let verdict = refusal::of_retries(retry);
        match self.give_up.on_retry(attempt, verdict.cause, self.progress()) {
            OnRetry::Wait => None,
            OnRetry::WaitForWatchdog => {
                if !std::mem::replace(&mut self.announced.watchdog, true) {
                    notice(&shown!(
                        "{}: Claude {}; CLAUDE_CODE_RETRY_WATCHDOG is set, so Claude Code tries on and no local model answers",
                        self.applet,
                        verdict.cause.description()
                    ));
                }
                None
            }
            OnRetry::GiveUp => Some(self.stop_and_refuse(verdict)),
        }
    }

    fn end_turn(&mut self, bytes: &[u8], line: &Line, ending: Ending) -> Option<Step> {
        let tokens = line.tokens().unwrap_or_default();
        self.tokens.input_tokens = self.tokens.input_tokens.saturating_add(tokens.input_tokens);
        self.tokens.output_tokens = self.tokens.output_tokens.saturating_add(tokens.output_tokens);
        self.turn.evidence.result = Some(ending.clone());
        let verdict = refusal::of_turn(&self.turn.evidence, Timestamp::now());
        self.verdict = verdict.clone();
        if self.mode == Mode::Local {
            if ending.is_error && !self.turn.phase.has_answer() {
                self.withhold(bytes);
                return Some(Step::Refused(verdict));
            }
            self.mode = Mode::PassedOn;
        }
        if verdict.cause.fails_over() && self.withholds_refusals() {
            match self.give_up.on_refusal(self.progress(), || self.has_transcript()) {
                AfterRefusal::AnswerAgain => {
                    self.withhold(bytes);
                    // Claude Code would go on with the lines that wait, beside the backend that answers in its place.
                    let has_more = |pump: &Pump| self.transcript.has_lines_after_turn(pump.lines_received());
                    if self.listens && self.stdin.pump().is_some_and(has_more) {
                        self.child.stop();
                    }
                    return Some(Step::Refused(verdict));
                }
                AfterRefusal::Resume => {
                    self.withhold(bytes);
                    return Some(Step::Interrupted(verdict));
                }
                AfterRefusal::PassOn => self.say_why_not_again(&verdict),
            }
        }
        if verdict.cause == Cause::SignIn && self.withholds_refusals() {
            notice(
                &"hint: sign in with `claude` and `/login`, or with `claude setup-token` for scripts; `llm-failover local` answers meanwhile"
                    .into(),
            );
        }
        self.print_withheld_lines();
        self.out.print_result(bytes, &ending);
        self.close_turn();
        None
    }

    pub(super) fn close_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if let Some(pump) = self.stdin.pump().filter(|_| self.listens) {
            let joins = self.version.is_some_and(Version::joins_what_waits);
            let answered = self.transcript.count_turn(turn.lines_seen, pump.lines_received(), joins);
            let replies = turn.replies.into_iter().map(|text| (Role::Assistant, text));
            self.transcript.add(pump.drop_answered(answered).into_iter().chain(replies));
        }
        self.transcript.has_result = true;
    }

    fn say_why_not_again(&self, verdict: &Verdict) {
        let resume = match self.session_id() {
            Some(id) => format!("; go on later with `claude --resume {id}`"),
            None => String::new(),
        };
        notice(&shown!(
            "{}: Claude {}; {}, so this call is not answered again locally{resume}",
            self.applet,
            verdict.cause.description(),
            self.progress().why_not_again()
        ));
    }

    fn withhold(&mut self, bytes: &[u8]) {
        self.turn.withheld.extend_from_slice(bytes);
    }

    /// Withholds the line if what came before it is withheld.
    fn print_in_order(&mut self, bytes: &[u8]) {
        if self.turn.withheld.is_empty() && (self.mode != Mode::Local || self.turn.phase.has_answer()) {
            self.out.print_line(bytes);
        } else {
            self.withhold(bytes);
        }
    }

    pub(super) fn print_withheld_lines(&mut self) {
        let withheld = std::mem::take(&mut self.turn.withheld);
        for line in withheld.split_inclusive(|byte| *byte == b'\n') {
            self.out.print_line(line);
        }
    }
}
