//! What a server is known not to take, in this process and in those to come.

use std::sync::{Arc, Mutex, PoisonError};

use crate::completions::untaken::{LeftOut, Untaken};
use crate::error::warn;
use crate::local_model::server_memory::ServerMemory;
use crate::names::OWN_NAME;
use crate::shown::shown;

/// Kept for a server and a model: another model may see images, or have another template.
#[derive(Clone)]
pub(crate) struct Refused {
    memory: ServerMemory,
    model: String,
    /// Read from the file when it is first needed.
    known: Arc<Mutex<Option<LeftOut>>>,
}

impl Refused {
    pub(crate) fn new(memory: ServerMemory, model: &str) -> Refused {
        Refused { memory, model: format!(" @ {model}"), known: Arc::default() }
    }

    /// What to leave out from the start.
    pub(crate) fn known(&self) -> LeftOut {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            let words = self.memory.untaken();
            words.iter().filter_map(|word| Untaken::of_word(word.strip_suffix(&self.model)?)).collect()
        };
        known.get_or_insert_with(read).clone()
    }

    /// Remembers what was left out of a request that was answered. A tool is missed, so its absence is told, and forgotten with
    /// this process.
    pub(crate) fn remember(&self, left_out: &LeftOut) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if left_out.is_empty() || known.as_ref() == Some(left_out) {
            return;
        }
        let known = known.get_or_insert_default();
        let new: Vec<&Untaken> = left_out.iter().filter(|untaken| !known.contains(untaken)).collect();
        for untaken in &new {
            match untaken {
                Untaken::Tool(name) => {
                    warn(OWN_NAME, &shown!("the local server takes no tool with the schema of `{name}`: it is left out"));
                }
                other => self.memory.add_untaken(&format!("{}{}", other.word(), self.model)),
            }
        }
        let new: Vec<Untaken> = new.into_iter().cloned().collect();
        new.into_iter().for_each(|untaken| known.add(untaken));
    }
}
