//! Which model answers, and how long its context is.
//!
//! What the user says counts first, then what the server says, then the model's files. The server is asked once a day, in a thread:
//! an answer that is late is for the next call.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::Result;
use crate::local_model::asker::{Asker, Progress};
use crate::local_model::hub_cache::HubCache;
use crate::local_model::request::RequestSettings;
use crate::local_model::served::{ServerKind, several};
use crate::local_model::server_memory::KnownModel;
use crate::local_model::window;
use crate::server::Server;
use crate::settings::Setting;
use crate::shown::{Shown, shown};

/// Stands for a model without a name.
pub(crate) const NAMELESS: &str = "local";

/// How long a call waits to hear how long the model's context is.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a call waits for the list of models if the user has named none: without the name most servers refuse.
const PATIENCE_FOR_NAME: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    /// Its name, as callers see it.
    pub name: String,
    /// Its name at the server, if the user has named none.
    pub id: Option<String>,
    /// Its context in tokens, if that is known.
    pub window: Option<u32>,
    /// The user has said how long the context is, which the server may know better.
    pub is_stated: bool,
    /// Whether the server itself refuses what does not fit.
    pub is_checked: bool,
    /// The context is the server's default: it has said nothing of this model.
    pub is_assumed: bool,
    /// Whether the server has answered, or need not be asked.
    pub is_known: bool,
    pub server: ServerKind,
}

/// The models of one server.
pub(crate) struct Models {
    asker: Asker,
    hub_cache: HubCache,
    /// What the user says.
    window: Option<u32>,
    /// What the model's files say, once its name is known.
    in_files: OnceLock<Option<u32>>,
    /// How long the server may be silent.
    idle: Duration,
    progress: Arc<(Mutex<Progress>, Condvar)>,
}

impl Models {
    pub(crate) fn new(context: &Context, server: &Server, settings: &RequestSettings) -> Models {
        let (endpoint, memory) = (server.endpoint().clone(), settings.memory.clone());
        Models {
            asker: Asker { endpoint, is_ours: server.is_ours(), named: settings.model.clone(), memory },
            hub_cache: HubCache::new(context),
            window: settings.window,
            in_files: OnceLock::new(),
            idle: settings.timeouts.idle,
            progress: Arc::default(),
        }
    }

    /// The model, if nobody need be asked for it.
    pub(crate) fn at_hand(&self) -> Option<Model> {
        let is_needless = self.asker.named.is_some() && self.window.is_some();
        if is_needless {
            return Some(self.model(None));
        }
        let progress = self.progress();
        progress.known.as_ref().filter(|_| progress.several.is_none()).map(|known| self.model(Some(known)))
    }

    /// The model that answers. Waits a moment for the server if nothing is known of it yet.
    ///
    /// # Errors
    /// If the server has several models, and the user must choose.
    pub(crate) fn find(&self) -> Result<Model> {
        if let Some(model) = self.at_hand() {
            return Ok(model);
        }
        let mut progress = self.progress();
        progress.known = self.asker.memory.model(self.asker.key()).filter(|known| known.is_asked);
        if progress.known.is_none() {
            progress = self.ask(progress);
        }
        match &progress.several {
            Some(names) => Err(several(self.asker.endpoint.variable(Setting::Model), names.clone())),
            None => Ok(self.model(progress.known.as_ref())),
        }
    }

    /// The same for a decision that is worth a longer wait.
    ///
    /// # Errors
    /// As for [`Models::find`].
    pub(crate) fn find_patiently(&self) -> Result<Model> {
        let model = self.find()?;
        self.server_kind();
        Ok(self.at_hand().unwrap_or(model))
    }

    /// The model that answers a request that does not fit what an earlier call has heard: the server may have been started anew
    /// with another context. A model that would have to be loaded for an answer is loaded now, since only then Ollama tells.
    ///
    /// # Errors
    /// As for [`Models::find`].
    pub(crate) fn find_again(&self) -> Result<Model> {
        let model = self.find()?;
        if self.window.is_some() || !model.is_known {
            return Ok(model);
        }
        let mut progress = self.progress();
        if !progress.has_answered {
            progress = self.ask(progress);
        }
        let known = progress.known.clone().unwrap_or_default();
        let is_to_be_loaded = known.is_assumed && progress.has_answered && !progress.has_loaded;
        progress.has_loaded |= is_to_be_loaded;
        drop(progress);
        if is_to_be_loaded {
            if let Some(tokens) = window::load(&self.asker.endpoint, self.asker.name_of(&known), self.idle) {
                self.change(|known| (known.window, known.is_assumed) = (Some(tokens), false));
            }
        }
        self.find()
    }

