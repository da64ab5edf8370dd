//! Refusals that Claude Code passes on as if they were something else: the API's quota words behind a status, and an overload in the
//! middle of a stream.

use super::refused::{is_local_answer, said};
use super::{Format, LIMIT, TODAY, Version, each_of_a_share, is_full, same, sandbox};
use crate::support::messages_api::{Reply, error, is_of_the_call, questions_of_the_call, replying};
use crate::support::stub::{Stub, json as json_answer};

const VERSIONS: [Version; 5] = [(1, 0, 128), (2, 0, 76), (2, 1, 110), (2, 1, 197), TODAY];

const FORMATS: [Format; 3] = [Format::Text, Format::Json, Format::Stream];

const EXTRA: &str = "You're out of extra usage. Add more at claude.ai/settings/usage and keep going.";
const THIRD_PARTY: &str = "Third-party apps now draw from your extra usage, not your plan limits. We've added a $20 credit.";
const BUDGET: &str = "You have reached your specified API usage limits. You will regain access on 2099-12-01 at 00:00 UTC.";

/// What the API says, and what Claude Code asks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A status and its words, as an error of the API.
    Refused(u16, &'static str, &'static str),
    /// The same as plain text, as proxies do.
    Plain(u16, &'static str),
    /// An overload in the stream after this, if after anything; the question that Claude Code then asks without a stream is
    /// refused for that.
    Overload(Option<&'static str>),
    /// The same, and the second question is answered like the first.
    OverloadAgain(Option<&'static str>),
}

const WAYS: [(Way, &str); 9] = [
    (Way::Refused(400, "invalid_request_error", EXTRA), "spend"),
    (Way::Refused(400, "invalid_request_error", THIRD_PARTY), "spend"),
    (Way::Refused(400, "invalid_request_error", BUDGET), "spend"),
    (Way::Refused(403, "permission_error", EXTRA), "spend"),
    (Way::Plain(400, EXTRA), "spend"),
    (Way::Overload(None), "overload"),
    (Way::Overload(Some("half an ")), "overload"),
    (Way::OverloadAgain(Some("")), "overload"),
    (Way::OverloadAgain(Some("half an ")), "overload"),
];

impl Way {
    fn reply(self, question: &serde_json::Value) -> Reply {
        match self {
            // Old versions ask their small model for a title and the like, too.
            _ if !is_of_the_call(question) => Reply::Text("aside".into()),
            Way::Refused(status, kind, words) => error(status, kind, words),
            Way::Plain(status, words) => Reply::Raw(json_answer(status, words).replace("application/json", "text/plain")),
            Way::Overload(_) if question["stream"] != true => error(529, "overloaded_error", "Overloaded"),
            Way::Overload(begun) | Way::OverloadAgain(begun) => Reply::Overload(begun.map(str::to_string)),
        }
    }

    /// How often Claude is asked. Versions up to 2.0.76 ask once more, for an answer in one piece. 2.1.330 repeats what was
    /// refused with 400 up to six times within half a second, each time without another beta, and says nothing meanwhile.
    fn requests(self, version: Version) -> Option<usize> {
        match self {
            Way::Refused(400, ..) | Way::Plain(400, _) if version == TODAY => None,
            Way::Refused(..) | Way::Plain(..) => Some(1 + usize::from(version <= (2, 0, 76))),
            _ => None,
        }
    }
}

#[test]
fn it_is_answered_locally_for_what_it_is() {
    let mut items = Vec::new();
    for (case, (way, class)) in WAYS.into_iter().enumerate() {
        for (at, version) in VERSIONS.into_iter().enumerate() {
            // The versions share the formats out, so that each way meets all of them.
            let is_first = matches!(way, Way::Refused(400, _, EXTRA) | Way::Overload(Some(_)));
            let all = if is_full() || version == TODAY && is_first { &FORMATS[..] } else { &FORMATS[(case + at) % 3..][..1] };
            items.extend(all.iter().map(|format| (version, (way, class), *format)));
        }
    }
    each_of_a_share(&items, 4, |&(version, (way, class), format)| {
        let api = replying(move |question| way.reply(question));
        let local = Stub::answering("from here");
        let mut sandbox = sandbox(version, &api, &local);
        sandbox.set("CLAUDE_CODE_MAX_RETRIES", "1");
        let call = sandbox.cmd("claude").args(&["-p", "a question"]).args(format.args());
        let output = call.dir(sandbox.path("work")).limit(LIMIT).run();
        let until = if way == WAYS[2].0 { " until Tue 01 Dec 00:00" } else { "" };
        same("stderr", format!("claude: Claude {}{until}; the local model answers\n", said(class)), output.err())?;
        same("exit code", 0, output.code())?;
        is_local_answer(&output, format, class)?;
        let log = sandbox.cmd("llm-failover").args(&["log", "--json"]).run().out();
        same("the class in the ledger", true, log.contains(&format!("\"{class}\"")))?;
        let asked = questions_of_the_call(&api).len();
        same("requests to Claude", way.requests(version).unwrap_or(asked), asked)
    });
}

/// A wrapper between us and the real Claude Code: what it says stands before the answer, whoever gives that.
#[test]
fn a_wrappers_banner_stands_before_the_answer() {
    let items: Vec<(Version, Format)> = VERSIONS.into_iter().zip(FORMATS.into_iter().cycle()).collect();
    each_of_a_share(&items, 2, |&(version, format)| {
        for (reply, expected) in [(None, "An answer"), (Some(EXTRA), "from here")] {
            let api = replying(move |_| match reply {
                Some(words) => error(400, "invalid_request_error", words),
                None => Reply::Text("An answer".into()),
            });
            let local = Stub::answering("from here");
            let mut sandbox = sandbox(version, &api, &local);
            let program = super::claude(version);
            let script = format!("#!/bin/sh\necho 'Now using node v22'\nexec '{}' \"$@\"\n", program.display());
            let wrapper = sandbox.script("wrap/claude", &script);
            sandbox.set("CLAUDE_BIN", wrapper);
            let call = sandbox.cmd("claude").args(&["-p", "a question"]).args(format.args());
            let output = call.dir(sandbox.path("work")).limit(LIMIT).run();
            let text = output.out();
            let rest = text.strip_prefix("Now using node v22\n").ok_or(format!("no banner: {text:?}"))?;
            match format {
                Format::Text => same("stdout", format!("{expected}\n"), rest.to_string())?,
                _ => same("the result", true, rest.contains(&format!("\"result\":\"{expected}\"")))?,
            }
            same("exit code", 0, output.code())?;
        }
        Ok(())
    });
}
