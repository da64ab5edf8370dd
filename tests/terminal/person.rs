//! What a person does at a terminal, and sees there.

use std::cell::Cell;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{HELD, Home};
use crate::auto::same;
use crate::support::terminal::Terminal;
use crate::support::until;

/// What old versions show when they are refused for a limit.
const DIALOG: &str = "What do you want to do?";

/// When somebody types again what is not seen.
const RETYPED: Duration = Duration::from_secs(15);

/// A person at a terminal of this home.
pub struct Person<'a> {
    pub home: &'a Home,
    pub terminal: Terminal,
    /// Processes of ours that do not tell by their environment where they belong.
    pub helpers: Vec<i32>,
    is_shell: bool,
}

impl<'a> Person<'a> {
    pub fn new(home: &'a Home, terminal: Terminal, is_shell: bool) -> Person<'a> {
        Person { home, terminal, helpers: vec![], is_shell }
    }

    /// Begins a session in the shell, and waits until it waits for the first prompt.
    #[track_caller]
    pub fn begins(&mut self, command: &str) {
        self.terminal.wait_until("a shell", |shown| shown.trim_end().ends_with(['#', '$']));
        self.terminal.enter(&format!("stty -g > before.$$; {command}; echo it has ended: $?; stty -g > after.$$"));
        self.is_at_box();
        self.helpers.extend(self.helper("--guard"));
    }

    /// Whether a held prompt is put back into the input box.
    pub fn gets_prompt_back(&self) -> bool {
        self.home.version >= (2, 1, 300)
    }

    /// Our process: the only one that the shell has started, or what runs in the place of one.
    pub fn ours(&self) -> Option<i32> {
        let (first, is_shell) = (self.terminal.pid(), self.is_shell);
        match is_shell {
            true => processes().into_iter().find(|process| process.parent == first).map(|process| process.pid),
            false => Some(first),
        }
    }

    /// A process that ours has started, by how its command line goes on behind our name.
    pub fn helper(&self, option: &str) -> Option<i32> {
        let ours = self.ours()?;
        let is_it = |process: &Process| process.parent == ours && process.args.contains(option);
        processes().into_iter().find(is_it).map(|process| process.pid)
    }

    /// The Claude Code at the terminal.
    pub fn claude_code(&self) -> Option<i32> {
        let ours = self.ours()?;
        let is_it = |process: &Process| process.parent == ours && !process.args.starts_with("claude-failover ");
        processes().into_iter().find(is_it).map(|process| process.pid)
    }

    /// Waits for the input box.
    #[track_caller]
    pub fn is_at_box(&self) {
        self.terminal.wait_until("an input box", |shown| in_box(shown).is_some());
    }

    /// Types into the input box, in which this stands already, and sends it.
    #[track_caller]
    pub fn adds(&self, before: &str, typed: &str) {
        let whole = format!("{before}{typed}");
        if !before.is_empty() {
            self.terminal.wait_until(&format!("{before:?} in the input box"), |shown| in_box(shown) == Some(before));
        }
        self.terminal.type_text(typed);
        let typed_at = Cell::new(Instant::now());
        self.terminal.wait_until(&format!("{whole:?} in the input box"), |shown| {
            // What is typed while Claude Code starts may be lost.
            if before.is_empty() && typed_at.get().elapsed() > RETYPED {
                // What comes in one piece is read as pasted.
                self.terminal.key("C-u");
                thread::sleep(Duration::from_millis(500));
                self.terminal.type_text(typed);
                typed_at.set(Instant::now());
            }
            in_box(shown) == Some(&whole)
        });
        let held = self.held();
        self.terminal.key("Enter");
        self.terminal.wait_until(&format!("a box without {whole:?}"), |shown| {
            in_box(shown) != Some(&whole) || shown.matches(HELD).count() > held
        });
    }

    /// Types a prompt and sends it.
    #[track_caller]
    pub fn says(&self, prompt: &str) {
        self.adds("", prompt);
    }

    /// Says this and waits for the answer.
    #[track_caller]
    pub fn hears(&self, prompt: &str, answer: &str) {
        self.says(prompt);
        self.reads(answer);
    }

    /// Says this, which is held with this question.
    #[track_caller]
    pub fn is_asked(&self, prompt: &str, question: &str) {
        self.says(prompt);
        self.terminal.wait_for(question);
    }

    /// Waits until the screen shows this answer, and Claude Code has written it down: nobody types as fast as a test.
    #[track_caller]
    pub fn reads(&self, answer: &str) {
        self.terminal.wait_for(answer);
        until(60, "the answer is written down", || self.home.answers().iter().any(|written| written.contains(answer)));
    }

    /// Does what Claude is asked by, and waits for the end of the turn.
    #[track_caller]
    pub fn asks(&self, way: impl Fn(&Self)) {
        let before = (self.home.asked_of_claude().len(), self.home.answers().len());
        way(self);
        until(60, "Claude is asked", || self.home.asked_of_claude().len() > before.0);
        until(60, "the answer is written down", || self.home.answers().len() > before.1);
    }

    /// The same, where Claude refuses for its limit.
    #[track_caller]
    pub fn refused(&self, way: impl Fn(&Self)) {
        self.asks(way);
        if self.home.version < (2, 1, 260) {
            self.terminal.wait_for(DIALOG);
            self.terminal.key("Escape");
            self.terminal.wait_until("no dialog", |shown| !shown.contains(DIALOG));
        }
    }

    /// Says this, which Claude refuses for its limit.
    #[track_caller]
    pub fn is_refused(&self, prompt: &str) {
        self.refused(|person| person.says(prompt));
        until(60, "the breaker is open", || self.home.is_limited());
    }

    /// How many prompts were held, as far as the screen shows it.
    pub fn held(&self) -> usize {
        self.terminal.text().matches(HELD).count()
    }

    /// Answers with a word when `held` was held.
    #[track_caller]
    pub fn answers(&self, held: &str, word: &str) {
        match self.gets_prompt_back() {
            true => self.adds(held, &format!(" {word}")),
            false => self.says(word),
        }
    }

    /// Does what ends one Claude Code, and waits for the next.
    #[track_caller]
    pub fn goes(&self, way: impl Fn(&Self)) {
        let headers = || self.terminal.history().matches("Claude Code v").count();
        let (before, shown) = (self.claude_code().expect("a Claude Code"), headers());
        way(self);
        until(60, "another Claude Code", || self.claude_code().is_some_and(|pid| pid != before));
        // Newer versions draw on the alternate screen, which is gone when they end.
        if self.home.version < (2, 1, 260) {
            until(60, "its header", || headers() > shown);
        }
        self.is_at_box();
    }

    /// Allows what Claude Code asks for, until that has come of it. A key that comes with the question is not for it.
    #[track_caller]
    pub fn allows(&self, text: &str) {
        self.terminal.wait_for("Do you want to");
        until(60, text, || {
            thread::sleep(Duration::from_millis(500));
            let shown = self.terminal.text();
            if shown.contains("Do you want to") {
                self.terminal.key("Enter");
            }
            shown.contains(text)
        });
        self.reads(text);
    }

    /// Ends the session, which must end well and leave nothing.
    #[track_caller]
    pub fn leaves(&self) -> Result<(), String> {
        self.says("/exit");
        self.has_left(0)
    }

    /// Presses Ctrl-Z at a shell with job control, uses the shell, and goes on with `fg`.
    #[track_caller]
    pub fn is_suspended_and_goes_on(&self) {
        self.terminal.key("C-z");
        self.terminal.wait_for("Stopped");
        self.terminal.enter("clear; echo the shell is $(echo here)");
        self.terminal.wait_for("the shell is here");
        self.terminal.enter("fg");
    }

    pub fn presses_ctrl_c_twice(&self) {
        self.terminal.key("C-c");
        self.terminal.wait_for("again to exit");
        self.terminal.key("C-c");
    }

    /// Waits until the session has ended, with this exit code and with nothing left.
    #[track_caller]
    pub fn has_left(&self, code: i32) -> Result<(), String> {
        until(60, "an end", || self.exit_code().is_some());
        same("exit code", Some(code), self.exit_code())?;
        until(20, "the line ends", || !self.setting("after").is_empty());
        same("settings of the terminal", self.setting("before"), self.setting("after"))?;
        same("alternate screen, mouse, cursor", "0 0 1", self.terminal.modes().as_str())?;
        same("files", 0, self.home.files().len())?;
        self.home.nothing_runs(20, Some(self.terminal.pid()), &self.helpers)
    }

    /// With what the session has ended, as the shell sees it.
    pub fn exit_code(&self) -> Option<i32> {
        let shown = self.terminal.text();
        let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        shown.split("it has ended: ").skip(1).find_map(digits)
    }

    /// How the terminal was set at a time.
    pub fn setting(&self, when: &str) -> String {
        fs::read_to_string(self.home.work().join(format!("{when}.{}", self.terminal.pid()))).unwrap_or_default()
    }
}

/// What stands in Claude Code's input box. Its line is the last that begins like this.
pub fn in_box(shown: &str) -> Option<&str> {
    shown.lines().rev().find_map(|line| line.strip_prefix('❯')).map(str::trim)
}

/// A process that runs.
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub args: String,
    pub state: String,
}

pub fn processes() -> Vec<Process> {
    let output =
        Command::new("ps").args(["-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "args="]).output().expect("ps");
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let state = words.next()?;
        (!state.starts_with('Z')).then(|| Process {
            pid,
            parent,
            args: words.collect::<Vec<_>>().join(" "),
            state: state.to_string(),
        })
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(row).collect()
}
