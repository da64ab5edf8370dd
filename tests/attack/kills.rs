//! Signals to the processes of a call, one or two or all of them, at every moment of it: what is left ends, and leaves nothing torn.
//!
//! The first rounds of each moment are always the same, the others come from a seed, which a failure names: `SEED=N` repeats them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::rounds;
use crate::support::life::processes_at_home;
use crate::support::play::{BREAKER, Stage, act, acts, answer, init, retry, state};
use crate::support::pty::Pty;
use crate::support::script::{Manner, replying, says};
use crate::support::stub::{Stub, json, piece, sse};
use crate::support::until;

/// How long what is left may take to end, in seconds. Promised are 5, on a machine that is not busy with other tests.
const LIMIT: u64 = 30;

const SIGNALS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGKILL];

/// Rounds that are chosen by chance, of each moment, in a run of all tests.
const BY_CHANCE: usize = 4;

/// A process of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Us,
    Guard,
    Claude,
    Gateway,
}

use Role::{Claude, Gateway, Guard, Us};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    BeforeOutput,
    InAnswer,
    /// Claude is given up and stopped, and the local model has not begun.
    Stopped,
    /// The local model answers.
    HandedOver,
    /// Claude Code on the local model, as a child.
    Agent,
    /// The same, with the caller's own streams.
    AgentWithOurStreams,
    /// Claude Code on the local model at a terminal, in our place.
    AgentInPlace,
    /// A session at a terminal.
    Session,
    /// The same on the local model.
    LocalSession,
}

impl Moment {
    /// Who is there.
    fn family(self) -> &'static [Role] {
        match self {
            Moment::BeforeOutput | Moment::InAnswer | Moment::Stopped | Moment::Session => &[Us, Guard, Guard, Claude],
            Moment::HandedOver => &[Us, Guard, Guard],
            Moment::Agent | Moment::AgentWithOurStreams | Moment::LocalSession => &[Us, Guard, Guard, Claude, Gateway],
            Moment::AgentInPlace => &[Us, Gateway],
        }
    }

    /// Whether the call ends if these get a signal that ends them.
    fn ends_with(self, victims: &[(Role, Signal)]) -> bool {
        victims.iter().any(|(role, _)| *role == Us || *role == Claude && self != Moment::Stopped)
    }

    const ALL: [Moment; 9] = [
        Moment::BeforeOutput,
        Moment::InAnswer,
        Moment::Stopped,
        Moment::HandedOver,
        Moment::Agent,
        Moment::AgentWithOurStreams,
        Moment::AgentInPlace,
        Moment::Session,
        Moment::LocalSession,
    ];
}

/// A number that follows from the one before (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        for shift in [13, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        (self.0 % limit as u64) as usize
    }

    /// One, two or all, in any order.
    fn victims(&mut self, family: &[Process]) -> Vec<(Process, Signal)> {
        let mut left = family.to_vec();
        let count = [1, 2, 2, family.len()][self.below(4)];
        let is_same = self.below(2) == 0;
        let mut signal = SIGNALS[self.below(4)];
        let mut victims = Vec::new();
        while victims.len() < count && !left.is_empty() {
            if !is_same {
                signal = SIGNALS[self.below(4)];
            }
            victims.push((left.remove(self.below(left.len())), signal));
        }
        victims
    }
}

#[derive(Clone, Debug)]
struct Process {
    role: Role,
    pid: i32,
    started: String,
}

/// Number, parent and start of each process, but of those of which only the rest is there.
fn table(only: Option<i32>) -> Vec<(i32, i32, String)> {
    if cfg!(target_os = "macos") {
        return table_by_ps(only);
    }
    let all = || fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    only.map_or_else(|| all().collect(), |pid| vec![pid]).into_iter().filter_map(row).collect()
}

fn row(pid: i32) -> Option<(i32, i32, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    (!["Z", "X"].contains(fields.first()?)).then_some(())?;
    Some((pid, fields.get(1)?.parse().ok()?, (*fields.get(19)?).into()))
}

fn table_by_ps(only: Option<i32>) -> Vec<(i32, i32, String)> {
    let mut command = Command::new("ps");
    command.args(["-o", "stat=", "-o", "pid=", "-o", "ppid=", "-o", "lstart="]);
    match only {
        Some(pid) => command.args(["-p", &pid.to_string()]),
        None => command.arg("-A"),
    };
    let output = command.output().expect("ps");
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (!words.first()?.starts_with('Z')).then_some(())?;
        Some((words.get(1)?.parse().ok()?, words.get(2)?.parse().ok()?, words.get(3..)?.join(" ")))
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(row).collect()
}

impl Process {
    fn is_alive(&self) -> bool {
        table(Some(self.pid)).iter().any(|(_, _, started)| *started == self.started)
    }
}

/// This process and all that descend from it.
fn family_of(us: i32) -> Vec<Process> {
    let all = table(None);
    let mut family = Vec::new();
    let mut parents = vec![us];
    while let Some(one) = parents.pop() {
        for (pid, parent, started) in &all {
            if *pid == one {
                family.push(Process { role: role(us, *pid), pid: *pid, started: started.clone() });
            }
            if *parent == one {
                parents.push(*pid);
            }
        }
    }
    family.sort_by_key(|process| (process.role, process.pid));
    family
}

