//! A person at a terminal: keys, and a screen that answers what programs ask of it and keeps what has scrolled off it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use alacritty_terminal::event::{Event, EventListener, WindowSize};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Line, Point};
use alacritty_terminal::term::test::TermSize;
use alacritty_terminal::term::{Config, Term, TermMode};
use alacritty_terminal::vte::ansi::{NamedColor, Processor, Rgb};

use super::pty::Pty;
use super::{Cmd, Sandbox};

const ROWS: u16 = 50;
const COLUMNS: u16 = 120;

/// A shell at a terminal. It ends with all that runs in it when it is dropped.
pub struct Terminal {
    pty: Pty,
    screen: Arc<Mutex<Screen>>,
}

impl Terminal {
    /// A shell in this folder.
    pub fn new(sandbox: &Sandbox, folder: &Path) -> Terminal {
        Terminal::of(sandbox.cmd_at_terminal("/bin/sh").dir(folder))
    }

    /// A call that [`Sandbox::cmd_at_terminal`] has made.
    pub fn of(cmd: Cmd) -> Terminal {
        let screen = Arc::new(Mutex::new(Screen::new()));
        let shown = screen.clone();
        let pty = Pty::new(cmd, ROWS, COLUMNS, move |output| lock(&shown).show(output));
        Terminal { pty, screen }
    }

    /// Types a line, and then the key that ends it: whoever draws the screen reads what comes at once as pasted.
    #[track_caller]
    pub fn enter(&self, line: &str) {
        self.pty.send(line);
        let end: String = line.chars().rev().take(10).collect::<Vec<_>>().into_iter().rev().collect();
        self.wait_for(&end);
        self.key("Enter");
    }

    /// Types this, and no key that ends it.
    pub fn type_text(&self, text: &str) {
        self.pty.send(text);
    }

    /// Types a key: `Enter`, `C-c`.
    #[track_caller]
    pub fn key(&self, key: &str) {
        self.pty.send(match key {
            "Enter" => "\r",
            "Escape" => "\u{1b}",
            "C-c" => "\u{3}",
            "C-u" => "\u{15}",
            "C-z" => "\u{1a}",
            _ => panic!("no such key: {key}"),
        });
    }

    /// Waits until the screen shows `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?}"), |shown| shown.contains(text));
    }

    /// Waits until what the screen shows `holds`.
    #[track_caller]
    pub fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let shown = self.text();
            if holds(&shown) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no {what} on the screen:\n{shown}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the screen shows when nothing of that has changed for a second.
    #[track_caller]
    pub fn text_at_rest<T: PartialEq + std::fmt::Debug>(&self, looked_at: impl Fn(&str) -> T) -> T {
        let (begun, mut since) = (Instant::now(), Instant::now());
        let mut seen = looked_at(&self.text());
        while since.elapsed() < Duration::from_secs(1) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the screen never rests: {seen:?}");
            thread::sleep(Duration::from_millis(50));
            let now = looked_at(&self.text());
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        seen
    }

    /// What the screen shows.
    pub fn text(&self) -> String {
        self.screen().text()
    }

    /// Gives the terminal another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.screen().term.resize(TermSize::new(columns.into(), rows.into()));
        self.pty.resize(rows, columns);
    }

    /// Closes it, as a window is closed.
    pub fn hang_up(&mut self) {
        self.pty.hang_up();
    }

    /// The process that was started at it.
    pub fn pid(&self) -> i32 {
        self.pty.pid()
    }

    /// Waits for its end: the exit code as a shell sees it.
    pub fn end(self) -> i32 {
        self.pty.end().0
    }

    /// All that was ever shown.
    pub fn history(&self) -> String {
        self.screen().history()
    }

    /// What programs may leave behind: the alternate screen, mouse reports, and whether the cursor is seen.
    pub fn modes(&self) -> String {
        self.screen().modes()
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        lock(&self.screen)
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a terminal makes of the bytes that programs write to it.
struct Screen {
    term: Term<Answers>,
    parser: Processor,
    answers: Answers,
}

impl Screen {
    fn new() -> Screen {
        let answers = Answers::default();
        let size = TermSize::new(COLUMNS.into(), ROWS.into());
        Screen { term: Term::new(Config::default(), &size, answers.clone()), parser: Processor::new(), answers }
    }

    /// Shows this, and gives what the terminal answers to the questions in it.
    fn show(&mut self, output: &[u8]) -> Vec<u8> {
        self.parser.advance(&mut self.term, output);
        std::mem::take(&mut *self.answers.lock())
    }

    /// The lines on the screen; one that is wrapped is one, and a space that does not break is a space.
    fn text(&mut self) -> String {
        self.lines_from(Line(0))
    }

    /// The same with all lines that have scrolled off it.
    fn history(&mut self) -> String {
        self.lines_from(self.term.topmost_line())
    }

    fn modes(&mut self) -> String {
        self.end_overdue_update();
        let holds = |mode| u8::from(self.term.mode().intersects(mode));
        format!("{} {} {}", holds(TermMode::ALT_SCREEN), holds(TermMode::MOUSE_MODE), holds(TermMode::SHOW_CURSOR))
    }

    fn lines_from(&mut self, first: Line) -> String {
        self.end_overdue_update();
        let last = Point::new(self.term.bottommost_line(), self.term.last_column());
        self.term.bounds_to_string(Point::new(first, 0.into()), last).replace('\u{a0}', " ")
    }

    /// A program may ask that the screen changes at once when it says so. A terminal does not wait for ever for that.
    fn end_overdue_update(&mut self) {
        if self.parser.sync_timeout().sync_timeout().is_some_and(|end| end < Instant::now()) {
            self.parser.stop_sync(&mut self.term);
        }
    }
}

/// What the terminal has to answer.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<u8>>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventListener for Answers {
    fn send_event(&self, event: Event) {
        let answer = match event {
            Event::PtyWrite(answer) => answer,
            // Light on dark.
            Event::ColorRequest(color, answer) => {
                let brightness = if color == NamedColor::Background as usize { 0 } else { 0xff };
                answer(Rgb { r: brightness, g: brightness, b: brightness })
            }
            Event::TextAreaSizeRequest(answer) => {
                answer(WindowSize { num_lines: ROWS, num_cols: COLUMNS, cell_width: 8, cell_height: 16 })
            }
            _ => return,
        };
        self.lock().extend(answer.into_bytes());
    }
}

