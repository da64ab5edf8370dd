//! A hundred callers at each moment of the breaker. Each gets one answer of the right backend, and together they leave one state behind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Child;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::rounds;
use crate::support::life::signal;
use crate::support::play::{BREAKER, OVERLOADED, SAID, Stage, act, acts, answered, finish, init, limit, refused, wait_for_end};
use crate::support::stub::Stub;
use crate::support::{free_port, until};

const CALLERS: usize = 100;

const STATE: &str = ".local/state/claude-failover";

/// What lies in the folder of the state, by docs/architecture.md. No file that was to replace another one is left there.
const KEPT: [&str; 10] = [
    "breaker.json",
    "breaker.lock",
    "claude-version.json",
    "ledger.jsonl",
    "prime.lock",
    "probe.lock",
    "server.use",
    "servers.json",
    "servers.lock",
    "unload.lock",
];

const LOCAL: &str = "from here\n";
const CLAUDES: &str = "fine\n";

/// Waits for `go`, and does this.
fn on_go(play: Vec<String>) -> Vec<String> {
    acts(&[&act("wait go"), &play])
}

/// A home at a moment of the breaker, and what has come of the calls so far.
struct Moment {
    stage: Stage,
    stub: Stub,
    /// How many calls ended in each way.
    ends: BTreeMap<(i32, String, String), usize>,
}

impl Moment {
    fn new(play: &[String]) -> Moment {
        let stub = Stub::answering("from here");
        let stage = Stage::new(&stub, play);
        stage.write(&format!("{STATE}/claude-version.json"), "{}");
        Moment { stage, stub, ends: BTreeMap::new() }
    }

    fn begin(&self, count: usize) -> Vec<Child> {
        (0..count).map(|number| self.stage.begin("claude", &["-p", &format!("call {number}")])).collect()
    }

    /// Waits until so many calls have asked Claude.
    fn wait_for_runs(&self, count: usize) {
        until(60, &format!("{count} calls ask Claude"), || self.stage.runs() >= count);
    }

    fn finish(&mut self, calls: impl IntoIterator<Item = Child>) {
        for call in calls {
            *self.ends.entry(finish(call)).or_default() += 1;
        }
    }

    /// Takes the call that started this run of Claude out of `calls`.
    fn take_asker(&self, run: usize, calls: &mut Vec<Child>) -> Child {
        let asker = self.stage.run(run).parent;
        let at = calls.iter().position(|call| call.id().cast_signed() == asker).expect("one of them");
        calls.remove(at)
    }

    /// How many calls got what Claude says, and how many the local model's answer. Fails if a call got anything else.
    #[track_caller]
    fn answers(&self) -> (usize, usize) {
        let count = |is_right: &dyn Fn(&str, &str) -> bool| {
            let right = self.ends.iter().filter(|((code, out, err), _)| *code == 0 && is_right(out, err));
            right.map(|(_, count)| count).sum::<usize>()
        };
        let says_why = |err: &str| err.starts_with("claude: Claude is ") && err.ends_with("; the local model answers\n");
        let claudes = count(&|out, err| out == CLAUDES && err.is_empty());
        let locals = count(&|out, err| out == LOCAL && says_why(err) && err.lines().count() == 1);
        assert_eq!(claudes + locals, self.ends.values().sum::<usize>(), "{:#?}", self.ends);
        (claudes, locals)
    }

    /// Claude has answered so many calls, the local model so many, and Claude was asked so often.
    #[track_caller]
    fn assert_answered(&self, claudes: usize, locals: usize, runs: usize) {
        assert_eq!(self.answers(), (claudes, locals));
        assert_eq!((self.stage.runs(), self.stub.chats().len()), (runs, locals));
        self.assert_tidy(claudes, locals);
    }

    /// The ledger has a line for each call, and nothing is left that is not of use.
    #[track_caller]
    fn assert_tidy(&self, claudes: usize, locals: usize) {
        let ledger = fs::read_to_string(self.stage.path(STATE).join("ledger.jsonl")).expect("a ledger");
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for line in ledger.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            *found.entry(entry["backend"].as_str().expect("a backend").into()).or_default() += 1;
        }
        let told = |backend: &str| found.get(backend).copied().unwrap_or_default();
        assert_eq!((told("claude"), told("local")), (claudes, locals), "{found:?}");
        assert_eq!(found.values().sum::<usize>(), self.ends.values().sum::<usize>());
        for file in fs::read_dir(self.stage.path(STATE)).expect("a folder").flatten() {
            let name = file.file_name().into_string().expect("text");
            assert!(KEPT.contains(&name.as_str()) || file.path().is_dir(), "{name} is left");
            if name.ends_with(".lock") || name == "server.use" {
                let lock = File::open(file.path()).expect("a lock");
                until(10, &format!("nobody holds {name}"), || lock.try_lock().is_ok());
            }
        }
    }

    /// What the breaker's file says: the cause and the failures of each condition. Each has its probe at its time.
    #[track_caller]
    fn conditions(&self) -> Vec<(String, u64)> {
        let file = self.stage.breaker().unwrap_or_default();
        let conditions = file["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().map(|condition| (condition["class"].as_str().expect("a cause").into(), checked(condition))).collect()
    }
}

