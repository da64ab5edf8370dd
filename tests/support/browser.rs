//! A real Chromium without a screen, for tests of a page. Starting it takes a second: a test opens many pages in one.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{deps, node};

/// How long a step may take; `browser.mjs` gives up sooner, and says why.
const LIMIT: Duration = Duration::from_secs(90);

/// Chromium, with the program that drives it. It ends, and its files go, when this is dropped.
pub struct Browser {
    child: Child,
    stdin: RefCell<Option<ChildStdin>>,
    answers: Receiver<String>,
    version: String,
    home: tempfile::TempDir,
}

/// How a page is looked at.
pub struct Look {
    scheme: &'static str,
    size: (u32, u32),
    has_script: bool,
}

/// A page, alone in its window: it shares no cookies with others.
pub struct Page<'a> {
    browser: &'a Browser,
    number: u64,
}

impl Browser {
    /// Starts one.
    pub fn start() -> Browser {
        let deps = deps();
        let program = deps.join("chromium/chromium");
        assert!(program.exists(), "run scripts/test-deps.sh first: `{}` is missing", program.display());
        let home = tempfile::Builder::new().prefix("browser").tempdir().expect("a temporary folder");
        let stderr = std::fs::File::create(home.path().join("stderr")).expect("a file");
        let mut command = Command::new(node().join("node"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/browser.mjs"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path()).env("TMPDIR", home.path());
        command.env("MODULES", deps.join("browser/node_modules")).env("CHROMIUM", program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).process_group(0);
        let mut child = super::start(&mut command).expect("Node.js");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (sender, answers) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stdin = RefCell::new(child.stdin.take());
        let mut browser = Browser { child, stdin, answers, version: String::new(), home };
        browser.version = browser.answer("start").as_str().expect("a version").to_string();
        browser
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Opens a page, and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str, look: &Look) -> Page<'_> {
        let (width, height) = look.size;
        let step = json!({
            "step": "open", "url": url, "scheme": look.scheme, "width": width, "height": height, "script": look.has_script,
        });
        Page { browser: self, number: self.play(&step).as_u64().expect("a number") }
    }

    #[track_caller]
    fn play(&self, step: &Value) -> Value {
        let step = step.to_string();
        let line = format!("{step}\n");
        let written = self.stdin.borrow_mut().as_mut().expect("an open pipe").write_all(line.as_bytes());
        assert!(written.is_ok(), "the browser is gone before {step}: {}", self.said());
        self.answer(&step)
    }

    #[track_caller]
    fn answer(&self, step: &str) -> Value {
        let line = self.answers.recv_timeout(LIMIT).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => panic!("not within {LIMIT:?}: {step}: {}", self.said()),
            RecvTimeoutError::Disconnected => panic!("the browser has ended at {step}: {}", self.said()),
        });
        let mut answer: Value = serde_json::from_str(&line).expect("a line of JSON");
        assert!(answer["error"].is_null(), "{step}: {}", answer["error"].as_str().unwrap_or_default());
        answer["value"].take()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.home.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.stdin.take();
        // Past the limit it is killed; Chromium, in a group of its own, ends with the pipe to it.
        let _ = super::wait(&mut self.child, Duration::from_secs(10));
    }
}

impl Look {
    /// A light page on a wide screen.
    pub fn light() -> Look {
        Look { scheme: "light", size: (1280, 800), has_script: true }
    }

    /// A dark page on a wide screen.
    pub fn dark() -> Look {
        Look { scheme: "dark", ..Look::light() }
    }

    /// The same on a telephone.
    pub fn narrow(self) -> Look {
        self.size(390, 844)
    }

    /// The same in a window of this many pixels.
    pub fn size(self, width: u32, height: u32) -> Look {
        Look { size: (width, height), ..self }
    }

    /// The same where scripts are switched off.
    pub fn without_script(self) -> Look {
        Look { has_script: false, ..self }
    }
}

/// A selector is one of Playwright's: CSS, or `text=…`, or `role=button[name="…"]`. A step that needs an element waits for
/// it, for 15 s at most, and fails if there are several.
impl Page<'_> {
    #[track_caller]
    fn step(&self, step: &str, selector: &str, value: &str) -> Value {
        self.browser.play(&json!({"step": step, "page": self.number, "selector": selector, "value": value}))
    }

    /// Clicks on an element, once it can be seen and is not disabled.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.step("click", selector, "");
    }

    /// Types a text into a field, in place of what is there.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.step("fill", selector, text);
    }

    /// Chooses from a list, by value or label.
    #[track_caller]
    pub fn select(&self, selector: &str, option: &str) {
        self.step("select", selector, option);
    }

    /// Presses a key, such as `Tab`, `Enter` or `Shift+Tab`.
    #[track_caller]
    pub fn press(&self, key: &str) {
        self.step("press", "", key);
    }

    /// Waits until an element that can be seen contains a text.
    #[track_caller]
    pub fn wait_for_text(&self, selector: &str, text: &str) {
        self.step("wait", selector, text);
    }

    /// The text of an element as it is shown, or as it is written if it is not shown.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        self.step("text", selector, "").as_str().expect("a text").to_string()
    }

    /// The texts of all such elements that are there now.
    #[track_caller]
    pub fn texts(&self, selector: &str) -> Vec<String> {
        texts(self.step("texts", selector, ""))
    }

    /// An attribute of an element.
    #[track_caller]
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        self.step("attribute", selector, name).as_str().map(str::to_string)
    }

    /// Whether an element can be seen: it is there, takes room and is not hidden.
    #[track_caller]
    pub fn is_shown(&self, selector: &str) -> bool {
        self.step("shown", selector, "").as_bool().expect("yes or no")
    }

    /// How many such elements are there now.
    #[track_caller]
    pub fn count(&self, selector: &str) -> u64 {
        self.step("count", selector, "").as_u64().expect("a number")
    }

    /// The value of an expression of JavaScript in the page; a promise is waited for.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.step("evaluate", "", expression)
    }

    /// What a screen reader finds in an element: roles, names and states, as Playwright's `ariaSnapshot` writes them.
    #[track_caller]
    pub fn aria(&self, selector: &str) -> String {
        self.step("aria", selector, "").as_str().expect("a text").to_string()
    }

    /// Writes a picture of all of the page, a PNG.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        self.step("screenshot", "", path.to_str().expect("a path in UTF-8"));
    }

    /// Loads it again.
    #[track_caller]
    pub fn reload(&self) {
        self.step("reload", "", "");
    }

    /// Gives the window another size.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        self.browser.play(&json!({"step": "resize", "page": self.number, "width": width, "height": height}));
    }

    /// Changes between `light` and `dark`.
    #[track_caller]
    pub fn scheme(&self, scheme: &str) {
        self.step("scheme", "", scheme);
    }

    /// What has gone wrong since it was opened: errors on the console, which tell of each breach of a security policy,
    /// errors in scripts, and requests that failed.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        texts(self.step("faults", "", ""))
    }

    /// What it has asked for since it was opened: `GET http://127.0.0.1:…`.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        texts(self.step("requests", "", ""))
    }

    /// Closes it.
    pub fn close(self) {
        self.step("close", "", "");
    }
}

fn texts(value: Value) -> Vec<String> {
    serde_json::from_value(value).expect("texts")
}
