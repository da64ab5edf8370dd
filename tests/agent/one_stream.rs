//! Agents whose stderr is parsed together with their stdout, or is to be empty.

use serde_json::json;

use super::{CONTEXT, DONE, FREE, Home, VERSIONS, done};
use crate::auto::{LIMIT, TODAY, each_of_a_share, same};
use crate::one_stream::{FORMATS, parse};
use crate::strict_parsers;
use crate::support::run_into_one;
use crate::support::script::{Manner, calls};

/// So small that the gateway warns of it.
const NARROW: u32 = 8192;

/// `claude` is a link to this binary, as callers have it; the session needs a tool.
#[test]
fn agents_with_both_streams_in_one_file() {
    let contexts = [(FORMATS[0], CONTEXT), (FORMATS[1], NARROW), (FORMATS[2], NARROW), (FORMATS[2], CONTEXT)];
    let cases: Vec<_> =
        VERSIONS.into_iter().flat_map(|version| contexts.map(|(format, n_ctx)| (version, format, n_ctx))).collect();
    each_of_a_share(&cases, 3, |&(version, format, n_ctx)| {
        let mut home = Home::new(version);
        let touch = calls(&[("Bash", json!({"command": "touch made"}))]);
        let _model = home.plays_in(n_ctx, Manner::Pieces, [touch, done()]);
        let (code, text) = run_into_one(&mut home.ask("do it", &[FREE]).args(format), n_ctx == NARROW);
        if format == FORMATS[2] {
            strict_parsers::check(&text)?;
        }
        let result = parse(&text);
        same("end", (0, json!(DONE)), (code, result["result"].clone())).map_err(|fault| format!("{fault}: {text}"))?;
        same("work", String::new(), home.read("made"))?;
        home.is_left_clean()
    });
}

#[test]
fn a_quiet_agent_says_nothing_at_all() {
    let cases: Vec<_> = VERSIONS.into_iter().flat_map(|version| [CONTEXT, NARROW].map(|n_ctx| (version, n_ctx))).collect();
    each_of_a_share(&cases, 3, |&(version, n_ctx)| {
        let mut home = Home::new(version);
        home.sandbox.set("LLM_FAILOVER_QUIET", "1");
        let touch = calls(&[("Bash", json!({"command": "touch made"}))]);
        let _model = home.plays_in(n_ctx, Manner::Pieces, [touch, done()]);
        let output = home.ask("do it", &[FREE]).run();
        same("end", (0, format!("{DONE}\n"), String::new()), (output.code(), output.out(), output.err()))?;
        home.is_left_clean()
    });
}

/// A session of lines is a child in any case.
#[test]
fn a_session_of_lines() {
    let lines = format!("{}\n", json!({"type": "user", "message": {"role": "user", "content": "do it"}}));
    let formats = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
    let (mut home, mut quiet) = (Home::new(TODAY), Home::new(TODAY));
    let touch = || calls(&[("Bash", json!({"command": "touch made"}))]);
    let models = [&mut home, &mut quiet].map(|home| home.plays_in(NARROW, Manner::Pieces, [touch(), done()]));
    quiet.sandbox.set("LLM_FAILOVER_QUIET", "1");
    let output = quiet.sandbox.cmd("claude").args(&formats).arg(FREE).dir(quiet.work("")).stdin(&lines).limit(LIMIT).run();
    assert_eq!((output.code(), output.err()), (0, String::new()));
    assert_eq!(parse(&output.out())["result"], DONE);
    strict_parsers::check(&output.out()).unwrap();
    let input = home.sandbox.write("input", &lines);
    let script = format!("claude {} {FREE} < {} 2>&1", formats.join(" "), input.display());
    let (code, text) =
        run_into_one(&mut home.sandbox.cmd("/bin/sh").args(&["-c", &script]).dir(home.work("")).limit(LIMIT), false);
    assert_eq!((code, &parse(&text)["result"]), (0, &json!(DONE)), "{text}");
    drop(models);
}

/// A quiet agent is a child of ours, and ends like one that we have become.
#[test]
fn signals_and_failures_of_a_quiet_agent() {
    let mut home = Home::new(TODAY);
    home.sandbox.set("LLM_FAILOVER_QUIET", "1");
    let model = home.plays(Manner::Pieces, [crate::support::script::Reply::Begins("on and on".into())]);
    let mut call = home.ask("talk", &[FREE]).spawn();
    drop(call.stdin.take());
    crate::support::until(LIMIT, "the model is asked", || !model.questions().is_empty());
    crate::support::life::signal(call.id().cast_signed(), "TERM");
    let status = crate::support::wait(&mut call, std::time::Duration::from_secs(LIMIT)).expect("an end");
    assert_eq!(status.code(), Some(143), "{status:?}");
    home.is_left_clean().unwrap();
    let output = home.ask("hi", &[FREE, "--resume", "11111111-1111-4111-8111-111111111111"]).run();
    let said = "No conversation found with session ID: 11111111-1111-4111-8111-111111111111\n";
    output.expect(1, "", said);
}
