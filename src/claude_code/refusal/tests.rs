use super::*;
use crate::claude_code::refusal::reset::reset_time;

/// A Sunday, 09:00 in UTC.
fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().expect("a time")
}

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().expect("a time"))
}

#[test]
fn reset_times_as_printed() {
    let table = [
        ("Claude AI usage limit reached|1795341530", at("2026-11-22T09:58:50Z")),
        ("Claude AI usage limit reached|1795341530000", at("2026-11-22T09:58:50Z")),
        ("You've hit your limit · resets 10:01am (UTC)", at("2026-11-22T10:01:00Z")),
        ("You've hit your limit · resets 8am (UTC)", at("2026-11-23T08:00:00Z")),
        ("You've hit your weekly limit · resets Nov 25, 9:01am (UTC)", at("2026-11-25T09:01:00Z")),
        ("5-hour limit reached ∙ resets 3pm (Europe/Stockholm) · /upgrade to increase", at("2026-11-22T14:00:00Z")),
        ("You've hit your limit • resets Jun 9 at 1am (America/Sao_Paulo)", at("2027-06-09T04:00:00Z")),
        ("Weekly limit reached - resets Jan 2, 2027, 12AM (UTC)", at("2027-01-02T00:00:00Z")),
        ("Weekly limit reached | resets 12:30\u{202f}PM (Asia/Tokyo) · progress saved", at("2026-11-23T03:30:00Z")),
        ("You've hit your limit · resets Nov 21, 9am (UTC)", at("2026-11-21T09:00:00Z")),
        (
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
            at("2026-12-01T00:00:00Z"),
        ),
        ("You will regain access on soon", None),
        ("You've hit your limit · resets soon", None),
        ("You've hit your limit · resets 25pm (UTC)", None),
        ("You've hit your limit · resets 9am (Nowhere/Land)", None),
        ("You've hit your monthly spend limit", None),
    ];
    for (text, expected) in table {
        assert_eq!(reset_time(text, now()), expected, "{text}");
    }
}

/// What old versions say, which have no types for it.
fn untyped(text: &str) -> Evidence {
    let result = Ending { subtype: "success".into(), is_error: true, text: text.into(), ..Ending::default() };
    Evidence { result: Some(result), is_synthetic: true, ..Evidence::default() }
}

