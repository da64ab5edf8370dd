//! Against a stand-in that answers as the hub does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::thread::spawn;

use super::*;
use crate::setup::made::tests::List;

#[path = "../../../tests/support/hub.rs"]
mod stand_in;

use stand_in::{COMMIT, HubStandIn, Play};

const TOKEN: &str = "hf_secret";

struct StandIn {
    hub: Hub,
    server: HubStandIn,
    _folder: tempfile::TempDir,
}

fn begin(play: &Play) -> StandIn {
    let (server, folder) = (stand_in::begin(play.clone()), tempfile::tempdir().unwrap());
    let hub = Hub { client: Client::at(&server.endpoint, Some(TOKEN)), cache: folder.path().join("a/hub"), is_offline: false };
    StandIn { hub, server, _folder: folder }
}

impl StandIn {
    fn fetch(&self, file: Option<&str>) -> Result<(PathBuf, List)> {
        let mut made = List::default();
        let snapshot = self.hub.fetch(&self.hub.list("org/name", file)?, &mut made, &Progress::new())?;
        Ok((snapshot, made))
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.server.ranges()
    }
}

fn said(error: &Error) -> (String, String) {
    (error.to_string(), error.hint("x").map(|hint| hint.to_string()).unwrap_or_default())
}

fn refused<T>(outcome: Result<T>) -> (String, String) {
    said(&outcome.err().expect("an error"))
}

static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let piece: Vec<u8> = (0..99_991_u32).flat_map(u32::to_le_bytes).collect();
    piece.repeat(30)
});

fn large() -> Vec<u8> {
    LARGE.clone()
}

fn model() -> Play {
    let files: [(&str, &[u8]); 5] = [
        ("config.json", b"{}"),
        ("model.safetensors", &large()),
        ("nested/tokenizer.json", b"{\"a\": 1}"),
        ("pytorch_model.bin", b"not wanted"),
        (".gitattributes", b"x\n"),
    ];
    Play::of(&files, &["model.safetensors"])
}

#[test]
fn a_model_comes_into_the_layout_of_the_hub() {
    for lists_names in [false, true] {
        let play = Play { lists_names, ..model() };
        let stand_in = begin(&play);
        let (snapshot, made) = stand_in.fetch(None).unwrap();
        let folder = stand_in.hub.cache.join("models--org--name");
        assert_eq!(snapshot, folder.join("snapshots").join(COMMIT));
        assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
        for (path, bytes) in play.files.iter().filter(|(path, _)| *path != "pytorch_model.bin") {
            let target = fs::read_link(snapshot.join(path)).unwrap();
            let up = "../".repeat(path.split('/').count() + 1);
            assert_eq!(target, PathBuf::from(format!("{up}blobs/{}", play.etag(path))));
            assert!(fs::read(snapshot.join(path)).unwrap() == *bytes, "{path}");
        }
        assert_eq!(fs::read_dir(folder.join("blobs")).unwrap().count(), 4, "no rest, and no other weights");
        let above = stand_in.hub.cache.parent().unwrap();
        let expected = [
            (Kind::Dir, above.to_path_buf()),
            (Kind::Dir, above.join("hub")),
            (Kind::Dir, above.join("hub/.locks")),
            (Kind::Model, folder.clone()),
        ];
        assert_eq!(made.0.iter().map(|(kind, path, _)| (*kind, path.clone())).collect::<Vec<_>>(), expected);
        // The second time there is nothing to do.
        let before = stand_in.server.seen.lock().unwrap().len();
        let (_, made) = stand_in.fetch(None).unwrap();
        assert!(made.0.is_empty());
        let seen = stand_in.server.seen.lock().unwrap()[before..].to_vec();
        assert!(seen.iter().all(|seen| seen.line.starts_with("HEAD ") || seen.line.contains("/api/")), "{seen:?}");
        assert_eq!(stand_in.hub.cached("org/name", None), Some(snapshot));
    }
}

#[test]
fn the_credential_is_for_the_hub_alone() {
    let stand_in = begin(&model());
    stand_in.fetch(None).unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let seen = stand_in.server.seen.lock().unwrap().clone();
    assert!(seen.iter().any(|seen| !seen.is_hub));
    for seen in seen {
        assert_eq!(seen.token, seen.is_hub.then(|| bearer.clone()), "{}", seen.line);
    }
}

#[test]
fn a_download_that_breaks_goes_on_where_it_was() {
    // From the last to the first.
    let stand_in = begin(&Play { cut_after: vec![2_000_000, 1_500_000], ..model() });
    let (snapshot, _) = stand_in.fetch(None).unwrap();
    assert!(fs::read(snapshot.join("model.safetensors")).unwrap() == large());
    let ranges = stand_in.ranges();
    assert_eq!(ranges, [None, Some("bytes=1500000-".into()), Some("bytes=3500000-".into())]);
}

#[test]
fn what_an_earlier_setup_has_left_is_gone_on_with() {
    let play = model();
    let (etag, whole) = (play.etag("model.safetensors"), large());
    type Case<'a> = (&'a [u8], bool, Vec<Option<String>>);
    let table: [Case; 5] = [
        (&whole[..5_000_000], false, vec![Some("bytes=5000000-".into())]),
        (&whole, false, vec![]),
        // What knows no ranges sends it all again.
        (&whole[..5_000_000], true, vec![Some("bytes=5000000-".into())]),
        // Of something else: it is seen at the end.
        (&[7; 5_000_000], false, vec![Some("bytes=5000000-".into()), None]),
        // Longer than the file.
        (&[7; 13_000_000], false, vec![None]),
    ];
    for (left, knows_no_ranges, expected) in table {
        let stand_in = begin(&Play { knows_no_ranges, ..play.clone() });
        let blobs = stand_in.hub.cache.join("models--org--name/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{etag}.incomplete")), left).unwrap();
        let listing = stand_in.hub.list("org/name", None).unwrap();
        assert_eq!(stand_in.hub.missing(&listing), listing.size() - left.len().min(whole.len()) as u64);
        let (snapshot, _) = stand_in.fetch(None).unwrap();
        assert!(fs::read(snapshot.join("model.safetensors")).unwrap() == whole);
        assert_eq!(stand_in.ranges(), expected);
    }
}

