//! One file from the hub: goes on where it stopped, and is checked when it is whole.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use ureq::http::StatusCode;

use crate::error::{Error, Result};
use crate::setup::download::cache::Repository;
use crate::setup::download::client::{Answer, Client, Fault};
use crate::setup::download::digest::Digest;
use crate::setup::download::listing::{Listing, RemoteFile, failed};
use crate::setup::progress::{Bar, size};
use crate::shown::shown;
use crate::text::plain;

/// How much is written at once, in bytes.
const PIECE: usize = 256 << 10;

/// A connection that brought so much was a good one, in bytes: the next one is the first again.
const ENOUGH: u64 = 1 << 20;

/// How often in a row a connection may break.
const MOST_BREAKS: u32 = 6;

/// How often a file may be begun anew: a server that breaks off and then knows no ranges would send its beginning for ever.
const MOST_RESTARTS: u32 = 5;

/// How often it is looked whether another download of the same file has ended.
const POLL: Duration = Duration::from_millis(200);

/// What stopped a file.
enum Stop {
    /// Another connection may help.
    Break(Fault),
    Final(Error),
}

/// Fetches the file, unless it is there, and makes it a part of the snapshot.
pub(super) fn fetch(client: &Client, repository: &Repository, listing: &Listing, file: &RemoteFile, bar: &Bar) -> Result<()> {
    let mut has_waited = false;
    let _lock = loop {
        if let Some(lock) = repository.try_lock(file)? {
            break lock;
        }
        if !has_waited {
            bar.say(&shown!("another program is downloading {}", listing.title()));
            has_waited = true;
        }
        sleep(POLL);
    };
    if has_waited {
        bar.say(&shown!("downloading {}", listing.title()));
    }
    if !std::fs::metadata(repository.blob(file)).is_ok_and(|blob| blob.len() == file.size) {
        fetch_blob(client, repository, listing, file, bar)?;
    }
    repository.link(&listing.commit, file)
}

fn fetch_blob(client: &Client, repository: &Repository, listing: &Listing, file: &RemoteFile, bar: &Bar) -> Result<()> {
    let mut part = Part::open(repository, file)?;
    // What an earlier version of us, or of another program, has left may be spoilt.
    for may_be_begun_anew in [part.done > 0, false] {
        fetch_rest(client, listing, file, &mut part, bar)?;
        if part.is_right(file)? {
            part.file.sync_all().map_err(Error::file("write", repository.incomplete(file)))?;
            return repository.complete(file);
        }
        part.restart(bar)?;
        if !may_be_begun_anew {
            break;
        }
    }
    Err(Error::Setup {
        reason: shown!("`{}` from {} is not what the hub has listed: its checksum differs", file.path, client.host()),
        mend: "try again; if it stays so, check HF_ENDPOINT, and whether a proxy changes what it passes on".into(),
    })
}

fn fetch_rest(client: &Client, listing: &Listing, file: &RemoteFile, part: &mut Part, bar: &Bar) -> Result<()> {
    let (mut breaks, most) = (0, part.restarts + MOST_RESTARTS);
    while part.done < file.size {
        let before = part.done;
        let outcome = part.fetch_piece(client, &listing.url(client, file), file, bar);
        match outcome {
            _ if part.restarts > most => {
                return Err(broken(client, listing, part, file, Fault::Network("it goes on with no download".into())));
            }
            Ok(()) => {}
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Break(fault)) => {
                breaks = if part.done >= before + ENOUGH { 1 } else { breaks + 1 };
                if breaks >= MOST_BREAKS {
                    return Err(broken(client, listing, part, file, fault));
                }
                sleep(pause(breaks));
            }
        }
    }
    Ok(())
}

/// None before the first try, then longer ones.
fn pause(breaks: u32) -> Duration {
    Duration::from_secs(breaks.checked_sub(2).map_or(0, |power| 1 << power.min(3)))
}

/// What has come is kept, and that is said.
fn broken(client: &Client, listing: &Listing, part: &Part, file: &RemoteFile, fault: Fault) -> Error {
    match failed(client, &listing.repo, fault) {
        Error::Setup { reason, .. } if part.done > 0 => Error::Setup {
            reason: shown!("{reason}, after {} of {} of `{}`", size(part.done), size(file.size), file.path),
            mend: "run this again: it goes on where it stopped".into(),
        },
        error => error,
    }
}

