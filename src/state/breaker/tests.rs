use std::cell::Cell;

use super::*;

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

/// Its clock stands where [`at`] has put it.
fn breaker() -> (tempfile::TempDir, Breaker) {
    let dir = tempfile::tempdir().expect("a folder");
    let breaker = Breaker { dir: dir.path().join("state"), clock: || NOW.get() };
    (dir, breaker)
}

fn at<T>(now: Timestamp, happens: impl FnOnce() -> T) -> T {
    NOW.set(now);
    happens()
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
    matches!(at(now, || breaker.admit(&attempt(model, now))), Admission::Open(_))
}

fn is_closed(breaker: &Breaker, model: &str, now: Timestamp) -> bool {
    matches!(at(now, || breaker.admit(&attempt(model, now))), Admission::Closed)
}

#[test]
fn a_limit_is_open_until_its_reset_with_early_probes() {
    let (_dir, breaker) = breaker();
    let begun = time("09:00:00");
    let verdict = limit(Cause::FiveHour, Some(time("10:10:00")), None);
    assert!(is_closed(&breaker, "", begun));
    assert!(matches!(at(begun, || breaker.record_refusal(&verdict, &attempt("", begun))), Change::Opened(_)));
    assert!(matches!(at(begun, || breaker.record_refusal(&verdict, &attempt("", begun))), Change::None));
    assert!(is_open(&breaker, "", time("09:29:59")));
    let Admission::Probe(permit) = at(time("09:30:00"), || breaker.admit(&attempt("", begun))) else { panic!("a probe is due") };
    assert!(is_open(&breaker, "", time("09:30:00")), "one alone asks");
    drop(permit);
    let again = time("09:30:01");
    at(again, || breaker.record_refusal(&verdict, &attempt("", again)));
    assert!(is_open(&breaker, "", time("09:59:00")));
    let again = time("10:00:02");
    at(again, || breaker.record_refusal(&verdict, &attempt("", again)));
    assert!(is_open(&breaker, "", time("10:10:04")));
    assert!(matches!(at(time("10:10:10"), || breaker.admit(&attempt("", begun))), Admission::Probe(_)));
    // A clock that is a little ahead: not half an hour is lost.
    let again = time("10:10:11");
    at(again, || breaker.record_refusal(&verdict, &attempt("", again)));
    assert!(matches!(at(time("10:11:11"), || breaker.admit(&attempt("", begun))), Admission::Probe(_)));
    assert!(matches!(at(time("10:11:13"), || breaker.record_answer(&attempt("", time("10:11:12")))), Change::Closed));
    assert!(matches!(at(time("10:11:13"), || breaker.record_answer(&attempt("", time("10:11:12")))), Change::None));
    assert!(is_closed(&breaker, "", time("10:11:14")));
}

#[test]
fn a_reset_that_moves_on_does_not_leave_its_window() {
    let (_dir, breaker) = breaker();
    let begun = time("09:00:00");
    at(begun, || breaker.record_refusal(&limit(Cause::FiveHour, Some(time("10:00:00")), None), &attempt("", begun)));
    let again = time("09:40:00");
    at(again, || breaker.record_refusal(&limit(Cause::FiveHour, Some(time("23:00:00")), None), &attempt("", again)));
    assert_eq!(breaker.conditions()[0].until, Some(time("14:00:00")));
    assert_eq!(breaker.conditions()[0].since, begun);
    let later = time("15:00:00");
    at(later, || breaker.record_refusal(&limit(Cause::FiveHour, Some(time("19:00:00")), None), &attempt("", later)));
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
            at(end, || breaker.record_refusal(&Verdict::of(Cause::Overload), &call));
        }
        let wait = breaker.conditions()[0].next_probe.duration_since(end);
        let most = SignedDuration::from_mins(minutes);
        assert!(wait <= most && wait >= most * 3 / 4, "{wait:?} of {most:?}");
        now = end + most;
    }
}

/// Each caller takes its own time, and the lock whenever it gets it: one of them tells of its refusal when the others' is on disk already,
/// and one began after the first was told.
#[test]
fn callers_that_meet_an_outage_at_once_are_one_failure() {
    let (_dir, breaker) = breaker();
    let begun = time("09:00:00");
    let after = |millis| begun + SignedDuration::from_millis(millis);
    let overload = Verdict::of(Cause::Overload);
    for (begun, told) in [(0, 300), (1, 301), (200, 302), (301, 1000), (900, 1100), (0, 50_000), (51_000, 51_500)] {
        at(after(told), || breaker.record_refusal(&overload, &attempt("", after(begun))));
        assert_eq!(breaker.conditions()[0].failures, 1, "begun {begun}, told {told}");
    }
    // None of them has asked as a probe, so the next probe comes as soon as after the first refusal.
    let next = breaker.conditions()[0].next_probe;
    assert!(next.duration_since(after(51_500)) <= SignedDuration::from_mins(1), "{next}");
    // The probe, and a call that has tried since before.
    for (begun, told, failures) in [(120_000, 121_000, 2), (60_000, 400_000, 2), (120_500, 400_001, 2)] {
        at(after(told), || breaker.record_refusal(&overload, &attempt("", after(begun))));
        assert_eq!(breaker.conditions()[0].failures, failures, "begun {begun}, told {told}");
    }
}

