//! A model of the hub, whose download is broken off.

use std::fs;
use std::path::PathBuf;

use super::engine;
use super::home::{Home, UNINSTALLED, tree};
use crate::support::hub::{self, HubStandIn, Play};
use crate::support::{BINARY, Output, copy, until};

const MODEL: &str = "org/name/m.gguf";

const LENGTH: usize = 12_000_000;

/// A home with the binary of a package, so that nothing else that is large is to be written.
struct Stage {
    home: Home,
    binary: PathBuf,
    hub: HubStandIn,
    port: String,
}

impl Stage {
    fn new(stall_after: Option<usize>) -> Stage {
        let (mut home, _, port) = engine::home("no-bus");
        let files: [(&str, &[u8]); 2] = [("m.gguf", &vec![7; LENGTH]), ("README.md", b"hi")];
        let hub = hub::begin(Play { stall_after, ..Play::of(&files, &["m.gguf"]) });
        home.set("HF_ENDPOINT", &hub.endpoint);
        home.set("HF_TOKEN", "hf_secret");
        let binary = home.path(".cargo/bin/claude-failover");
        fs::create_dir_all(binary.parent().unwrap()).unwrap();
        copy(*BINARY, &binary);
        Stage { home, binary, hub, port: port.to_string() }
    }

    fn args(&self) -> [&str; 8] {
        ["llm-failover", "setup", "--engine", "llama", "--model", MODEL, "--port", &self.port]
    }

    fn setup(&self) -> Output {
        self.home.cmd(&self.binary).args(&self.args()).limit(120).run()
    }

    fn uninstall(&self, options: &[&str]) -> Output {
        self.home.cmd(&self.binary).args(&["llm-failover", "setup", "--uninstall"]).args(options).limit(60).run()
    }

    fn cache(&self) -> PathBuf {
        self.home.path(".cache/huggingface/hub/models--org--name")
    }

    /// How much of the model has come so far.
    fn incomplete(&self) -> Option<usize> {
        let blobs = fs::read_dir(self.cache().join("blobs")).ok()?.flatten();
        let part = blobs.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "incomplete"))?;
        usize::try_from(fs::metadata(part).ok()?.len()).ok()
    }

    fn names(&self) -> Vec<String> {
        tree(self.home.home()).into_keys().filter(|name| !name.starts_with("noted") && !name.starts_with("systemd/")).collect()
    }
}

#[test]
fn a_download_that_was_killed_goes_on() {
    let stage = Stage::new(Some(5_000_000));
    let before = stage.names();
    let mut child = stage.home.cmd(&stage.binary).args(&stage.args()).spawn();
    until(60, "half of the model", || stage.incomplete() == Some(5_000_000));
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "downloading m.gguf (12 MB)\n");
    stage.hub.play.lock().unwrap().stall_after = None;
    let output = stage.setup();
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(output.out().contains("org/name/m.gguf (7 MB"), "{output:?}");
    assert!(output.err().starts_with("downloading m.gguf (7 MB)\n"), "{output:?}");
    assert!(output.out().contains("\nthe local model says: echo: Say hello in one short sentence.\n"), "{output:?}");
    assert_eq!(stage.hub.ranges(), [None, Some("bytes=5000000-".into())]);
    // The credential is for the hub alone, and not for the host that has the large files.
    for seen in stage.hub.seen.lock().unwrap().iter() {
        assert_eq!(seen.token, seen.is_hub.then(|| "Bearer hf_secret".to_string()), "{}", seen.line);
    }
    stage.uninstall(&["--purge"]).expect(0, UNINSTALLED, "");
    assert_eq!(stage.names(), before);
}

/// By a limit on the size of files, which is an error to whoever writes, as a full disk is.
#[test]
fn a_full_disk_keeps_what_has_come() {
    let stage = Stage::new(None);
    let line = "trap '' XFSZ; ulimit -c 0; ulimit -f 4000; exec \"$0\" \"$@\"";
    let output = stage.home.cmd("/bin/sh").args(&["-c", line]).arg(&stage.binary).args(&stage.args()).limit(60).run();
    let part = stage.incomplete().unwrap();
    assert!((1..LENGTH).contains(&part), "{part}");
    let etag = stage.hub.play.lock().unwrap().etag("m.gguf");
    let said = format!(
        "downloading m.gguf (12 MB)\nllm-failover: `[HOME]/.cache/huggingface/hub/models--org--name/blobs/{etag}.incomplete` has no room \
         for the rest of `m.gguf`: file too large\nhint: make room and run this again: it goes on where it stopped\n"
    );
    assert_eq!((output.code(), output.err()), (1, said));
    let output = stage.setup();
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(stage.hub.ranges(), [None, Some(format!("bytes={part}-"))]);
    // The model stays unless it is to go, too, and then nothing comes again.
    let left = "left: ~/.cache/huggingface/hub/models--org--name, the downloaded model; --purge takes it too\n";
    stage.uninstall(&[]).expect(0, &format!("{left}{UNINSTALLED}"), "");
    let output = stage.setup();
    assert_eq!((output.code(), stage.hub.ranges().len()), (0, 2), "{output:?}");
    assert!(!output.err().contains("downloading"), "{output:?}");
}
