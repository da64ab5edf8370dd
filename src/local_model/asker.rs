//! The thread that asks a server which models it has, and how long their contexts are.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::completions::endpoint::Endpoint;
use crate::local_model::served::Choice;
use crate::local_model::server_memory::{KnownModel, ServerMemory};
use crate::local_model::window;

/// What a thread needs to ask the server.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) endpoint: Endpoint,
    pub(super) is_ours: bool,
    /// The name that the user gave.
    pub(super) named: Option<String>,
    pub(super) memory: ServerMemory,
}

#[derive(Default)]
pub(super) struct Progress {
    /// When the thread began that asks now.
    pub(super) asking: Option<Instant>,
    /// Whether what the server has answered is being written into the memory.
    pub(super) is_writing: bool,
    /// Whether the server has answered to this process.
    pub(super) has_answered: bool,
    /// Whether the model was loaded for this process.
    pub(super) has_loaded: bool,
    pub(super) known: Option<KnownModel>,
    pub(super) thinks_unopened: Option<bool>,
    /// The server has several models, and the user has named none.
    pub(super) several: Option<Vec<String>>,
}

impl Asker {
    /// Under which the memory knows the model.
    pub(super) fn key(&self) -> &str {
        self.named.as_deref().unwrap_or_default()
    }

    pub(super) fn name_of<'a>(&'a self, known: &'a KnownModel) -> &'a str {
        self.named.as_deref().or(known.id.as_deref()).unwrap_or_default()
    }

    /// Asks, and tells the waiting calls what is known step by step.
    pub(super) fn ask(&self, shared: &(Mutex<Progress>, Condvar)) {
        let tell = |change: &dyn Fn(&mut Progress)| {
            change(&mut shared.0.lock().unwrap_or_else(PoisonError::into_inner));
            shared.1.notify_all();
        };
        let Some(served) = window::served(&self.endpoint) else {
            return tell(&|progress| progress.asking = None);
        };
        let id = match served.choose(self.is_ours) {
            _ if self.named.is_some() => None,
            Choice::Model(id) => Some(id),
            Choice::WhateverIsLoaded => None,
            Choice::OneOf(names) => {
                return tell(&|progress| (progress.asking, progress.several) = (None, Some(names.clone())));
            }
        };
        let mut known = KnownModel { id, server: served.kind, ..KnownModel::default() };
        known.window = served.window(self.name_of(&known));
        known.is_checked = known.window.is_some() && served.kind.refuses_what_is_too_long();
        let named = known.clone();
        tell(&|progress| {
            progress.several = None;
            progress.known.get_or_insert_with(|| named.clone());
        });
        let heard = window::ask(&self.endpoint, &served, self.name_of(&known));
        (known.window, known.is_assumed) = (heard.tokens, heard.is_assumed);
        known.is_asked = true;
        let update = |before: &mut KnownModel| {
            let is_told = before.is_told && known.is_assumed;
            // What a refusal has told holds, although the server says nothing of it.
            let learned = before.window.filter(|_| known.window.is_none() && before.id == known.id);
            let window = known.window.or(learned);
            let is_checked = window.is_some() && served.kind.refuses_what_is_too_long();
            *before = KnownModel { is_told, window, is_checked, ..known.clone() };
        };
        tell(&|progress| {
            update(progress.known.get_or_insert_default());
            (progress.is_writing, progress.has_answered) = (true, true);
        });
        self.memory.change_model(self.key(), update);
        tell(&|progress| (progress.asking, progress.is_writing) = (None, false));
    }
}
