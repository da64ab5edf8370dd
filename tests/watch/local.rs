//! Nobody answers here, either: what the caller gets is what Claude says, with one line more on stderr.

use crate::support::free_port;
use crate::support::play::{
    OVERLOADED, Stage, act, acts, answer, answered, init, init_line, overload_lines, refused, result_line,
};
use crate::support::stub::{Stub, end, passing, sse};

/// A way of not answering: the server, what is set, the prompt, and what is said of it.
struct Lack {
    stub: Stub,
    url: Option<String>,
    window: &'static str,
    said: String,
}

fn lacks() -> Vec<Lack> {
    let port = free_port();
    let closed = format!("http://127.0.0.1:{port}/v1/chat/completions");
    let none = format!(
        "no answer from the local server at {closed}: connection refused (see `llm-failover status`; check LOCAL_LLM_URL)"
    );
    vec![
        Lack { stub: Stub::answering("never"), url: Some(closed), window: "", said: none },
        Lack {
            stub: Stub::answering("never"),
            url: None,
            window: "10",
            said: "the conversation does not fit the local model's context of 10".into(),
        },
        Lack { stub: Stub::raw(sse(&end("stop"))), url: None, window: "", said: "the local model gave an empty answer".into() },
        Lack {
            stub: Stub::raw("HTTP/1.1 503 X\r\nRetry-After: 0\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbusy"),
            url: None,
            window: "",
            said: "the local server refused: HTTP 503: busy (run it again later, or raise LOCAL_LLM_RETRIES to wait longer)"
                .into(),
        },
    ]
}

/// The options of each format, and what a call prints in it whose turn is these lines.
fn formats(said: &serde_json::Value, end: &serde_json::Value, text: &str) -> [(&'static [&'static str], String); 4] {
    let init = init_line();
    [
        (&[], format!("{text}\n")),
        (&["--output-format", "json"], format!("{end}\n")),
        (&["--output-format", "json", "--verbose"], format!("[{init},{said},{end}]\n")),
        (&["--output-format", "stream-json", "--verbose"], format!("{init}\n{said}\n{end}\n")),
    ]
}

#[test]
fn claudes_own_words_come_in_every_format_before_and_after_the_breaker_has_opened() {
    let [said, end] = overload_lines();
    for Lack { stub, url, window, said: why } in lacks() {
        for (options, expected) in formats(&said, &end, OVERLOADED) {
            let mut stage = Stage::new(&stub, &acts(&[&refused()[..2], &refused()[2..4], &act("exit 3")]));
            if let Some(url) = &url {
                stage.set("LOCAL_LLM_URL", url);
            }
            stage.set("LOCAL_LLM_CONTEXT", window);
            let line = format!("claude: no local answer: {why}; what follows is Claude's\n");
            for runs in 1..=2 {
                stage.cmd("claude").args(&["-p", "some words to say"]).args(options).run().expect(3, &expected, &line);
                assert_eq!(stage.runs(), runs, "asked once each time");
            }
        }
    }
}

#[test]
fn with_the_breaker_open_claude_may_answer_after_all() {
    let said = crate::support::play::assistant_line("fine");
    for (options, expected) in formats(&said, &result_line("fine"), "fine") {
        let stub = Stub::raw(sse(&end("stop")));
        let stage = Stage::new(&stub, &acts(&[&init(), &answer("fine"), &act("exit 7")]));
        stage.open_breaker(false);
        let line = "claude: no local answer: the local model gave an empty answer; what follows is Claude's\n";
        stage.cmd("claude").args(&["-p", "hi"]).args(options).run().expect(7, &expected, line);
        assert_eq!(stage.breaker(), None, "and that closes it");
    }
}

/// One that was stopped in its retries goes on where it was.
#[test]
fn one_that_was_given_up_goes_on() {
    let stub = Stub::raw(sse(&end("stop")));
    let retries: Vec<String> = (1..=5).flat_map(crate::support::play::retry).collect();
    let stage = Stage::new(&stub, &acts(&[&init(), &retries, &answer("fine"), &act("exit 7")]));
    let line = "claude: no local answer: the local model gave an empty answer; what follows is Claude's\n";
    stage.ask("hi").expect(7, "fine\n", line);
    assert_eq!((stage.runs(), stub.chats().len()), (1, 2), "an empty answer is asked for once more");
    stage.assert_nothing_runs();
}

#[test]
fn without_a_server_to_start_the_line_says_what_to_do() {
    let mut stage = Stage::bare();
    stage.unset("LLM_SUPERVISOR");
    stage.play(&refused());
    let line = "claude: no local answer: no local server is installed (run `llm-failover setup`, or set LLM_SERVER_CMD to the \
                command that starts your server); what follows is Claude's\n";
    stage.ask("hi").expect(1, &format!("{OVERLOADED}\n"), line);
    stage.play(&answered("fine"));
    stage.ask("hi").expect(0, "fine\n", line);
    stage.ask("hi").expect(0, "fine\n", "");
}

/// What Claude said is passed on only when the local model has been asked as often as it may be.
#[test]
fn a_busy_server_is_asked_again_before_claudes_words_are_passed_on() {
    for (refusals, code, out) in [(2, 0, "yes\n".to_string()), (usize::MAX, 3, format!("{OVERLOADED}\n"))] {
        let stub = Stub::refusing(passing(503, "busy"), move |_, before| before < refusals);
        let stage = Stage::new(&stub, &acts(&[&refused()[..2], &refused()[2..4], &act("exit 3")]));
        let output = stage.cmd("claude").args(&["-p", "hi"]).run();
        assert_eq!((output.code(), output.out()), (code, out), "{output:?}");
        assert_eq!((stage.runs(), stub.chats().len()), (1, if refusals == 2 { 3 } else { 5 }));
    }
}
