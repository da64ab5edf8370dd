//! What is known of local servers, kept between calls: what they do not take, and their models' contexts.
//!
//! A server is known by its address without secrets. All of it can be found out anew, so a file that cannot be understood counts as
//! none, and one that cannot be written is no failure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::local_model::served::ServerKind;
use crate::os::atomic_file::{open_private, replace_private};
use crate::read_file::read_own;
use crate::settings::LinkNumber;

/// A server may be updated, or started with other options: what is older is found out again.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// How many servers are kept; the one that has not changed for longest goes first.
const MOST_SERVERS: usize = 32;

/// How many models and refused parts of requests are kept for one server.
const MOST_OF_ONE: usize = 64;

/// The longest file that is read, in bytes: more than this program writes.
const MOST_BYTES: u64 = 4 << 20;

/// How often the lock is tried, and the pause after each time.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// What is known of one server.
#[derive(Clone, Debug)]
pub(crate) struct ServerMemory {
    /// Without a home folder, or an address, there is none.
    dir: Option<PathBuf>,
    server: String,
}

/// What is known of a model, or of the one that the server takes if none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KnownModel {
    /// Its name at the server, if that was found out because the user gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether the server was asked for the context, whatever it said.
    pub is_asked: bool,
    /// Its context in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// Whether the server itself refuses what does not fit.
    pub is_checked: bool,
    /// The context is the server's default: it has said nothing of this model.
    pub is_assumed: bool,
    /// The user was told of that.
    pub is_told: bool,
    pub server: ServerKind,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct MemoryFile {
    /// The one that changed last is the last.
    servers: Vec<KnownServer>,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct KnownServer {
    url: String,
    /// What the server refuses in requests, with the time of the refusal.
    untaken: BTreeMap<String, Timestamp>,
    models: BTreeMap<String, Dated>,
    /// Which models' answers begin with thinking without its opening mark. Each answer shows it again, so it has no date.
    thinks_unopened: BTreeMap<String, bool>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Dated {
    since: Timestamp,
    #[serde(flatten)]
    model: KnownModel,
}

impl ServerMemory {
    /// Of the server of this link.
    pub(crate) fn new(context: &Context, link: LinkNumber) -> ServerMemory {
        let server = Endpoint::of_link(context, link).map(|endpoint| endpoint.shown().to_string());
        let dir = context.state_dir().ok().filter(|_| server.is_ok());
        ServerMemory { dir, server: server.unwrap_or_default() }
    }

    /// What this server does not take.
    pub(crate) fn untaken(&self) -> BTreeSet<String> {
        self.read().untaken.into_keys().collect()
    }

    pub(crate) fn add_untaken(&self, part: &str) {
        self.change(|server| {
            server.untaken.entry(part.into()).or_insert_with(Timestamp::now);
        });
    }

    /// By the name that the user gave, which is empty if there is none.
    pub(crate) fn model(&self, name: &str) -> Option<KnownModel> {
        self.read().models.remove(name).map(|dated| dated.model)
    }

    /// Changes what is known of a model; if that is nothing, from the default on.
    pub(crate) fn change_model(&self, name: &str, change: impl Fn(&mut KnownModel)) {
        self.change(|server| match server.models.get_mut(name) {
            Some(known) => change(&mut known.model),
            None => {
                let mut model = KnownModel::default();
                change(&mut model);
                if model != KnownModel::default() {
                    server.models.insert(name.into(), Dated { since: Timestamp::now(), model });
                }
            }
        });
    }

    /// Whether a model's answers begin with thinking without its opening mark, if an answer has shown it.
    pub(crate) fn thinks_unopened(&self, name: &str) -> Option<bool> {
        self.read().thinks_unopened.remove(name)
    }

    pub(crate) fn set_thinks_unopened(&self, name: &str, is_unopened: bool) {
        self.change(|server| {
            server.thinks_unopened.insert(name.into(), is_unopened);
        });
    }

    pub(crate) fn forget_model(&self, name: &str) {
        self.change(|server| drop(server.models.remove(name)));
    }

    /// Forgets all models: the server was started anew.
    pub(crate) fn forget_models(&self) {
        self.change(|server| server.models.clear());
    }

    fn read(&self) -> KnownServer {
        self.find_in(&mut self.read_file()).fresh(Timestamp::now())
    }

    fn read_file(&self) -> MemoryFile {
        let path = self.dir.as_ref().map(|dir| dir.join("servers.json"));
        let bytes = path.and_then(|path| read_own(&path, MOST_BYTES).ok()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Almost always nothing changes: then no lock is taken and nothing is written.
    fn change(&self, change: impl Fn(&mut KnownServer)) {
        let Some(dir) = &self.dir else { return };
        let before = self.read();
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return;
        }
        let Ok(lock) = open_private(&dir.join("servers.lock")) else { return };
        // A process that was stopped may hold it for ever, and no answer waits for that.
        let is_locked = (0..LOCK_TRIES).any(|_| {
            lock.try_lock().is_ok() || {
                sleep(LOCK_PAUSE);
                false
            }
        });
        if !is_locked {
            return;
        }
        let mut file = self.read_file();
        let mut known = self.find_in(&mut file).fresh(Timestamp::now());
        change(&mut known);
        known.url.clone_from(&self.server);
        known.limit();
        file.servers.push(known);
        let surplus = file.servers.len().saturating_sub(MOST_SERVERS);
        file.servers.drain(..surplus);
        let _ = serde_json::to_vec(&file).map(|bytes| replace_private(&dir.join("servers.json"), &bytes));
    }

    /// Takes this server out of the file.
    fn find_in(&self, file: &mut MemoryFile) -> KnownServer {
        let place = file.servers.iter().position(|server| server.url == self.server);
        place.map(|place| file.servers.remove(place)).unwrap_or_default()
    }
}

impl KnownServer {
    /// Without what is old. What is from the future comes from a clock that has jumped.
    fn fresh(mut self, now: Timestamp) -> KnownServer {
        let is_fresh = |since: &Timestamp| *since <= now && now.duration_since(*since) < LIFETIME;
        self.untaken.retain(|_, since| is_fresh(since));
        self.models.retain(|_, dated| is_fresh(&dated.since));
        self
    }

    fn limit(&mut self) {
        while self.thinks_unopened.len() > MOST_OF_ONE {
            self.thinks_unopened.pop_first();
        }
        while self.untaken.len() > MOST_OF_ONE {
            let oldest = self.untaken.iter().min_by_key(|(_, since)| **since).map(|(name, _)| name.clone());
            oldest.map(|name| self.untaken.remove(&name));
        }
        while self.models.len() > MOST_OF_ONE {
            let oldest = self.models.iter().min_by_key(|(_, dated)| dated.since).map(|(name, _)| name.clone());
            oldest.map(|name| self.models.remove(&name));
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