fn role(us: i32, pid: i32) -> Role {
    let args = match cfg!(target_os = "macos") {
        true => Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().expect("ps").stdout,
        false => fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
    };
    let has = |option: &str| args.split(|byte| [0, b' '].contains(byte)).any(|arg| arg == option.as_bytes());
    match () {
        () if pid == us => Us,
        () if has("--guard") => Guard,
        () if has("--gateway") => Gateway,
        () => Claude,
    }
}

enum Call {
    Piped(Child, Vec<Receiver<()>>),
    AtTerminal(Pty),
}

impl Call {
    fn piped(mut child: Child) -> Call {
        let stdout = child.stdout.take().map(ended);
        let stderr = child.stderr.take().map(ended);
        Call::Piped(child, stdout.into_iter().chain(stderr).collect())
    }

    fn pid(&self) -> i32 {
        match self {
            Call::Piped(child, _) => child.id().cast_signed(),
            Call::AtTerminal(pty) => pty.pid(),
        }
    }

    /// Nobody has the caller's pipes or terminal.
    fn wait_for_release(self) {
        match self {
            Call::Piped(mut child, streams) => {
                child.wait().unwrap();
                for stream in streams {
                    stream.recv_timeout(Duration::from_secs(LIMIT)).expect("the caller's pipes are closed");
                }
            }
            Call::AtTerminal(pty) => drop(pty.end()),
        }
    }
}

/// When a stream ends.
fn ended(mut stream: impl Read + Send + 'static) -> Receiver<()> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let _ = stream.read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    receiver
}

struct Scene {
    stage: Stage,
    call: Call,
    family: Vec<Process>,
    model: Stub,
}

const TALKS: [&str; 7] =
    ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose", "--allowed-tools=Bash"];

/// With whose first word Claude is told to end.
const STREAMED: [&str; 6] = ["-p", "hi", "--output-format", "stream-json", "--verbose", "--include-partial-messages"];

/// What a session runs: nothing that asks for this program's stream.
const SLEEPER: &str = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.330 (Claude Code)'; exit; }\n\
                       : > \"${0%/*}/ready\"\nexec sleep 1000\n";

impl Scene {
    /// At this moment.
    fn at(moment: Moment) -> Scene {
        let mut scene = Scene::begin(moment);
        let stage = &scene.stage;
        match moment {
            Moment::Stopped => until(LIMIT, "the local model is asked", || !scene.model.chats().is_empty()),
            Moment::HandedOver => until(LIMIT, "Claude is killed", || state(stage.run(1).pid).is_none()),
            _ => until(LIMIT, "Claude is ready", || stage.path("real/ready").exists()),
        }
        let mut family = Vec::new();
        until(LIMIT, &format!("{:?} are there", moment.family()), || {
            family = family_of(scene.call.pid());
            family.iter().map(|process| process.role).eq(moment.family().iter().copied())
        });
        scene.family = family;
        scene
    }

    /// On the way there.
    fn before(moment: Moment, after: Duration) -> Scene {
        let mut scene = Scene::begin(moment);
        thread::sleep(after);
        scene.family = family_of(scene.call.pid());
        scene
    }

    fn begin(moment: Moment) -> Scene {
        let mut stage = Stage::bare();
        let waits = ["make ready", "wait never"].map(String::from);
        let model = match moment {
            Moment::Stopped => never_ending(""),
            Moment::HandedOver => never_ending("from here "),
            _ => replying(Manner::Whole, 32_768, |_| says("nobody asks")),
        };
        stage.set("LOCAL_LLM_URL", model.url());
        stage.answers_plainly(&model.url(), "");
        stage.play(&match moment {
            Moment::InAnswer => acts(&[&init(), &answer("half an answer")[..3], &waits]),
            Moment::Stopped | Moment::HandedOver => acts(&[&init(), &retry(1), &retry(2), &retry(3), &act("wait never")]),
            _ => acts(&[&init(), &waits]),
        });
        if [Moment::Agent, Moment::AgentWithOurStreams, Moment::AgentInPlace].contains(&moment) {
            stage.write("flag", "local\n");
        }
        if [Moment::AgentWithOurStreams, Moment::AgentInPlace, Moment::Session, Moment::LocalSession].contains(&moment) {
            fs::remove_file(stage.path("real/claude")).unwrap();
            stage.script("real/claude", SLEEPER);
        }
        if moment == Moment::LocalSession {
            stage.open_breaker(false);
        }
        let call = match moment {
            Moment::Agent => Call::piped(stage.cmd("claude").args(&TALKS).spawn()),
            Moment::AgentWithOurStreams => Call::piped(stage.begin("claude", &["-p", "hi", "--allowed-tools=Bash"])),
            Moment::HandedOver => Call::piped(stage.begin("claude", &STREAMED)),
            Moment::AgentInPlace | Moment::Session | Moment::LocalSession => Call::AtTerminal(stage.at_terminal("claude", &[])),
            _ => Call::piped(stage.begin("claude", &["-p", "hi"])),
        };
        Scene { stage, call, family: Vec::new(), model }
    }

