//! Files of a Hugging Face repository, into the cache that huggingface_hub, mlx-lm and others read.
//!
//! Not by `hf-hub`: since 1.0 that brings an asynchronous HTTP client of its own, and before it checks no checksums. Nor by
//! huggingface_hub, which begins a broken download anew (2.4).

mod address;
mod cache;
mod client;
mod digest;
mod listing;
mod transfer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::hub_cache::HubCache;
use crate::setup::download::cache::Repository;
use crate::setup::download::client::Client;
pub(crate) use crate::setup::download::client::reach;
pub(crate) use crate::setup::download::listing::Listing;
use crate::setup::machine::free_disk;
use crate::setup::made::{Kind, Made, make_folder};
use crate::setup::progress::{Progress, size};
use crate::shown::shown;

/// What stays free of the disk beside a download, in bytes.
pub(crate) const SPARE_DISK: u64 = 200 << 20;

/// The hub, this user's credential for it, and the cache.
pub(crate) struct Hub {
    client: Client,
    cache: PathBuf,
    is_offline: bool,
}

impl Hub {
    /// By `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and the like, as huggingface_hub documents them.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(crate) fn new(context: &Context) -> Result<Hub> {
        let cache = HubCache::new(context).folder().ok_or(Error::NoHome)?;
        if !cache.is_absolute() {
            return Err(Error::Setup {
                reason: shown!("the hub's cache is `{}`, which is no absolute path", cache.display()),
                mend: "set HF_HOME and HF_HUB_CACHE to absolute paths, or not at all".into(),
            });
        }
        let is_yes = |name| context.env(name).is_some_and(|value| is_true(&value.to_string_lossy()));
        let is_offline = is_yes("HF_HUB_OFFLINE") || is_yes("TRANSFORMERS_OFFLINE");
        Ok(Hub { client: Client::new(context)?, cache, is_offline })
    }

    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Whether the user wants no connection to the hub.
    pub(crate) fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Asks for what a repository has. `file`: only that one.
    ///
    /// # Errors
    /// If the hub cannot be reached or has no such model.
    pub(crate) fn list(&self, repo: &str, file: Option<&str>) -> Result<Listing> {
        if self.is_offline {
            return Err(Error::Setup {
                reason: shown!("HF_HUB_OFFLINE is set, so that `{repo}` cannot be fetched"),
                mend: "unset it, or give a path as the model".into(),
            });
        }
        listing::ask(&self.client, repo, file)
    }

    /// How much of it has to come yet, in bytes.
    pub(crate) fn missing(&self, listing: &Listing) -> u64 {
        let repository = self.repository(&listing.repo);
        listing.files.iter().fold(0, |sum, file| sum.saturating_add(file.size - repository.present(file)))
    }

    /// How long that takes, by the first bytes of it. None if there is too little to tell.
    pub(crate) fn expected(&self, listing: &Listing) -> Option<Duration> {
        let largest = listing.files.iter().max_by_key(|file| file.size)?;
        let rate = self.client.rate(&listing.url(&self.client, largest), largest.size)?;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        Some(Duration::from_secs_f64((self.missing(listing) as f64 / rate).min(1e7)))
    }

    /// Fetches what is missing, and goes on where an earlier download has stopped. Returns the snapshot's folder.
    ///
    /// # Errors
    /// If the disk is full, the hub is not reachable for long, or what it sends is not what it has listed.
    pub(crate) fn fetch(&self, listing: &Listing, made: &mut dyn Made, progress: &Progress) -> Result<PathBuf> {
        let repository = self.repository(&listing.repo);
        make_folder(made, &self.cache)?;
        make_folder(made, &self.cache.join(".locks"))?;
        if !repository.folder().exists() {
            made.record(Kind::Model, repository.folder(), "")?;
        }
        let missing = self.missing(listing);
        if let Some(free) = free_disk(repository.folder()).filter(|free| *free < missing.saturating_add(SPARE_DISK)) {
            return Err(too_full(&self.cache, missing, free));
        }
        let bar = progress.bytes(&shown!("downloading {}", listing.title()), listing.size() - missing, listing.size());
        for file in &listing.files {
            transfer::fetch(&self.client, &repository, listing, file, &bar)?;
        }
        repository.set_main(&listing.commit)?;
        Ok(repository.snapshot(&listing.commit))
    }

    /// The snapshot that the cache has, if it is whole: with this file, or with all that mlx-lm reads.
    pub(crate) fn cached(&self, repo: &str, file: Option<&str>) -> Option<PathBuf> {
        self.repository(repo).whole_snapshot(file)
    }

    fn repository(&self, repo: &str) -> Repository {
        Repository::new(&self.cache, repo)
    }
}

pub(crate) fn too_full(place: &Path, missing: u64, free: u64) -> Error {
    Error::Setup {
        reason: shown!("`{}` has {} free, and {} would come there", place.display(), size(free), size(missing)),
        mend: "make room, choose a smaller model, or set HF_HOME to a folder on another disk".into(),
    }
}

/// As huggingface_hub reads its variables.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests;