    /// Which program the server is, as far as it says so within a moment.
    pub(crate) fn server_kind(&self) -> ServerKind {
        let (progress, is_asking) = (self.progress(), |progress: &mut Progress| progress.asking.is_some());
        let waited = self.progress.1.wait_timeout_while(progress, PATIENCE_FOR_NAME, is_asking);
        let (progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
        progress.known.as_ref().map(|known| known.server).unwrap_or_default()
    }

    /// The line that says which context is assumed, once a day.
    pub(crate) fn assumption(&self) -> Option<Shown> {
        let known = self.progress().known.clone().filter(|known| known.is_assumed && !known.is_told && self.window.is_none())?;
        self.change(|known| known.is_told = true);
        Some(shown!(
            "Ollama does not say how long the context of `{}` is: {} tokens, its default, count; set OLLAMA_CONTEXT_LENGTH where \
             Ollama runs, or {} here",
            self.asker.name_of(&known),
            known.window?,
            self.asker.endpoint.variable(Setting::Window)
        ))
    }

    /// The server has refused a request, and said how long its context is.
    pub(crate) fn learn_window(&self, tokens: u64) {
        let Some(tokens) = u32::try_from(tokens).ok().filter(|tokens| *tokens > 0 && self.window.is_none()) else { return };
        self.change(|known| {
            known.window = Some(tokens);
            (known.is_asked, known.is_assumed) = (true, false);
            known.is_checked = known.server.refuses_what_is_too_long();
        });
    }

    /// Whether the model's answers begin with thinking without its opening mark, if an earlier answer has shown it.
    pub(crate) fn thinks_unopened(&self) -> Option<bool> {
        let mut progress = self.progress();
        if progress.thinks_unopened.is_none() {
            progress.thinks_unopened = self.asker.memory.thinks_unopened(self.asker.key());
        }
        progress.thinks_unopened
    }

    /// An answer has shown it.
    pub(crate) fn learn_thinking(&self, is_unopened: bool) {
        let before = self.progress().thinks_unopened.replace(is_unopened);
        if before != Some(is_unopened) {
            self.asker.memory.set_thinks_unopened(self.asker.key(), is_unopened);
        }
    }

    /// Forgets what was heard of the model: the server has done otherwise, or is about to be started.
    pub(crate) fn forget(&self) {
        *self.progress() = Progress::default();
        self.asker.memory.forget_model(self.asker.key());
    }

    fn change(&self, change: impl Fn(&mut KnownModel)) {
        change(self.progress().known.get_or_insert_default());
        self.asker.memory.change_model(self.asker.key(), change);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a thread ask, unless one does, and waits for it as long as a call may.
    fn ask<'a>(&'a self, mut progress: MutexGuard<'a, Progress>) -> MutexGuard<'a, Progress> {
        let begun = *progress.asking.get_or_insert_with(|| {
            let (asker, shared) = (self.asker.clone(), self.progress.clone());
            // It may outlive the answer, and ends with the process.
            thread::spawn(move || asker.ask(&shared));
            Instant::now()
        });
        progress.has_answered = false;
        let needs_name = self.asker.named.is_none() && progress.known.as_ref().is_none_or(|known| known.id.is_none());
        loop {
            let has_name = !needs_name || progress.known.is_some();
            let patience = if has_name { PATIENCE } else { PATIENCE_FOR_NAME };
            let left = patience.saturating_sub(begun.elapsed());
            if progress.asking.is_none() || left.is_zero() {
                return progress;
            }
            progress = self.progress.1.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn model(&self, known: Option<&KnownModel>) -> Model {
        let is_known = self.window.is_some() || known.is_some();
        let known = known.cloned().unwrap_or_default();
        let name = self.asker.named.as_deref().or(known.id.as_deref());
        let has_files = matches!(known.server, ServerKind::MlxLm | ServerKind::Unknown);
        let in_files = |name| *self.in_files.get_or_init(|| self.hub_cache.window(name, &self.asker.endpoint));
        Model {
            name: name.map_or_else(|| NAMELESS.into(), name_for_callers),
            id: known.id.clone().filter(|_| self.asker.named.is_none()),
            window: self.window.or(known.window).or_else(|| name.filter(|_| has_files).and_then(in_files)),
            is_stated: self.window.is_some(),
            is_checked: self.window.is_none() && known.window.is_some() && known.is_checked,
            is_assumed: self.window.is_none() && known.is_assumed,
            is_known,
            server: known.server,
        }
    }
}

/// What was heard is for the next call, too.
impl Drop for Models {
    fn drop(&mut self) {
        let is_asking = |progress: &mut Progress| progress.asking.is_some() && !progress.is_writing;
        let asked = self.progress.1.wait_timeout_while(self.progress(), PATIENCE, is_asking);
        let (progress, _) = asked.unwrap_or_else(PoisonError::into_inner);
        let _ = self.progress.1.wait_timeout_while(progress, PATIENCE_FOR_NAME, |progress| progress.is_writing);
    }
}

/// The name as callers see it: llama.cpp without an alias calls a model by the whole path of its file.
pub(crate) fn name_for_callers(name: &str) -> String {
    let last = name.rsplit('/').next().filter(|last| !last.is_empty());
    if name.starts_with('/') { last.unwrap_or(name).into() } else { name.into() }
}
