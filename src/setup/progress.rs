//! What is shown of something long: a bar with the rate and the time left at a terminal, and one line without one.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::notice;
use crate::shown::{Shown, shown};
use crate::stderr::is_silent;

/// How often a bar moves that only counts the time.
const TICK: Duration = Duration::from_millis(200);

pub(crate) struct Progress {
    has_bars: bool,
}

impl Progress {
    /// On stderr.
    pub(crate) fn new() -> Progress {
        Progress { has_bars: stderr().is_terminal() && !is_silent() }
    }

    /// Of bytes that come, `done` of which are there already.
    pub(crate) fn bytes(&self, what: &Shown, done: u64, total: u64) -> Bar {
        let template = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
        let bar = self.bar(Some(total), template);
        if bar.is_hidden() && done < total {
            notice(&shown!("{what} ({})", size(total - done)));
        }
        bar.set_message(what.to_string());
        bar.set_position(done);
        // The rate is that of what comes now.
        bar.reset_eta();
        Bar(bar)
    }

    /// Of something that tells nothing until it is done. `expected`: how long it may take.
    pub(crate) fn waiting(&self, what: &Shown, expected: Option<Duration>) -> Bar {
        let bar = self.bar(None, "{spinner} {msg}  {elapsed}{prefix}");
        if bar.is_hidden() {
            notice(what);
        } else {
            bar.enable_steady_tick(TICK);
        }
        bar.set_message(what.to_string());
        if let Some(expected) = expected {
            bar.set_prefix(format!(" of about {}", time(expected)));
        }
        Bar(bar)
    }

    fn bar(&self, total: Option<u64>, template: &str) -> ProgressBar {
        let target = if self.has_bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style.progress_chars("=> ")),
            Err(_) => bar,
        }
    }
}

/// It leaves the terminal when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// So many of those that were counted are not there after all.
    pub(crate) fn go_back(&self, bytes: u64) {
        self.0.dec(bytes);
        self.0.reset_eta();
    }

    pub(crate) fn say(&self, what: &Shown) {
        self.0.set_message(what.to_string());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// As people read it: `4.3 GB`, in units of 1000.
pub(crate) fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
    let bytes = bytes as f64;
    match bytes {
        0.0..1e6 => format!("{:.0} kB", (bytes / 1e3).ceil()),
        1e6..1e9 => format!("{:.0} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

/// As people read it: `40 s`, `7 min`, `1 h 20 min`.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs().max(1) {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds @ 90..5400 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, expected) in
            [(0, "0 kB"), (1, "1 kB"), (98_000_000, "98 MB"), (4_280_000_000, "4.3 GB"), (47_400_000_000, "47.4 GB")]
        {
            assert_eq!(size(bytes), expected);
        }
        for (seconds, expected) in
            [(0, "1 s"), (89, "89 s"), (90, "2 min"), (421, "8 min"), (4800, "80 min"), (6000, "1 h 40 min")]
        {
            assert_eq!(time(Duration::from_secs(seconds)), expected);
        }
    }
}
