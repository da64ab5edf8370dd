//! The models that a setup knows: `models.toml`, read when it is needed.

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::setup::engine::EngineKind;
use crate::setup::machine::Machine;
use crate::shown::shown;

/// More of its parameters for each token are too slow without a GPU, in billions.
const MOST_WITHOUT_GPU: f64 = 8.0;

/// What a machine is taken to have that does not tell, in bytes.
const LEAST_MEMORY: u64 = 8 << 30;

/// The models, from the least to the most able.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    #[serde(rename = "model")]
    pub models: Vec<Model>,
}

impl Catalog {
    pub(crate) fn read() -> Result<Catalog> {
        let unusable =
            |error| Error::Setup { reason: shown!("the table of models is broken: {error}"), mend: "report it".into() };
        toml::from_str(include_str!("models.toml")).map_err(unusable)
    }

    /// The most able one that leaves half of the memory; the smallest, if none does.
    pub(crate) fn pick(&self, engine: EngineKind, machine: &Machine) -> Option<&Model> {
        let half = machine.memory.unwrap_or(LEAST_MEMORY) / 2;
        let is_fast = |model: &&Model| machine.is_apple_silicon || model.active <= MOST_WITHOUT_GPU;
        let fits = |model: &&Model| model.weights(engine).is_some_and(|weights| weights.memory_bytes() <= half);
        let chosen = || self.models.iter().filter(|model| model.chosen && model.weights(engine).is_some());
        chosen().filter(is_fast).rfind(fits).or_else(|| chosen().next())
    }

    /// By its own name, or by that of its weights for this engine.
    pub(crate) fn find(&self, engine: EngineKind, name: &str) -> Option<&Model> {
        let is_it = |model: &&Model| {
            model.name.eq_ignore_ascii_case(name) || model.weights(engine).is_some_and(|weights| weights.id == name)
        };
        self.models.iter().find(is_it)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub name: String,
    /// How many billions of its parameters work on each token: what a machine without a GPU feels.
    pub active: f64,
    /// The longest context, in tokens.
    pub context: u32,
    /// Whether its chat template has tools, without which it is no model for agents.
    pub tools: bool,
    /// Whether it thinks before it answers.
    pub thinks: bool,
    /// Whether a setup takes it without being asked to.
    pub chosen: bool,
    pub best_for: String,
    pub mlx: Option<Weights>,
    pub llama: Option<Weights>,
    /// Its name at Ollama, if it has one.
    pub ollama: Option<String>,
}

/// A model as an engine loads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weights {
    /// As `--model` takes it.
    pub id: String,
    /// In GB of 10^9 bytes.
    pub disk: f64,
    /// With a context of 32k in use, in GB.
    pub memory: f64,
}

impl Model {
    pub(crate) fn weights(&self, engine: EngineKind) -> Option<&Weights> {
        match engine {
            EngineKind::Mlx => self.mlx.as_ref(),
            EngineKind::Llama => self.llama.as_ref(),
        }
    }
}

impl Weights {
    pub(crate) fn disk_bytes(&self) -> u64 {
        bytes(self.disk)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        bytes(self.memory)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in GB, checked by a test")]
fn bytes(gigabytes: f64) -> u64 {
    (gigabytes * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(gib: u64, is_apple_silicon: bool) -> Machine {
        Machine { memory: Some(gib << 30), is_apple_silicon, ..Machine::default() }
    }

    #[test]
    fn the_table_makes_sense() {
        let catalog = Catalog::read().unwrap();
        for engine in [EngineKind::Mlx, EngineKind::Llama] {
            let mut last = 0.0;
            for model in &catalog.models {
                let weights = model.weights(engine).unwrap();
                assert!(weights.memory > weights.disk && weights.disk > 0.5 && weights.memory < 100.0, "{}", model.name);
                let parts: Vec<_> = weights.id.split('/').collect();
                match engine {
                    EngineKind::Mlx => assert!(parts.len() == 2, "{}", weights.id),
                    EngineKind::Llama => assert!(parts.len() == 3 && parts[2].ends_with(".gguf"), "{}", weights.id),
                }
                let short = model.name.trim_end_matches("-Instruct").to_lowercase();
                assert!(weights.id.to_lowercase().contains(&short), "{}", weights.id);
                assert!(model.context >= 32_768 && model.active > 1.0 && !model.best_for.is_empty(), "{}", model.name);
                if model.chosen {
                    assert!(model.tools && !model.thinks && weights.memory > last, "{}", model.name);
                    last = weights.memory;
                }
            }
        }
        let mut names: Vec<_> = catalog.models.iter().map(|model| model.name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), catalog.models.len());
    }

    #[test]
    fn half_of_the_memory_stays() {
        let catalog = Catalog::read().unwrap();
        let mac = [
            (4, "Qwen2.5-1.5B-Instruct"),
            (8, "Qwen2.5-3B-Instruct"),
            (16, "Qwen3-4B-Instruct-2507"),
            (24, "Qwen3-4B-Instruct-2507"),
            (32, "Qwen2.5-14B-Instruct"),
            (36, "Devstral-Small-2507"),
            (48, "Qwen3-Coder-30B-A3B-Instruct"),
            (64, "Qwen3-Coder-30B-A3B-Instruct"),
            (96, "Qwen3-Coder-Next"),
            (512, "Qwen3-Coder-Next"),
        ];
        for (gib, expected) in mac {
            assert_eq!(catalog.pick(EngineKind::Mlx, &machine(gib, true)).unwrap().name, expected, "{gib}");
        }
        // Linux counts a little less than what is sold.
        let other = [
            (2, "Qwen2.5-1.5B-Instruct"),
            (7, "Qwen2.5-3B-Instruct"),
            (15, "Qwen3-4B-Instruct-2507"),
            (31, "Qwen3-4B-Instruct-2507"),
            (46, "Qwen3-Coder-30B-A3B-Instruct"),
            (94, "Qwen3-Coder-Next"),
        ];
        for (gib, expected) in other {
            assert_eq!(catalog.pick(EngineKind::Llama, &machine(gib, false)).unwrap().name, expected, "{gib}");
        }
        assert_eq!(catalog.pick(EngineKind::Llama, &Machine::default()).unwrap().name, "Qwen2.5-3B-Instruct");
    }

    #[test]
    fn the_document_has_the_same_table() {
        let document = include_str!("../../docs/models.md");
        let catalog = Catalog::read().unwrap();
        let short = |figure: f64| if figure < 10.0 { format!("{figure:.1}") } else { format!("{figure:.0}") };
        for model in &catalog.models {
            let weights = model.mlx.as_ref().unwrap();
            let (disk, memory) = (short(weights.disk), short(weights.memory));
            let row = format!("| `{}` | {disk} GB | {memory} GB | {}", model.name, model.best_for);
            assert!(document.contains(&row), "{row}");
        }
        let rows = document.lines().filter(|line| line.starts_with("| `") && line.contains(" GB | ")).count();
        assert_eq!(rows, catalog.models.len());
    }
}
