//! How a call ends that the real Claude has ended.

use std::process::ExitStatus;

use crate::error::{Error, report};
use crate::os::exit::Exit;
use crate::watch::{Step, Watch};

impl Watch<'_> {
    pub(super) fn finish(&mut self, status: Option<ExitStatus>) -> Step {
        self.print_withheld_lines();
        self.out.finish();
        let exit = status.map_or(Exit::Code(1), Exit::of_child);
        let mut error = self.out.take_error();
        // On SIGINT Claude Code itself ends so.
        if error.is_none() && exit == Exit::Code(0) && !self.signals().is_end_requested() && self.has_no_answer() {
            error = Some(Error::NoResult { path: self.claude.program.clone() });
        }
        Step::Ended(match error {
            Some(error) => {
                report(self.applet, &error);
                if exit == Exit::Code(0) { Exit::Code(error.exit_code()) } else { exit }
            }
            None => exit,
        })
    }

    /// Whether nothing has come that could be an answer: the stream without a result, or nothing at all. Text without a line of the
    /// stream is an answer: that of a wrapper which passes `--output-format` over.
    fn has_no_answer(&self) -> bool {
        let has_result = self.transcript.has_result && self.out.has_printed();
        !self.listens && !has_result && (self.has_stream || !self.out.has_printed())
    }
}