/// What the threads find in the file is never of a later time than theirs.
#[test]
fn a_hundred_callers_leave_one_failure_and_one_opens_and_one_closes() {
    let dir = tempfile::tempdir().expect("a folder");
    let breaker = || Breaker { dir: dir.path().join("state"), clock: Timestamp::now };
    let together = |tells: &(dyn Fn(&Breaker, &Attempt) -> Change + Sync)| -> usize {
        let start = std::sync::Barrier::new(100);
        let one = || {
            let breaker = breaker();
            start.wait();
            let attempt = attempt("", Timestamp::now());
            !matches!(tells(&breaker, &attempt), Change::None)
        };
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..100).map(|_| scope.spawn(one)).collect();
            callers.into_iter().map(|caller| usize::from(caller.join().expect("no panic"))).sum()
        })
    };
    let limit = limit(Cause::FiveHour, Some(Timestamp::now() + SignedDuration::from_hours(3)), None);
    for verdict in [Verdict::of(Cause::Overload), limit] {
        assert_eq!(together(&|breaker, attempt| breaker.record_refusal(&verdict, attempt)), 1);
        let [condition] = &breaker().conditions()[..] else { panic!("one condition") };
        assert_eq!((condition.failures, condition.until), (1, verdict.until));
        assert!(condition.since <= condition.updated && condition.updated < condition.next_probe);
        assert!(matches!(breaker().admit(&attempt("", Timestamp::now())), Admission::Open(_)));
        assert_eq!(together(&|breaker, attempt| breaker.record_answer(attempt)), 1);
        assert!(breaker().conditions().is_empty());
    }
}

#[test]
fn a_models_limit_is_for_that_model() {
    let (_dir, breaker) = breaker();
    let now = time("09:00:00");
    let until = Some(now + SignedDuration::from_hours(48));
    assert!(matches!(
        at(now, || breaker.record_refusal(&limit(Cause::Model, until, Some("opus")), &attempt("", now))),
        Change::Opened(_)
    ));
    for (model, open) in [("opus", true), ("claude-opus-5-5", true), ("", true), ("sonnet", false), ("haiku", false)] {
        assert_eq!(is_open(&breaker, model, now), open, "{model}");
    }
    assert!(matches!(at(now, || breaker.record_answer(&attempt("sonnet", now))), Change::None));
    assert!(is_open(&breaker, "opus", now));
    assert!(matches!(
        at(now, || breaker.record_refusal(&Verdict::of(Cause::Overload), &attempt("haiku", now))),
        Change::Added(_)
    ));
    assert!(is_open(&breaker, "sonnet", now));
    assert!(matches!(
        at(now + SignedDuration::from_secs(2), || breaker.record_answer(&attempt("sonnet", now + SignedDuration::from_secs(1)))),
        Change::Closed
    ));
    assert!(is_open(&breaker, "opus", now) && is_closed(&breaker, "sonnet", now));
}

#[test]
fn clocks_that_jump_and_files_that_are_torn_cost_one_call() {
    let (_dir, breaker) = breaker();
    let now = time("09:00:00");
    at(now, || {
        breaker.record_refusal(&limit(Cause::SevenDay, Some(now + SignedDuration::from_hours(90)), None), &attempt("", now))
    });
    assert!(is_open(&breaker, "", now));
    for jumped in [time("08:00:00"), now - SignedDuration::from_hours(9000), now + SignedDuration::from_hours(9000)] {
        assert!(matches!(at(jumped, || breaker.admit(&attempt("", jumped))), Admission::Probe(_)), "{jumped}");
    }
    let ago = now - SignedDuration::from_hours(9000);
    at(ago, || breaker.record_refusal(&Verdict::of(Cause::SevenDay), &attempt("", ago)));
    let [condition] = &breaker.conditions()[..] else { panic!("one condition") };
    assert_eq!((condition.since, condition.updated, condition.failures), (ago, ago, 1));
    at(now, || breaker.record_answer(&attempt("", now)));
    at(now, || breaker.record_refusal(&Verdict::of(Cause::SevenDay), &attempt("", now)));
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
    at(now, || breaker.record_refusal(&Verdict::of(Cause::Spend), &attempt("", now)));
    assert!(matches!(at(now, || breaker.record_answer(&attempt("", before))), Change::None));
    assert!(is_open(&breaker, "", now));
}

#[test]
fn times_of_another_day_show_the_day() {
    let now = Timestamp::now();
    assert_eq!(clock(now, now).len(), 5);
    assert!(clock(now + SignedDuration::from_hours(49), now).len() > 5);
}

#[test]
fn a_file_may_say_any_time_and_any_number() {
    let (_dir, breaker) = breaker();
    let now = time("09:00:00");
    let file = |since: &str, cause: &str, failures: u64| {
        let times = format!(
            r#""since":"{since}","until":"{since}","next_probe":"2026-11-22T09:00:00Z","updated":"2026-11-22T08:00:00Z""#
        );
        format!(r#"{{"conditions":[{{"class":"{cause}",{times},"failures":{failures}}}]}}"#)
    };
    for (since, cause) in [("9999-12-30T22:00:00.9Z", Cause::FiveHour), ("-009999-01-02T01:59:59Z", Cause::Overload)] {
        replace_private(&breaker.path(), file(since, cause.word(), u64::MAX).as_bytes()).expect("a file");
        at(now, || breaker.record_refusal(&limit(cause, None, None), &attempt("", now)));
        let [condition] = breaker.conditions().try_into().expect("one");
        let wait = condition.next_probe.duration_since(now);
        assert!(SignedDuration::ZERO < wait && wait <= EARLY_PROBE, "{condition:?}");
    }
}