/// The failures of a condition.
#[track_caller]
fn checked(condition: &Value) -> u64 {
    let time = |name: &str| condition[name].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let (since, updated, next) = (time("since").unwrap(), time("updated").unwrap(), time("next_probe").unwrap());
    let failures = condition["failures"].as_u64().unwrap();
    assert!(since <= updated && updated < next && updated <= Timestamp::now(), "{condition}");
    let wait = next.duration_since(updated);
    let (least, most) = match condition["class"].as_str() {
        Some("five_hour") => (29 * 60, 30 * 60),
        _ => {
            let most = 60 * [1, 2, 4, 8, 15][(failures as usize - 1).min(4)];
            (most * 3 / 4, most)
        }
    };
    let bounds = SignedDuration::from_secs(least)..=SignedDuration::from_secs(most);
    assert!(bounds.contains(&wait), "{wait:?} after {failures} failures, not in {bounds:?}");
    failures
}

fn overloaded(failures: u64) -> Vec<(String, u64)> {
    vec![("overload".into(), failures)]
}

#[test]
fn closed() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&answered("fine"));
        let calls = moment.begin(CALLERS);
        moment.finish(calls);
        moment.assert_answered(CALLERS, 0, CALLERS);
        assert_eq!(moment.conditions(), []);
    }
}

/// All ask, and all are refused at once: that is one failure.
#[track_caller]
fn assert_refused_at_once(mut moment: Moment) {
    let calls = moment.begin(CALLERS);
    moment.wait_for_runs(CALLERS);
    moment.stage.make("go");
    moment.finish(calls);
    moment.assert_answered(0, CALLERS, CALLERS);
    assert_eq!(moment.conditions(), overloaded(1));
}

/// However many calls meet the outage at once, it is one failure.
#[test]
fn opening_as_all_are_refused_at_once() {
    for _ in 0..rounds() {
        assert_refused_at_once(Moment::new(&on_go(refused())));
    }
}

/// Some begin before the first has its refusal, and some after.
#[test]
fn opening_as_calls_come_and_go() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&refused());
        let calls = moment.begin(CALLERS);
        moment.finish(calls);
        let runs = moment.stage.runs();
        assert!((1..=CALLERS).contains(&runs));
        moment.assert_answered(0, CALLERS, runs);
        assert_eq!(moment.conditions(), overloaded(1));
    }
}

#[test]
fn open() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&answered("fine"));
        moment.stage.open_breaker(false);
        let before = moment.stage.breaker();
        let calls = moment.begin(CALLERS);
        moment.finish(calls);
        moment.assert_answered(0, CALLERS, 0);
        assert_eq!(moment.stage.breaker(), before);
    }
}

/// No local model answers either: each call has what Claude says, and the next probe is no later for it.
#[test]
fn open_without_a_local_model() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&refused());
        moment.stage.set("LOCAL_LLM_URL", format!("http://127.0.0.1:{}", free_port()));
        moment.stage.set("LOCAL_LLM_RETRIES", "0");
        let calls = moment.begin(CALLERS);
        moment.finish(calls);
        for (code, out, err) in moment.ends.keys() {
            assert_eq!((*code, out.as_str()), (1, format!("{OVERLOADED}\n").as_str()), "{err}");
            assert!(err.starts_with("claude: no local answer: ") && err.ends_with("; what follows is Claude's\n"), "{err}");
        }
        assert_eq!(moment.stage.runs(), CALLERS);
        moment.assert_tidy(CALLERS, 0);
        assert_eq!(moment.conditions(), overloaded(1));
    }
}

/// One call asks, and the others are answered meanwhile. Gives the end of the one.
fn half_open(moment: &mut Moment) -> (i32, String, String) {
    moment.stage.open_breaker(true);
    let mut calls = moment.begin(CALLERS);
    let probe = moment.take_asker(1, &mut calls);
    moment.finish(calls);
    assert_eq!(moment.answers(), (0, CALLERS - 1));
    moment.stage.make("go");
    let end = finish(probe);
    *moment.ends.entry(end.clone()).or_default() += 1;
    end
}

#[test]
fn half_open_and_claude_is_back() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&on_go(answered("fine")));
        assert_eq!(half_open(&mut moment), (0, CLAUDES.into(), String::new()));
        moment.assert_answered(1, CALLERS - 1, 1);
        assert_eq!(moment.conditions(), []);
    }
}