/// A file that is not whole yet.
struct Part {
    file: File,
    path: std::path::PathBuf,
    /// How many of its bytes have come.
    done: u64,
    digest: Digest,
    /// For a digest that begins again.
    fresh: RemoteFile,
    /// How often it was begun anew.
    restarts: u32,
}

impl Part {
    fn open(repository: &Repository, file: &RemoteFile) -> Result<Part> {
        let path = repository.incomplete(file);
        let mut part = repository.open_incomplete(file)?;
        let length = part.metadata().map_err(Error::file("read", &path))?.len();
        if length > file.size {
            part.set_len(0).map_err(Error::file("write", &path))?;
        }
        let mut digest = Digest::new(file);
        part.seek(SeekFrom::Start(0)).and_then(|_| digest.read(&mut part)).map_err(Error::file("read", &path))?;
        let fresh = RemoteFile { path: file.path.clone(), size: file.size, etag: file.etag.clone() };
        Ok(Part { file: part, path, done: if length > file.size { 0 } else { length }, digest, fresh, restarts: 0 })
    }

    fn restart(&mut self, bar: &Bar) -> Result<()> {
        self.file.set_len(0).map_err(Error::file("write", &self.path))?;
        bar.go_back(self.done);
        self.restarts += 1;
        self.done = 0;
        self.digest = Digest::new(&self.fresh);
        Ok(())
    }

    fn is_right(&mut self, file: &RemoteFile) -> Result<bool> {
        let length = self.file.metadata().map_err(Error::file("read", &self.path))?.len();
        let digest = std::mem::replace(&mut self.digest, Digest::new(file));
        Ok(length == file.size && digest.matches(file))
    }

    /// One connection's worth.
    fn fetch_piece(&mut self, client: &Client, url: &str, file: &RemoteFile, bar: &Bar) -> std::result::Result<(), Stop> {
        let mut answer = match client.get(url, self.done) {
            Ok(answer) => answer,
            // More than there is was asked for: what has come is of another file.
            Err(Fault::Status(StatusCode::RANGE_NOT_SATISFIABLE, _)) => {
                return self.restart(bar).map_err(Stop::Final);
            }
            Err(fault) => return Err(stop(client, file, fault)),
        };
        if self.done > 0 && !goes_on(&answer, self.done) {
            self.restart(bar).map_err(Stop::Final)?;
        }
        let mut body = answer.response.body_mut().as_reader();
        let mut buffer = vec![0; PIECE];
        while self.done < file.size {
            let count = match body.read(&mut buffer) {
                Ok(0) => return Err(Stop::Break(Fault::Network("the connection ended early".into()))),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::Break(Fault::Network(plain(&error)))),
            };
            let wanted = usize::try_from(file.size - self.done).unwrap_or(count).min(count);
            self.file.write_all(&buffer[..wanted]).map_err(|error| Stop::Final(self.not_written(&error, file)))?;
            self.digest.update(&buffer[..wanted]);
            self.done += wanted as u64;
            bar.advance(wanted as u64);
        }
        Ok(())
    }

    /// The bytes of a piece that did not fit may be there in part.
    fn not_written(&self, error: &io::Error, file: &RemoteFile) -> Error {
        let _ = self.file.set_len(self.done);
        let errno = error.raw_os_error().map(Errno::from_raw);
        if matches!(errno, Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) {
            return Error::Setup {
                reason: shown!("`{}` has no room for the rest of `{}`: {}", self.path.display(), file.path, plain(error)),
                mend: "make room and run this again: it goes on where it stopped".into(),
            };
        }
        Error::File { action: "write", path: self.path.clone(), source: io::Error::new(error.kind(), error.to_string()) }
    }
}

/// Whether the answer begins there. A server that knows no ranges sends all.
fn goes_on(answer: &Answer, from: u64) -> bool {
    let range = answer.response.headers().get("content-range").and_then(|range| range.to_str().ok());
    answer.response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.trim_start_matches("bytes ").split('-').next() == Some(from.to_string().as_str()))
}

/// A server that is busy or ill may be well again.
fn stop(client: &Client, file: &RemoteFile, fault: Fault) -> Stop {
    match fault {
        Fault::Network(_) => Stop::Break(fault),
        Fault::Status(status, _) if status.is_server_error() || matches!(status.as_u16(), 408 | 429) => Stop::Break(fault),
        fault => Stop::Final(failed(client, &file.path, fault)),
    }
}