#[test]
fn texts_of_versions_without_types() {
    let table = [
        ("Claude AI usage limit reached|1795341530", Cause::FiveHour),
        ("Claude AI usage limit reached|1795600000", Cause::SevenDay),
        ("Spending cap reached resets 9:59am", Cause::Spend),
        ("You've hit your limit · resets 10:01am (UTC)", Cause::FiveHour),
        ("You've hit your limit · resets Nov 25, 9:01am (UTC)", Cause::SevenDay),
        ("You\u{2019}ve hit your session limit · resets 10:01am (UTC)", Cause::FiveHour),
        ("You've hit your 5-hour limit · resets 10:01am (UTC)", Cause::FiveHour),
        ("5-hour limit reached ∙ resets 3pm (Europe/Stockholm) · /upgrade to increase", Cause::FiveHour),
        ("Weekly limit reached · resets 3pm", Cause::SevenDay),
        ("Opus weekly limit reached ∙ resets Nov 25, 9am", Cause::Model),
        ("You've hit your Opus limit · resets Nov 25, 9am (UTC)", Cause::Model),
        ("You're out of extra usage · resets 3pm", Cause::Spend),
        ("You've hit your monthly spend limit", Cause::Spend),
        ("You've hit your fast limit", Cause::BadRequest),
        ("You've used 91% of your weekly limit", Cause::BadRequest),
        ("No response requested.", Cause::Usage),
        ("Credit balance is too low", Cause::Credit),
        (
            "API Error: 529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            Cause::Overload,
        ),
        ("API Error: Repeated 529 Overloaded errors", Cause::Overload),
        ("API Error: 500 {\"type\":\"error\"}", Cause::ServerError),
        ("API Error: 502 Bad Gateway", Cause::ServerError),
        ("API Error: Connection error.", Cause::Network),
        ("API Error: Request timed out.", Cause::Network),
        ("API Error: Request rejected (429) · this may be a temporary capacity issue", Cause::Throttle),
        ("API Error: 429 {\"type\":\"error\"}", Cause::Throttle),
        ("API Error: Rate limit reached", Cause::Throttle),
        ("Claude AI usage limit reached|0", Cause::Throttle),
        ("Session limit reached ∙ resets 7:44pm", Cause::FiveHour),
        ("Spending cap reached ∙ resets Nov 25, 9am", Cause::Spend),
        ("API Error: Can't reach the API server — check your internet or DNS (ENOTFOUND)", Cause::Network),
        ("Invalid API key · Please run /login", Cause::SignIn),
        ("Not logged in · Please run /login", Cause::SignIn),
        ("API Error: 401 {\"type\":\"error\"} · Please run /login", Cause::SignIn),
        ("API Error: 400 {\"type\":\"error\"}", Cause::BadRequest),
        ("You're out of usage credits · resets 3pm · progress saved", Cause::Spend),
        ("Your org is out of usage · contact your admin", Cause::Spend),
        ("Your seat type doesn't include usage credits", Cause::Spend),
        ("Your group's usage limit is set to $0", Cause::Spend),
        ("You've hit your org's monthly usage limit · resets Dec 1", Cause::Spend),
        ("Cannot read properties of undefined (reading 'input_tokens')", Cause::Network),
        ("API Error: Cannot read properties of undefined (reading 'map')", Cause::Network),
        ("API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy", Cause::Network),
        ("Prompt is too long", Cause::BadRequest),
        ("There's an issue with the selected model (x)", Cause::BadRequest),
    ];
    for (text, expected) in table {
        assert_eq!(of_turn(&untyped(text), now()).cause, expected, "{text}");
    }
}

/// What the API says with a status, and what that means.
const API_WORDS: [(&str, Cause); 14] = [
    ("You're out of extra usage. Add more at claude.ai/settings/usage and keep going.", Cause::Spend),
    ("You\u{2019}re out of extra usage. Ask your workspace admin to add more so you can keep going.", Cause::Spend),
    ("Third-party apps now draw from your extra usage, not your plan limits.", Cause::Spend),
    ("You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.", Cause::Spend),
    ("Spending cap reached resets Nov 25, 8:59am", Cause::Spend),
    ("You've hit your monthly spend limit", Cause::Spend),
    ("You've hit your limit", Cause::Usage),
    ("Claude usage limit reached", Cause::Usage),
    ("You've hit your weekly limit · resets Nov 25, 9:01am (UTC)", Cause::SevenDay),
    ("You've hit your Opus limit · resets Nov 25, 9am (UTC)", Cause::Model),
    ("Your credit balance is too low to access the Anthropic API.", Cause::Credit),
    ("messages: You're out of extra usage", Cause::BadRequest),
    ("Context limit reached", Cause::BadRequest),
    ("The text \"You're out of extra usage\" is not allowed here", Cause::BadRequest),
];

#[test]
fn quota_words_of_the_api_come_before_its_status() {
    for (words, cause) in API_WORDS {
        let json =
            serde_json::json!({"type": "error", "error": {"type": "invalid_request_error", "message": words}, "request_id": "r"});
        for text in [
            format!("API Error: 400 {words}"),
            format!("API Error: 400 {json}"),
            format!("API Error: {json}"),
            format!("API Error: 400 {json} · check status.claude.com"),
        ] {
            let mut evidence = untyped(&text);
            assert_eq!(of_turn(&evidence, now()).cause, cause, "{text}");
            evidence.error = Some("unknown".into());
            evidence.result.as_mut().expect("a result").status = Some(400);
            assert_eq!(of_turn(&evidence, now()).cause, cause, "{text}, typed");
            evidence.error = Some("invalid_request".into());
            assert_eq!(of_turn(&evidence, now()).cause, cause, "{text}, typed as a fault");
            evidence.is_by_model = true;
            assert_eq!(of_turn(&evidence, now()).cause, Cause::BadRequest, "{text}, by a model");
        }
        // Whatever the status is.
        let is_fault = cause == Cause::BadRequest;
        for (status, text, otherwise) in [
            (429, format!("API Error: Request rejected (429) · {words}"), Cause::Throttle),
            (403, format!("Failed to authenticate. API Error: 403 {words}"), Cause::SignIn),
        ] {
            let mut evidence = untyped(&text);
            evidence.result.as_mut().expect("a result").status = Some(status);
            assert_eq!(of_turn(&evidence, now()).cause, if is_fault { otherwise } else { cause }, "{text}");
        }
    }
}

