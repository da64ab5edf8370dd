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
        ("Prompt is too long", Cause::BadRequest),
        ("There's an issue with the selected model (x)", Cause::BadRequest),
    ];
    for (text, expected) in table {
        assert_eq!(of_turn(&untyped(text), now()).cause, expected, "{text}");
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
