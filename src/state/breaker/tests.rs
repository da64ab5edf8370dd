use super::*;

fn breaker() -> (tempfile::TempDir, Breaker) {
    let dir = tempfile::tempdir().expect("a folder");
    let breaker = Breaker { dir: dir.path().join("state") };
    (dir, breaker)
}

fn time(text: &str) -> Timestamp {
    format!("2026-11-22T{text}Z").parse().expect("a time")
}

fn attempt(model: &str, at: Timestamp) -> Attempt {
    Attempt { model: model.into(), begun: at }
}

fn limit(cause: Cause, until: Option<Timestamp>, family: Option<&str>) -> Verdict {
    Verdict { cause, until, family: family.map(str::to_string) }
}

fn is_open(breaker: &Breaker, model: &str, now: Timestamp) -> bool {
    matches!(breaker.admit(&attempt(model, now), now), Admission::Open(_))
}

fn is_closed(breaker: &Breaker, model: &str, now: Timestamp) -> bool {
    matches!(breaker.admit(&attempt(model, now), now), Admission::Closed)
}

#[test]
fn a_limit_is_open_until_its_reset_with_early_probes() {
    let (_dir, breaker) = breaker();
    let begun = time("09:00:00");
    let verdict = limit(Cause::FiveHour, Some(time("10:10:00")), None);
    assert!(is_closed(&breaker, "", begun));
    assert!(matches!(breaker.record_refusal(&verdict, &attempt("", begun), begun), Change::Opened(_)));
    assert!(matches!(breaker.record_refusal(&verdict, &attempt("", begun), begun), Change::None));
    assert!(is_open(&breaker, "", time("09:29:59")));
    let Admission::Probe(permit) = breaker.admit(&attempt("", begun), time("09:30:00")) else { panic!("a probe is due") };
    assert!(is_open(&breaker, "", time("09:30:00")), "one alone asks");
    drop(permit);
    let again = time("09:30:01");
    breaker.record_refusal(&verdict, &attempt("", again), again);
    assert!(is_open(&breaker, "", time("09:59:00")));
    let again = time("10:00:02");
    breaker.record_refusal(&verdict, &attempt("", again), again);
    assert!(is_open(&breaker, "", time("10:10:04")));
    assert!(matches!(breaker.admit(&attempt("", begun), time("10:10:10")), Admission::Probe(_)));
    // A clock that is a little ahead: not half an hour is lost.
    let again = time("10:10:11");
    breaker.record_refusal(&verdict, &attempt("", again), again);
    assert!(matches!(breaker.admit(&attempt("", begun), time("10:11:11")), Admission::Probe(_)));
    assert!(matches!(breaker.record_answer(&attempt("", time("10:11:12")), time("10:11:13")), Change::Closed));
    assert!(matches!(breaker.record_answer(&attempt("", time("10:11:12")), time("10:11:13")), Change::None));
    assert!(is_closed(&breaker, "", time("10:11:14")));
}

#[test]
fn a_reset_that_moves_on_does_not_leave_its_window() {
    let (_dir, breaker) = breaker();
    let begun = time("09:00:00");
    breaker.record_refusal(&limit(Cause::FiveHour, Some(time("10:00:00")), None), &attempt("", begun), begun);
    let again = time("09:40:00");
    breaker.record_refusal(&limit(Cause::FiveHour, Some(time("23:00:00")), None), &attempt("", again), again);
    assert_eq!(breaker.conditions()[0].until, Some(time("14:00:00")));
    assert_eq!(breaker.conditions()[0].since, begun);
    let later = time("15:00:00");
    breaker.record_refusal(&limit(Cause::FiveHour, Some(time("19:00:00")), None), &attempt("", later), later);
    assert_eq!((breaker.conditions()[0].since, breaker.conditions()[0].until), (later, Some(time("19:00:00"))));
}

#[test]
fn outages_back_off_and_parallel_failures_count_once() {
    let (_dir, breaker) = breaker();
    let mut now = time("09:00:00");
    let waits = [1, 2, 4, 8, 15, 15];
    for minutes in waits {
        let (call, end) = (attempt("", now), now + SignedDuration::from_secs(1));
        for _ in 0..3 {
            breaker.record_refusal(&Verdict::of(Cause::Overload), &call, end);
        }
        let wait = breaker.conditions()[0].next_probe.duration_since(end);
        let most = SignedDuration::from_mins(minutes);
        assert!(wait <= most && wait >= most * 3 / 4, "{wait:?} of {most:?}");
        now = end + most;
    }
}

#[test]
fn a_models_limit_is_for_that_model() {
    let (_dir, breaker) = breaker();
    let now = time("09:00:00");
    let until = Some(now + SignedDuration::from_hours(48));
    assert!(matches!(
        breaker.record_refusal(&limit(Cause::Model, until, Some("opus")), &attempt("", now), now),
        Change::Opened(_)
    ));
    for (model, open) in [("opus", true), ("claude-opus-5-5", true), ("", true), ("sonnet", false), ("haiku", false)] {
        assert_eq!(is_open(&breaker, model, now), open, "{model}");
    }
    assert!(matches!(breaker.record_answer(&attempt("sonnet", now), now), Change::None));
    assert!(is_open(&breaker, "opus", now));
    assert!(matches!(breaker.record_refusal(&Verdict::of(Cause::Overload), &attempt("haiku", now), now), Change::Added(_)));
    assert!(is_open(&breaker, "sonnet", now));
    assert!(matches!(
        breaker.record_answer(&attempt("sonnet", now + SignedDuration::from_secs(1)), now + SignedDuration::from_secs(2)),
        Change::Closed
    ));
    assert!(is_open(&breaker, "opus", now) && is_closed(&breaker, "sonnet", now));
}

#[test]
fn clocks_that_jump_and_files_that_are_torn_cost_one_call() {
    let (_dir, breaker) = breaker();
    let now = time("09:00:00");
    breaker.record_refusal(&limit(Cause::SevenDay, Some(now + SignedDuration::from_hours(90)), None), &attempt("", now), now);
    assert!(is_open(&breaker, "", now));
    for jumped in [time("08:00:00"), now - SignedDuration::from_hours(9000), now + SignedDuration::from_hours(9000)] {
        assert!(matches!(breaker.admit(&attempt("", jumped), jumped), Admission::Probe(_)), "{jumped}");
    }
    let bytes = fs::read(breaker.path()).expect("the file");
    for length in 0..bytes.len() {
        fs::write(breaker.path(), &bytes[..length]).expect("written");
        assert!(is_closed(&breaker, "", now), "torn at {length}");
    }
    fs::remove_file(breaker.path()).expect("removed");
    assert!(is_closed(&breaker, "", now));
}

#[test]
fn an_answer_to_an_older_call_closes_nothing() {
    let (_dir, breaker) = breaker();
    let (before, now) = (time("08:59:00"), time("09:00:00"));
    breaker.record_refusal(&Verdict::of(Cause::Spend), &attempt("", now), now);
    assert!(matches!(breaker.record_answer(&attempt("", before), now), Change::None));
    assert!(is_open(&breaker, "", now));
}

#[test]
fn times_of_another_day_show_the_day() {
    let now = Timestamp::now();
    assert_eq!(clock(now, now).len(), 5);
    assert!(clock(now + SignedDuration::from_hours(49), now).len() > 5);
}