#[test]
fn what_is_not_as_listed_is_refused_and_not_kept() {
    let stand_in = begin(&Play { is_spoilt: true, ..model() });
    let (what, mend) = refused(stand_in.fetch(None));
    assert_eq!(what, "`model.safetensors` from 127.0.0.1 is not what the hub has listed: its checksum differs");
    assert!(mend.starts_with("try again; "), "{mend}");
    let folder = stand_in.hub.cache.join("models--org--name");
    assert!(!folder.join("refs/main").exists() && stand_in.hub.cached("org/name", None).is_none());
    let lengths = fs::read_dir(folder.join("blobs")).unwrap().map(|blob| blob.unwrap().metadata().unwrap().len());
    assert_eq!(lengths.max(), Some(2), "nothing of it is left");
}

#[test]
fn a_host_that_never_goes_on_is_not_asked_for_ever() {
    let stand_in = begin(&Play { has_no_range: true, ..model() });
    let (what, _) = refused(stand_in.fetch(None));
    assert_eq!(what, "the hub cannot be reached: it goes on with no download");
    assert!(stand_in.ranges().len() < 20, "{:?}", stand_in.ranges());
}

#[test]
fn one_file_of_many_comes_alone() {
    let files: [(&str, &[u8]); 3] = [("a-Q4_K_M.gguf", &large()), ("a-Q8_0.gguf", b"x"), ("README.md", b"y")];
    let stand_in = begin(&Play::of(&files, &["a-Q4_K_M.gguf"]));
    let (snapshot, _) = stand_in.fetch(Some("a-Q4_K_M.gguf")).unwrap();
    assert_eq!(fs::read_dir(&snapshot).unwrap().count(), 1);
    assert!(stand_in.hub.cached("org/name", Some("a-Q4_K_M.gguf")).is_some());
    assert!(stand_in.hub.cached("org/name", Some("a-Q8_0.gguf")).is_none());
    let (what, mend) = refused(stand_in.fetch(Some("a-Q8.gguf")));
    assert_eq!(what, "`org/name` at 127.0.0.1 has no file `a-Q8.gguf`");
    assert_eq!(mend, "choose one that it has, such as `a-Q8_0.gguf`, `a-Q4_K_M.gguf`");
    let (what, _) = refused(stand_in.fetch(None));
    assert_eq!(what, "`org/name` at 127.0.0.1 has no config.json: no model for mlx-lm");
}

#[test]
fn two_setups_at_once_fetch_it_once() {
    let stand_in = begin(&model());
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(|| stand_in.fetch(None).unwrap().0)).collect();
        for fetched in all {
            assert!(fs::read(fetched.join().unwrap().join("model.safetensors")).unwrap() == large());
        }
    });
    assert_eq!(stand_in.ranges(), [None]);
}

#[test]
fn a_hub_that_refuses_is_told_apart() {
    let table = [
        (
            ("401 Unauthorized", "RepoNotFound"),
            "127.0.0.1 has no model `org/name` for you",
            "check its name, and that your token",
        ),
        (("404 Not Found", "RepoNotFound"), "127.0.0.1 has no model `org/name` for you", "check its name, and that your token"),
        (
            ("403 Forbidden", "GatedRepo"),
            "`org/name` is given only to those who have accepted its terms",
            "accept them at http://",
        ),
        (("503 Service Unavailable", ""), "127.0.0.1 answers with HTTP 503 for `org/name`", "try again later"),
    ];
    for (refuses, what, mend) in table {
        let stand_in = begin(&Play { refuses: Some(refuses), ..model() });
        let said = refused(stand_in.fetch(None));
        assert!(said.0 == what && said.1.starts_with(mend), "{said:?}");
    }
}

#[test]
fn no_network_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = Client::at(&format!("http://127.0.0.1:{port}"), None);
    let hub = Hub { client, cache: folder.path().into(), is_offline: false };
    let said = refused(hub.list("org/name", None));
    assert_eq!(said.0, "the hub cannot be reached: 127.0.0.1: connection refused");
    assert!(said.1.starts_with("check the network, "), "{said:?}");
    let hub = Hub { is_offline: true, ..hub };
    assert_eq!(refused(hub.list("org/name", None)).0, "HF_HUB_OFFLINE is set, so that `org/name` cannot be fetched");
}

#[test]
fn a_disk_that_is_too_small_is_seen_ahead() {
    let stand_in = begin(&model());
    let mut listing = stand_in.hub.list("org/name", None).unwrap();
    listing.files[1].size = 1 << 60;
    let (what, mend) = refused(stand_in.hub.fetch(&listing, &mut List::default(), &Progress::new()).map(drop));
    assert!(what.contains(" free, and ") && what.ends_with(" GB would come there"), "{what}");
    assert!(mend.starts_with("make room, "), "{mend}");
    assert!(stand_in.ranges().is_empty());
}

#[test]
fn what_is_no_hub_is_said_to_be_none() {
    // A login page, say.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::at(&format!("http://{}", listener.local_addr().unwrap()), None);
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::result::Result::ok).find(String::is_empty);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>");
        }
    });
    let hub = Hub { client, cache: "/not/used".into(), is_offline: false };
    assert_eq!(refused(hub.list("org/name", None)).0, "127.0.0.1 does not answer as a Hugging Face hub");
}
