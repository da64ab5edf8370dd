//! What is looked at before anything is made: tools, disk, memory, and whether the model can be had.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::context::Context;
use crate::setup::download::SPARE_DISK;
use crate::setup::engine::{Check, Download, Engine, Problem, Source};
use crate::setup::machine::{Machine, free_disk};
use crate::setup::progress::{size, time};
use crate::shown::{Shown, shown};

/// What a context of 32k and the program itself take beside the weights, where the catalog does not know the model, in bytes.
const BESIDE_WEIGHTS: u64 = 2_000_000_000;

impl Engine {
    /// Looks at tools, disk, memory, and whether the model can be had. Changes nothing.
    pub(crate) fn check(&self, context: &Context, machine: &Machine) -> Check {
        let packages = self.packages(machine);
        let mut check = Check { problems: self.environment().problems(context, machine, &packages), ..Check::default() };
        let mut on_disk = 0;
        for package in packages.iter().filter(|package| !self.environment().has(package.module)) {
            on_disk += package.disk;
            let what = Shown::line(package.title);
            check.downloads.push(Download { what, bytes: package.download, is_estimate: true, expected: None });
        }
        self.check_disk(&mut check, &self.venv, on_disk);
        let weights = self.check_model(&mut check);
        if let Some(needed) = self.memory.or_else(|| Some(weights? + BESIDE_WEIGHTS)) {
            memory(&mut check, &self.model, needed, machine);
        }
        check
    }

    /// Returns the size of the model's weights, if that is known.
    fn check_model(&self, check: &mut Check) -> Option<u64> {
        let (repo, file) = match &self.source {
            Source::Path(path) => return Some(weight(path)),
            Source::Package => return None,
            Source::Hub { repo, file } => (repo, file.as_deref()),
        };
        let listing = match self.hub.list(repo, file) {
            Ok(listing) => listing,
            Err(error) => {
                match self.hub.cached(repo, file) {
                    Some(_) if self.hub.is_offline() => {}
                    Some(_) => check.warnings.push(shown!("{error}; `{repo}` is taken as it is in the hub's cache")),
                    None => {
                        let mend = error.hint("llm-failover").unwrap_or_default();
                        check.problems.push(Problem { what: Shown::line(error), mend });
                    }
                }
                return None;
            }
        };
        let missing = self.hub.missing(&listing);
        if missing > 0 {
            let expected = self.hub.expected(&listing);
            check.downloads.push(Download { what: Shown::line(&self.model), bytes: missing, is_estimate: false, expected });
            self.check_disk(check, self.hub.cache(), missing);
        }
        let size = listing.size();
        check.listing = Some(listing);
        Some(size)
    }

    fn check_disk(&self, check: &mut Check, place: &Path, needed: u64) {
        let Some(free) = free_disk(place).filter(|free| needed > 0 && *free < needed + SPARE_DISK) else { return };
        check.problems.push(Problem {
            what: shown!("`{}` has {} free, and {} would come there", place.display(), size(free), size(needed)),
            mend: match place == self.hub.cache() {
                true => "make room, choose a smaller model, or set HF_HOME to a folder on another disk".into(),
                false => "make room".into(),
            },
        });
    }
}

/// Whether a model that takes so many bytes has room.
pub(super) fn memory(check: &mut Check, model: &str, needed: u64, machine: &Machine) {
    let Some(memory) = machine.memory else { return };
    let figures = shown!("`{model}` takes about {} of memory, and this machine has {}", size(needed), size(memory));
    if needed > memory {
        check.problems.push(Problem { what: figures, mend: "choose a smaller one with --model".into() });
    } else if needed > memory / 4 * 3 {
        check.warnings.push(shown!("{figures}: little is left for other programs"));
    }
}

impl Download {
    /// As a plan shows it: `mlx-lm (about 150 MB)`, `org/name (4.3 GB, 7 min)`.
    pub(crate) fn line(&self) -> Shown {
        let about = if self.is_estimate { "about " } else { "" };
        let expected = self.expected.map(|expected: Duration| format!(", {}", time(expected))).unwrap_or_default();
        shown!("{} ({about}{}{expected})", self.what, size(self.bytes))
    }
}

/// The bytes of a file, or of the files in a folder.
fn weight(path: &Path) -> u64 {
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| length(&entry.path())).sum(),
        Err(_) => length(path),
    }
}
