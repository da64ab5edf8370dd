//! Ledgers made by hand.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::Sandbox;

const STATE: &str = ".local/state/claude-failover";

pub fn ago(minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(minutes)
}

pub fn call(minutes_ago: i64, more: Value) -> Value {
    let mut call = json!({"time": ago(minutes_ago), "applet": "claude", "route": "watch", "verdict": "fine", "backend": "claude",
                          "seconds": 9.5, "exit": 0});
    more.as_object().expect("fields").iter().for_each(|(name, value)| call[name] = value.clone());
    call
}

pub fn write_ledger(sandbox: &Sandbox, calls: &[Value]) {
    let text: String = calls.iter().map(|call| format!("{call}\n")).collect();
    sandbox.write(&format!("{STATE}/ledger.jsonl"), text);
}

/// None: Claude answers.
pub fn write_breaker(sandbox: &Sandbox, cause: Option<&str>, since: i64, until: Option<i64>) {
    let condition = cause.map(|cause| {
        json!({"class": cause, "since": ago(since), "until": until.map(|until| ago(-until)), "next_probe": ago(-7), "updated": ago(3), "failures": 1})
    });
    sandbox.write(&format!("{STATE}/breaker.json"), json!({"conditions": condition.into_iter().collect::<Vec<_>>()}).to_string());
}

/// A week with a limit two nights ago, an outage of an hour, and a limit that lasts: for `open` minutes now.
pub fn week(open: i64) -> Vec<Value> {
    let (day, hour) = (1440, 60);
    let mut calls = Vec::new();
    let mut minutes = 7 * day;
    let mut step = 0;
    while minutes > 1 {
        step += 1;
        // Fewer at night, and none for some hours.
        let time_of_day = (minutes + 30) % day / hour;
        minutes -= [4, 9, 3, 17, 6, 11, 2, 26][step % 8] * if time_of_day < 8 { 2 } else { 1 };
        if minutes < 1 || (3..6).contains(&time_of_day) && minutes > 5 * hour {
            continue;
        }
        let local = |cause: &str, tokens: usize| {
            let tokens = tokens * 37 % 400;
            json!({"route": "answer", "backend": "local", "verdict": cause, "model": "mlx-community/Qwen2.5-7B-Instruct-4bit",
                   "seconds": 1.5 + tokens as f64 / 31.0, "input_tokens": 600 + tokens * 3, "output_tokens": tokens + 20})
        };
        calls.push(match minutes {
            _ if minutes < open => {
                let mut fields = local("five_hour", step);
                fields["until"] = json!(ago(-95));
                call(minutes, fields)
            }
            _ if (2 * day..2 * day + 3 * hour).contains(&minutes) => {
                let mut fields = local("five_hour", step);
                fields["until"] = json!(ago(2 * day));
                call(minutes, fields)
            }
            _ if (4 * day + 9 * hour..4 * day + 10 * hour).contains(&minutes) => call(minutes, local("overload", step)),
            _ if step % 150 == 7 => call(minutes, json!({"verdict": "caller", "exit": 1})),
            _ => call(minutes, json!({"seconds": 4 + step % 40})),
        });
    }
    calls
}