mod tests {
    use super::*;

    fn shown(output: &str) -> Screen {
        let mut screen = Screen::new();
        assert_eq!(screen.show(output.as_bytes()), b"", "nothing was asked");
        screen
    }

    #[test]
    fn what_is_erased_or_written_over_is_not_shown() {
        assert_eq!(shown("gone\r\u{1b}[2Kwrong\rright\r\nlast").text().trim_end(), "right\nlast");
    }

    #[test]
    fn what_has_scrolled_off_is_history() {
        let lines: Vec<String> = (1..=200).map(|number| format!("line {number}.")).collect();
        let mut screen = shown(&lines.join("\r\n"));
        assert_eq!(screen.text(), lines[150..].join("\n"));
        assert_eq!(screen.history(), lines.join("\n"));
        screen.show(b"\x1b[?1049h");
        assert_eq!(screen.text().trim_end(), "", "the alternate screen has a place of its own");
        screen.show(b"\x1b[?1049l");
        assert_eq!(screen.history(), lines.join("\n"));
    }

    #[test]
    fn a_wrapped_line_is_one() {
        let line = "0123456789".repeat(30);
        assert_eq!(shown(&line).text().trim_end(), line);
    }

    #[test]
    fn modes_that_are_left_behind_are_seen() {
        let mut screen = shown("");
        assert_eq!(screen.modes(), "0 0 1");
        for (set, modes, reset) in [("?1049h", "1 0 1", "?1049l"), ("?1003h", "0 1 1", "?1003l"), ("?25l", "0 0 0", "?25h")] {
            screen.show(format!("\u{1b}[{set}").as_bytes());
            assert_eq!(screen.modes(), modes);
            screen.show(format!("\u{1b}[{reset}").as_bytes());
            assert_eq!(screen.modes(), "0 0 1");
        }
    }

    #[test]
    fn an_update_that_is_never_ended_is_shown_all_the_same() {
        let mut screen = shown("before\u{1b}[?2026h after");
        assert_eq!(screen.text().trim_end(), "before");
        thread::sleep(Duration::from_millis(200));
        assert_eq!(screen.text().trim_end(), "before after");
    }

    #[test]
    fn questions_are_answered() {
        let answers = Screen::new().show(b"\x1b[3;5H\x1b[6n\x1b[c\x1b[?2026$p\x1b]11;?\x07\x1b[14t");
        let expected = "\u{1b}[3;5R\u{1b}[?6c\u{1b}[?2026;2$y\u{1b}]11;rgb:0000/0000/0000\u{7}\u{1b}[4;800;960t";
        assert_eq!(String::from_utf8_lossy(&answers), expected);
    }

    #[test]
    fn a_program_gets_the_answers_as_typed() {
        let sandbox = Sandbox::new();
        let terminal = Terminal::new(&sandbox, sandbox.home());
        terminal.enter("stty -icanon -echo; printf '\\033[2;7H\\033[6n'; dd bs=6 count=1 2>/dev/null | od -An -c");
        terminal.wait_for("033   [   2   ;   7   R");
    }
}