#[test]
fn the_end_that_the_api_states_is_taken_from_its_words() {
    let text = "API Error: 400 {\"error\":{\"message\":\"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.\"}}";
    let expected = Verdict { cause: Cause::Spend, until: at("2026-12-01T00:00:00Z"), family: None };
    assert_eq!(of_turn(&untyped(text), now()), expected);
}

#[test]
fn an_answer_that_broke_off_is_an_overload() {
    let malformed = "API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy";
    let texts = [
        malformed,
        "Cannot read properties of undefined (reading 'input_tokens')",
        "API Error: Cannot read properties of undefined (reading 'map')",
    ];
    for text in texts {
        for error in [None, Some("unknown".to_string())] {
            let mut evidence = untyped(text);
            evidence.error = error;
            assert_eq!(of_turn(&evidence, now()).cause, Cause::Network, "{text}");
            evidence.is_answer_broken_off = true;
            assert_eq!(of_turn(&evidence, now()).cause, Cause::Overload, "{text}");
        }
    }
    let detailed = |why: &str| {
        format!(
            "{malformed}. This was the non-streaming retry of streaming request (x), which failed with: {why}; 0 stream events received."
        )
    };
    assert_eq!(of_turn(&untyped(&detailed("other")), now()).cause, Cause::Overload);
    assert_eq!(of_turn(&untyped(&detailed("no_events, StreamNoEventsError")), now()).cause, Cause::Network);
    // A connection that cannot be made says so, whatever came before.
    let mut evidence = untyped("API Error: Connection error.");
    evidence.is_answer_broken_off = true;
    assert_eq!(of_turn(&evidence, now()).cause, Cause::Network);
}

#[test]
fn what_a_real_model_said_last_decides_nothing() {
    for text in [
        "You've hit your limit · resets 10:01am (UTC)",
        "Credit balance is too low",
        "API Error: 529 Overloaded",
        "No response requested.",
    ] {
        let mut evidence = untyped(text);
        evidence.is_synthetic = false;
        // No message of the assistant at all: an old version's own words.
        assert!(of_turn(&evidence, now()).cause.fails_over(), "{text}");
        evidence.is_by_model = true;
        assert_eq!(of_turn(&evidence, now()).cause, Cause::BadRequest, "{text}");
        // Types are not the model's words.
        evidence.result.as_mut().expect("a result").status = Some(529);
        assert_eq!(of_turn(&evidence, now()).cause, Cause::Overload, "{text}");
    }
}

#[test]
fn a_model_that_talks_of_limits_is_none() {
    let texts = [
        "You've hit your limit · resets 10:01am (UTC)",
        "Claude AI usage limit reached|1795341530",
        "Credit balance is too low",
        "API Error: 529 Overloaded",
    ];
    for text in texts {
        let mut evidence = untyped(text);
        evidence.is_synthetic = false;
        evidence.result.as_mut().expect("a result").is_error = false;
        assert_eq!(of_turn(&evidence, now()), Verdict::of(Cause::None), "{text}");
    }
    for text in
        ["No, you haven't hit your rate limit yet", "> You've hit your limit · resets 10am (UTC)", "Usage limits, explained"]
    {
        assert_eq!(of_turn(&untyped(text), now()).cause, Cause::BadRequest, "{text}");
    }
    let two_lines = "You've hit your limit · resets 10:01am (UTC)\nis what it printed";
    assert_eq!(of_turn(&untyped(two_lines), now()).cause, Cause::BadRequest);
}