    /// `is_to_end`: these signals end the call.
    fn end(self, victims: &[(Process, Signal)], is_to_end: bool) -> (Stage, Duration) {
        let begun = Instant::now();
        for (process, signal) in victims {
            let _ = kill(Pid::from_raw(process.pid), *signal);
        }
        if !is_to_end {
            // What these survive is seen by what becomes of the rest when we are gone.
            let _ = kill(Pid::from_raw(self.call.pid()), Signal::SIGKILL);
        }
        let home = self.stage.home().to_path_buf();
        until(LIMIT, &format!("nothing is left of {:?}", self.family), || {
            self.family.iter().all(|process| !process.is_alive()) && processes_at_home(&home).is_empty()
        });
        let took = begun.elapsed();
        self.call.wait_for_release();
        assert_nothing_torn(&self.stage);
        (self.stage, took)
    }
}

/// A server whose answers begin so and never end.
fn never_ending(words: &'static str) -> Stub {
    Stub::new(move |request, stream| {
        if !request.is_chat() {
            let _ = stream.write_all(json(200, r#"{"status":"ok"}"#).as_bytes());
            return;
        }
        let _ = stream.write_all(sse(&piece(words)).as_bytes());
        until(120, "nobody listens", || stream.write_all(b": \n\n").is_err());
    })
}

fn assert_nothing_torn(stage: &Stage) {
    if let Ok(bytes) = fs::read(stage.path(BREAKER)) {
        serde_json::from_slice::<Value>(&bytes).expect("a breaker");
    }
    let ledger = fs::read_to_string(stage.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
    for line in ledger.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    }
}

/// A session's settings and socket are gone, and no file is half-written. Where it is killed who removes them, the next session does.
fn assert_nothing_left_over(home: &Path) {
    for file in files_in(&home.join(".local/state")) {
        let is_sessions = file.parent().is_some_and(|folder| folder.ends_with("agents"));
        let is_new = file.extension().is_some_and(|extension| extension == "new");
        let is_socket = fs::symlink_metadata(&file).is_ok_and(|found| found.file_type().is_socket());
        assert!(!is_sessions && !is_new && !is_socket, "{} is left", file.display());
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

fn chance() -> (u64, Chance) {
    let named = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = named.unwrap_or_else(now).max(1);
    (seed, Chance(seed))
}

fn attack(moment: Moment) {
    let (seed, mut chance) = chance();
    let mut longest = Duration::ZERO;
    for round in 0..2 + BY_CHANCE * rounds() {
        let scene = Scene::at(moment);
        let victims: Vec<_> = match round {
            // The guard before us, or it may act in between.
            0 => scene.family.iter().take(2).rev().map(|process| (process.clone(), Signal::SIGKILL)).collect(),
            // What a shutdown and `pkill` do.
            1 => scene.family.iter().map(|process| (process.clone(), Signal::SIGTERM)).collect(),
            _ => chance.victims(&scene.family),
        };
        eprintln!("SEED={seed}, round {round}: {victims:?}");
        let by_role: Vec<_> = victims.iter().map(|(process, signal)| (process.role, *signal)).collect();
        let is_to_end = moment.ends_with(&by_role);
        let is_removers_death = |(role, signal): &(Role, Signal)| [Us, Gateway].contains(role) && *signal == Signal::SIGKILL;
        let is_clean = is_to_end && !by_role.iter().any(is_removers_death);
        let (stage, took) = scene.end(&victims, is_to_end);
        longest = longest.max(took);
        if is_clean {
            assert_nothing_left_over(stage.home());
        }
    }
    eprintln!("{moment:?}: the longest end took {longest:?}");
}

/// Not at a moment at which all wait: while processes start, become others and end.
#[test]
fn on_the_way() {
    let (seed, mut chance) = chance();
    for round in 0..BY_CHANCE * 4 * rounds() {
        let moment = Moment::ALL[chance.below(Moment::ALL.len())];
        let after = Duration::from_micros(chance.below(150_000) as u64);
        let scene = Scene::before(moment, after);
        let victims = chance.victims(&scene.family);
        eprintln!("SEED={seed}, round {round}: {moment:?} after {after:?}: {victims:?} of {:?}", scene.family);
        scene.end(&victims, victims.iter().any(|(process, _)| process.role == Us));
    }
}

macro_rules! attacks {
    ($($name:ident: $moment:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            attack(Moment::$moment);
        })*
    };
}

attacks! {
    before_output: BeforeOutput,
    in_an_answer: InAnswer,
    while_claude_is_stopped: Stopped,
    after_the_handover: HandedOver,
    an_agent: Agent,
    an_agent_with_our_streams: AgentWithOurStreams,
    an_agent_in_our_place: AgentInPlace,
    a_session: Session,
    a_session_on_the_local_model: LocalSession,
}
