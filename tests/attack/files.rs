//! Every file of ours, replaced with everything that can stand in its place.
//!
//! Whatever it is, a call is answered by whom it should be, in time, and with no more than a word about it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, geteuid, mkfifo};

use crate::support::Output;
use crate::support::play::{SAID, Stage, answered, refused};
use crate::support::stub::Stub;

const STATE: &str = ".local/state/claude-failover";

/// Below the home folder. The session is the one that [`calls`] go on with.
const PLACES: [&str; 18] = [
    ".config/claude-failover/config.env",
    ".local/state/claude-failover/breaker.json",
    ".local/state/claude-failover/breaker.lock",
    ".local/state/claude-failover/probe.lock",
    ".local/state/claude-failover/ledger.jsonl",
    ".local/state/claude-failover/ledger.jsonl.1",
    ".local/state/claude-failover/servers.json",
    ".local/state/claude-failover/servers.lock",
    ".local/state/claude-failover/server.use",
    ".local/state/claude-failover/server.lock",
    ".local/state/claude-failover/server.pid",
    ".local/state/claude-failover/server.log",
    ".local/state/claude-failover/server.load",
    ".local/state/claude-failover/unload.lock",
    ".local/state/claude-failover/prime.lock",
    ".local/state/claude-failover/claude-version.json",
    ".local/state/claude-failover/sessions/pruned",
    ".local/state/claude-failover/prefixes",
];

type Make = fn(&Path);

const KINDS: [(&str, Make); 13] = [
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a pipe", |path| mkfifo(path, Mode::S_IRWXU).unwrap()),
    ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("nothing in it", |path| fs::write(path, "").unwrap()),
    ("bytes that are no text", |path| fs::write(path, vec![0xff; 64 << 10]).unwrap()),
    ("the half of something", |path| fs::write(path, "{\"conditions\":[{\"class\":\"five_hour\",\"mod").unwrap()),
    ("brackets without an end", |path| fs::write(path, "[".repeat(200_000)).unwrap()),
    ("a length that no memory holds", |path| File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ("a link to what has no end", |path| symlink("/dev/zero", path).unwrap()),
    ("a link to nothing", |path| symlink("/nowhere/at/all", path).unwrap()),
    ("a link to itself", |path| symlink(path, path).unwrap()),
    ("what everybody may write", |path| {
        fs::write(path, "LOCAL_LLM_URL=http://127.0.0.1:1\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    }),
    ("what nobody may read", |path| {
        fs::write(path, "{}").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }),
];

#[test]
fn whatever_a_file_of_ours_is_the_call_is_answered() {
    let stub = Stub::answering("from here");
    let others = geteuid().is_root().then_some(("a file of another user", another_users as Make));
    for place in PLACES {
        let stage = Stage::new(&stub, &answered("fine"));
        let path = stage.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (kind, make) in KINDS.into_iter().chain(others) {
            println!("{place}: {kind}");
            remove(&path);
            make(&path);
            stage.play(&answered("fine"));
            expect(stage.ask("hi"), "fine\n", "");
            stage.play(&refused());
            expect(stage.ask("hi"), "from here\n", SAID);
            for args in [["status"], ["log"], ["logs"]] {
                let output = stage.failover(&args);
                assert!([0, 1, 2].contains(&output.code()) && is_short(&output.err()), "{args:?}: {output:?}");
            }
            let _ = fs::remove_file(stage.path(STATE).join("breaker.json"));
            let _ = fs::remove_dir(stage.path(STATE).join("breaker.json"));
        }
    }
}

fn another_users(path: &Path) {
    fs::write(path, "LOCAL_LLM_URL=http://127.0.0.1:1\n").unwrap();
    chown(path, Some(Uid::from_raw(65_534)), None).unwrap();
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// `said`: the last line on stderr. Before it there may be a few about the file.
#[track_caller]
fn expect(output: Output, stdout: &str, said: &str) {
    let err = output.err();
    let before = err.strip_suffix(said);
    assert!(output.code() == 0 && output.out() == stdout && before.is_some_and(is_short), "{output:?}");
}

fn is_short(warnings: &str) -> bool {
    let is_ours =
        |line: &str| ["claude: ", "claude-failover: ", "llm-failover: ", "hint: "].iter().any(|name| line.starts_with(name));
    warnings.lines().count() <= 2 && warnings.lines().all(is_ours)
}

/// Who may open files by themselves, and why.
const OPENERS: [(&str, &str); 11] = [
    ("read_file.rs", "it is the way to read"),
    ("os/atomic_file.rs", "it is the way to write"),
    ("os/process/linux.rs", "/proc"),
    ("os/signals.rs", "/proc"),
    ("os/signal_origin.rs", "/dev/tty"),
    ("server/listener.rs", "/proc"),
    ("setup/download/cache.rs", "the hub's cache, with the rights that huggingface_hub gives"),
    ("state/flag.rs", "the switch may be any file, a device too; it is read without blocking, as far as a word goes"),
    ("cli/install.rs", "a link that this program has just made"),
    ("claude_code/prompt.rs", "a file that the caller names may be a pipe, as the shell makes it"),
    ("claude_code/settings.rs", "the same"),
];

#[test]
fn nobody_opens_files_past_the_checks() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut used = vec![];
    for path in crate::layers::sources(&source) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let opens = ["fs::read(", "fs::read_to_string(", "File::open(", "OpenOptions::new()"];
        let name = path.strip_prefix(&source).unwrap().to_str().unwrap().to_string();
        let is_test = name.ends_with("tests.rs") || name.ends_with("fuzzing.rs");
        if !is_test && opens.iter().any(|open| code.contains(open)) {
            assert!(OPENERS.iter().any(|(known, _)| *known == name), "{name}");
            used.push(name);
        }
    }
    let unused: Vec<_> = OPENERS.iter().filter(|(name, _)| !used.iter().any(|known| known == name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
