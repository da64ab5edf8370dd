//! A stand-in for a Hugging Face hub: its list, redirects of large files to another host, ranges. The unit tests of downloads use it too.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::json;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the stand-in does.
#[derive(Clone, Default)]
pub(crate) struct Play {
    /// Of `org/name`.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Those that come from the other host, as large ones do.
    pub(crate) large: Vec<String>,
    /// After so many bytes each of the first connections for a large file ends.
    pub(crate) cut_after: Vec<usize>,
    pub(crate) knows_no_ranges: bool,
    /// The list has names alone.
    pub(crate) lists_names: bool,
    /// The other host sends something else.
    pub(crate) is_spoilt: bool,
    /// After so many bytes of a large file nothing more comes.
    pub(crate) stall_after: Option<usize>,
    /// The other host has no range of anything, not even all of it.
    pub(crate) has_no_range: bool,
    /// It answers everything so: status, and the hub's code.
    pub(crate) refuses: Option<(&'static str, &'static str)>,
}

/// A request as it came: which host, the first line, the range, the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) is_hub: bool,
    pub(crate) line: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
}

pub(crate) struct HubStandIn {
    pub(crate) endpoint: String,
    /// It may change meanwhile.
    #[allow(dead_code, reason = "the unit tests change none")]
    pub(crate) play: Arc<Mutex<Play>>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl HubStandIn {
    /// The ranges of the bytes that came from the other host.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap().iter().filter(|seen| !seen.is_hub).map(|seen| seen.range.clone()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Play {
    pub(crate) fn of(files: &[(&str, &[u8])], large: &[&str]) -> Play {
        let files = files.iter().map(|(path, bytes)| ((*path).to_string(), bytes.to_vec())).collect();
        Play { files, large: large.iter().map(|path| (*path).to_string()).collect(), ..Play::default() }
    }

    pub(crate) fn etag(&self, path: &str) -> String {
        let bytes = &self.files[path];
        if self.large.iter().any(|large| large == path) {
            return hex(digest(&SHA256, bytes).as_ref());
        }
        let blob = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
        hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &blob).as_ref())
    }

    fn list(&self) -> Vec<u8> {
        let entry = |path: &String| {
            let (size, is_large) = (self.files[path].len(), self.large.contains(path));
            match (self.lists_names, is_large) {
                (true, _) => json!({"rfilename": path}),
                (false, false) => json!({"rfilename": path, "size": size, "blobId": self.etag(path)}),
                (false, true) => json!({"rfilename": path, "size": size, "blobId": "0".repeat(40),
                    "lfs": {"sha256": self.etag(path), "size": size, "pointerSize": 134}}),
            }
        };
        json!({"id": "org/name", "sha": COMMIT, "siblings": self.files.keys().map(entry).collect::<Vec<_>>()}).to_string().into()
    }
}

/// Both hosts, one a port.
pub(crate) fn begin(play: Play) -> HubStandIn {
    let (hub, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let endpoint = format!("http://{}", hub.local_addr().unwrap());
    let cdn = format!("http://{}", other.local_addr().unwrap());
    let (play, seen) = (Arc::new(Mutex::new(play)), Arc::new(Mutex::new(vec![])));
    for (listener, is_hub) in [(hub, true), (other, false)] {
        let (play, cdn, seen) = (play.clone(), cdn.clone(), seen.clone());
        spawn(move || {
            for stream in listener.incoming() {
                let (play, cdn, seen) = (play.clone(), cdn.clone(), seen.clone());
                spawn(move || answer(stream.unwrap(), is_hub, &play, &cdn, &seen));
            }
        });
    }
    HubStandIn { endpoint, play, seen }
}

fn answer(mut stream: TcpStream, is_hub: bool, play: &Mutex<Play>, cdn: &str, seen: &Mutex<Vec<Seen>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(std::result::Result::ok)
        .take_while(|line| !line.is_empty());
    let Some(line) = lines.next() else { return };
    let headers: Vec<String> = lines.collect();
    let header = |name: &str| {
        let found = headers.iter().find_map(|line| line.split_once(": ").filter(|(its, _)| its.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.to_string())
    };
    let (range, token) = (header("range"), header("authorization"));
    seen.lock().unwrap().push(Seen { is_hub, line: line.clone(), range: range.clone(), token });
    let path = line.split(' ').nth(1).unwrap();
    let name = path.rsplit(&format!("/{COMMIT}/")).next().unwrap().trim_start_matches("/cdn/").to_string();
    let mut cut_after = None;
    let play = {
        let mut play = play.lock().unwrap();
        if !is_hub && play.large.contains(&name) {
            cut_after = play.cut_after.pop();
        }
        play.clone()
    };
    let is_large = play.large.contains(&name);
    let (mut status, mut extra, mut body) = ("200 OK".to_string(), String::new(), vec![]);
    if let Some((refusal, code)) = play.refuses {
        (status, extra) = (refusal.into(), format!("X-Error-Code: {code}\r\n"));
    } else if path.starts_with("/api/") {
        assert_eq!(path, "/api/models/org/name/revision/main?blobs=true");
        body = play.list();
    } else if is_hub && is_large {
        let (etag, size) = (play.etag(&name), play.files[&name].len());
        status = "302 Found".into();
        extra =
            format!("Location: {cdn}/cdn/{name}\r\nX-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\nETag: \"other\"\r\n");
    } else {
        body = play.files[&name].clone();
        if is_hub {
            extra = format!("ETag: \"{}\"\r\n", play.etag(&name));
        }
        if !is_hub && play.is_spoilt {
            body[0] ^= 1;
        }
        if let Some(range) = range.filter(|_| !play.knows_no_ranges) {
            let from: usize = range.trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap();
            status = "206 Partial Content".into();
            extra += &format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            body.drain(..from);
        }
    }
    if play.has_no_range && !is_hub {
        (status, body) = ("416 Range Not Satisfiable".into(), vec![]);
    }
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    let stall_after = play.stall_after.filter(|_| !is_hub && is_large);
    let length = cut_after.or(stall_after).unwrap_or(body.len()).min(body.len());
    if !line.starts_with("HEAD") {
        let _ = stream.write_all(&body[..length]);
    }
    if stall_after.is_some() {
        sleep(Duration::from_secs(600));
    }
}