#[test]
fn half_open_and_claude_is_away_still() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&on_go(refused()));
        assert_eq!(half_open(&mut moment), (0, LOCAL.into(), SAID.into()));
        moment.assert_answered(0, CALLERS, 1);
        assert_eq!(moment.conditions(), overloaded(2));
    }
}

#[test]
fn half_open_and_claude_is_away_for_another_reason() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&on_go(acts(&[&init(), &limit(), &act("exit 1")])));
        let said = "claude: Claude is at its 5-hour limit; the local model answers\n";
        assert_eq!(half_open(&mut moment), (0, LOCAL.into(), said.into()));
        moment.assert_answered(0, CALLERS, 1);
        let file = moment.stage.breaker().expect("a breaker");
        assert_eq!((&file["conditions"][0]["class"], &file["conditions"][0]["failures"]), (&json!("overload"), &json!(1)));
        assert_eq!((&file["conditions"][1]["class"], checked(&file["conditions"][1])), (&json!("five_hour"), 1));
        assert!(file["conditions"].as_array().is_some_and(|conditions| conditions.len() == 2));
        // The limit keeps all from Claude, although a probe of the outage is due.
        let calls = moment.begin(CALLERS / 10);
        moment.finish(calls);
        moment.assert_answered(0, CALLERS + CALLERS / 10, 1);
    }
}

#[test]
fn half_open_and_the_probe_is_killed() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&on_go(answered("fine")));
        moment.stage.play_in(1, &act("wait never"));
        moment.stage.open_breaker(true);
        let mut calls = moment.begin(CALLERS);
        let mut probe = moment.take_asker(1, &mut calls);
        moment.finish(calls);
        let claude = moment.stage.run(1).pid;
        signal(probe.id().cast_signed(), "KILL");
        probe.wait().expect("its end");
        wait_for_end(claude);
        moment.assert_answered(0, CALLERS - 1, 1);
        // Another one asks, and one alone.
        let mut calls = moment.begin(CALLERS);
        let probe = moment.take_asker(2, &mut calls);
        moment.finish(calls);
        moment.stage.make("go");
        moment.finish([probe]);
        moment.assert_answered(1, 2 * (CALLERS - 1), 2);
        assert_eq!(moment.conditions(), []);
    }
}

/// Some come before Claude is back, and some after.
#[test]
fn closing_as_calls_come_and_go() {
    for _ in 0..rounds() {
        let mut moment = Moment::new(&on_go(answered("fine")));
        moment.stage.open_breaker(true);
        let mut calls = moment.begin(CALLERS / 2);
        moment.wait_for_runs(1);
        moment.stage.make("go");
        calls.extend(moment.begin(CALLERS - CALLERS / 2));
        moment.finish(calls);
        let (claudes, locals) = moment.answers();
        assert!(claudes >= 1);
        moment.assert_answered(claudes, locals, claudes);
        assert_eq!(moment.conditions(), []);
    }
}

/// What cannot be read is no condition: all ask, and what they meet is one failure in a whole file.
#[test]
fn a_torn_file() {
    for round in 0..rounds() {
        let moment = Moment::new(&on_go(refused()));
        moment.stage.open_breaker(false);
        let whole = fs::read(moment.stage.path(BREAKER)).expect("a file");
        moment.stage.write(BREAKER, &whole[..whole.len() * (round + 1) / (rounds() + 1)]);
        assert_refused_at_once(moment);
    }
}

/// The file is from another time: ahead of the clock, or long ago. One call asks, and its failure is the first one.
#[test]
fn a_clock_that_has_jumped() {
    for round in 0..rounds() {
        for hours in [48 + round as i64, -48 - round as i64] {
            let mut moment = Moment::new(&on_go(refused()));
            let at = |minutes| Timestamp::now() + SignedDuration::from_hours(hours) + SignedDuration::from_mins(minutes);
            let condition = json!({"class": "overload", "since": at(-10), "until": null, "next_probe": at(15), "updated": at(0),
                                   "failures": 5});
            moment.stage.write(BREAKER, json!({ "conditions": [condition] }).to_string());
            let mut calls = moment.begin(CALLERS);
            let probe = moment.take_asker(1, &mut calls);
            moment.finish(calls);
            moment.stage.make("go");
            moment.finish([probe]);
            moment.assert_answered(0, CALLERS, 1);
            assert_eq!(moment.conditions(), overloaded(1), "{hours} h");
            let calls = moment.begin(CALLERS / 10);
            moment.finish(calls);
            moment.assert_answered(0, CALLERS + CALLERS / 10, 1);
        }
    }
}