#[test]
fn typed_signals_come_first() {
    let mut evidence = untyped("You've hit your 5-hour limit · resets 10:01am (UTC)");
    evidence.error = Some("rate_limit".into());
    evidence.rejected = Some(Limit { kind: Some("seven_day_opus".into()), resets_at: at("2026-11-25T09:00:00Z") });
    let expected = Verdict { cause: Cause::Model, until: at("2026-11-25T09:00:00Z"), family: Some("opus".into()) };
    assert_eq!(of_turn(&evidence, now()), expected);

    evidence.rejected = None;
    assert_eq!(of_turn(&evidence, now()).cause, Cause::FiveHour);
    evidence.result.as_mut().expect("a result").text = "Server is temporarily limiting requests (not your usage limit)".into();
    assert_eq!(of_turn(&evidence, now()).cause, Cause::Throttle);

    let of_status = |status, error: Option<&str>, text: &str| {
        let mut evidence = untyped(text);
        evidence.error = error.map(str::to_string);
        evidence.result.as_mut().expect("a result").status = status;
        of_turn(&evidence, now()).cause
    };
    assert_eq!(of_status(Some(529), Some("server_error"), "API Error: 529 x"), Cause::Overload);
    assert_eq!(of_status(Some(500), Some("server_error"), "API Error: 500 x"), Cause::ServerError);
    assert_eq!(of_status(Some(401), Some("authentication_failed"), "Please run /login"), Cause::SignIn);
    assert_eq!(of_status(Some(402), Some("billing_error"), "API Error: 402 x"), Cause::Credit);
    assert_eq!(of_status(Some(400), Some("invalid_request"), "API Error: 400 x"), Cause::BadRequest);
    assert_eq!(of_status(Some(400), Some("invalid_request"), "Credit balance is too low"), Cause::Credit);
    assert_eq!(of_status(Some(404), Some("model_not_found"), "There's an issue"), Cause::BadRequest);
}

#[test]
fn limits_with_success_as_their_exit_code_are_limits_if_claude_code_made_them_up() {
    let mut evidence = untyped("You've hit your limit · resets 10:01am (UTC)");
    evidence.result.as_mut().expect("a result").is_error = false;
    assert_eq!(of_turn(&evidence, now()).cause, Cause::FiveHour);
    evidence.result.as_mut().expect("a result").text = "No response requested.".into();
    assert_eq!(of_turn(&evidence, now()).cause, Cause::None);
}

#[test]
fn ends_that_are_no_refusal() {
    assert_eq!(of_turn(&Evidence::default(), now()).cause, Cause::BadRequest);
    for (subtype, is_error, expected) in [
        ("error_max_turns", true, Cause::None),
        ("error_max_turns", false, Cause::None),
        ("error_during_execution", true, Cause::None),
        ("error_during_execution", false, Cause::Network),
    ] {
        let mut evidence = untyped("");
        let result = evidence.result.as_mut().expect("a result");
        (result.subtype, result.is_error) = (subtype.into(), is_error);
        assert_eq!(of_turn(&evidence, now()).cause, expected, "{subtype} {is_error}");
        evidence.is_answer_broken_off = true;
        let broken_off = if expected == Cause::Network { Cause::Overload } else { expected };
        assert_eq!(of_turn(&evidence, now()).cause, broken_off, "{subtype} {is_error}, broken off");
        evidence.is_interrupted = true;
        assert_eq!(of_turn(&evidence, now()).cause, Cause::None, "{subtype} {is_error}, interrupted");
    }
}

#[test]
fn retries_that_were_given_up() {
    let of = |status, error: &str| of_retries(&Retry { status, error: error.into() }).cause;
    assert_eq!(of(Some(529), "overloaded"), Cause::Overload);
    assert_eq!(of(Some(503), "server_error"), Cause::ServerError);
    assert_eq!(of(Some(429), "rate_limit"), Cause::Throttle);
    assert_eq!(of(None, "unknown"), Cause::Network);
}
