//! The chain of local models: which one is asked, and when the next one is.
//!
//! The first link is our own server, or one that the user runs; the next ones are servers of others, and are neither started nor
//! stopped. Nothing of one link is sent to another one: each has its own URL, key, model and context. The next link is asked
//! only while nothing of an answer has reached the caller.

pub(crate) mod failures;
pub(crate) mod way;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::{Error, Result, notice};
use crate::local_model::chain::way::{Obstacle, Way};
use crate::local_model::model::{Models, NAMELESS, name_for_callers};
use crate::local_model::request::RequestSettings;
use crate::server::Server;
use crate::settings::{FIRST, LinkNumber};
use crate::shown::shown;

/// How long a link that has failed is asked after the others. A failure that takes long counts for longer.
const SET_BACK: Duration = Duration::from_secs(30);

/// How many times as long as a failure took the link is set back.
const SET_BACK_FACTOR: u32 = 4;

/// A local model, and what is known of it.
pub(crate) struct Link {
    pub server: Server,
    pub settings: RequestSettings,
    pub models: Models,
}

pub(crate) struct Chain {
    /// In the order of their numbers; the small model, if there is one, is the last.
    links: Vec<Link>,
    has_small: bool,
    /// What was met of late, and until when it counts.
    failed: Mutex<BTreeMap<usize, (Instant, Obstacle)>>,
    /// The link that the user knows to answer.
    told: AtomicU8,
    /// Links whose settings cannot be used.
    pub unusable: Vec<Error>,
}

impl Chain {
    /// # Errors
    /// If the settings of the first link cannot be used. Those of another one must not disturb calls that the first answers.
    pub(crate) fn new(context: &Context) -> Result<Chain> {
        let mut links = vec![Link::new(context, FIRST)?];
        let mut unusable = Vec::new();
        for number in context.settings.links().skip(1) {
            match Link::new(context, number) {
                Ok(link) => links.push(link),
                Err(error) => unusable.push(error),
            }
        }
        Ok(Chain { links, has_small: false, failed: Mutex::default(), told: AtomicU8::new(FIRST), unusable })
    }

    /// With the small model of the first link's server, if the user has named one.
    ///
    /// # Errors
    /// As for [`Chain::new`].
    pub(crate) fn with_small_model(context: &Context) -> Result<Chain> {
        let mut chain = Chain::new(context)?;
        if let Some(small) = context.settings.small_model()?.filter(|small| chain.first().name() != name_for_callers(small)) {
            let (server, settings) = (Server::new(context)?, RequestSettings::new(context)?.for_model(small));
            chain.links.push(Link { models: Models::new(context, &server, &settings), server, settings });
            chain.has_small = true;
        }
        Ok(chain)
    }

    pub(crate) fn first(&self) -> &Link {
        &self.links[0]
    }

    /// All links, and the small model last.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The links without the small model.
    pub(crate) fn main_links(&self) -> &[Link] {
        &self.links[..self.links.len() - usize::from(self.has_small)]
    }

    /// The small model's name as callers see it.
    pub(crate) fn small_model(&self) -> Option<String> {
        self.links.last().filter(|_| self.has_small).map(Link::name)
    }

    /// Whether the small model is asked.
    pub(crate) fn is_small(&self, way: &Way) -> bool {
        self.has_small && way.current() == self.main_links().len()
    }

    /// The way of a question to the small model, or to the main one. Links that have failed of late come last.
    pub(crate) fn way(&self, to_small: bool) -> Way {
        let main = self.main_links().len();
        let small = (self.has_small && to_small).then_some(main);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, (until, _)| *until > Instant::now());
        let met: BTreeMap<usize, Obstacle> = failed.iter().map(|(link, (_, obstacle))| (*link, *obstacle)).collect();
        let (late, early): (Vec<usize>, Vec<usize>) = small.into_iter().chain(0..main).partition(|link| met.contains_key(link));
        Way::new(early.into_iter().chain(late).collect(), met)
    }

    /// The link that is asked now.
    pub(crate) fn at(&self, way: &Way) -> &Link {
        &self.links[way.current()]
    }

    /// The first of these links (see [`Way::larger`]) whose context is known to be large enough. Waits a moment for what servers say of it.
    pub(crate) fn with_room(&self, larger: &[usize], fits: impl Fn(&Link, u32) -> bool) -> Option<usize> {
        larger.iter().copied().find(|link| self.links[*link].holds(|window| fits(&self.links[*link], window)))
    }

    /// Goes on to the next link. Returns false if none is left.
    pub(crate) fn give_up(&self, way: &mut Way, obstacle: Obstacle) -> bool {
        let (current, took) = (way.current(), way.since().elapsed());
        let is_gone = |link: usize| obstacle.is_of_server() && self.links[link].number() == self.links[current].number();
        if obstacle != Obstacle::TooSmall {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            let until = Instant::now() + SET_BACK.max(took.saturating_mul(SET_BACK_FACTOR));
            failed.extend(
                (0..self.links.len()).filter(|link| *link == current || is_gone(*link)).map(|link| (link, (until, obstacle))),
            );
        }
        way.give_up(obstacle, is_gone)
    }

    /// The current link has answered. If that is not the first, and the user does not know it yet, it is said on stderr, and
    /// true returned.
    pub(crate) fn has_answered(&self, applet: &str, way: &Way) -> bool {
        let link = self.at(way);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(&way.current());
        let is_news = self.told.swap(link.number(), Relaxed) != link.number() && link.number() != FIRST;
        if is_news {
            let why = way.met(0).map_or("does not answer", Obstacle::words);
            let (model, url) = (link.name(), link.server.endpoint().shown());
            notice(&shown!("{applet}: answered by `{model}` at {url}: the first local model {why}"));
        }
        is_news
    }
}

impl Link {
    fn new(context: &Context, number: LinkNumber) -> Result<Link> {
        let (server, settings) = (Server::of_link(context, number)?, RequestSettings::of_link(context, number)?);
        Ok(Link { models: Models::new(context, &server, &settings), server, settings })
    }

    pub(crate) fn number(&self) -> LinkNumber {
        self.server.endpoint().link()
    }

    /// The model's name as callers see it, as far as it is known.
    pub(crate) fn name(&self) -> String {
        let named = || self.settings.model.as_deref().map_or_else(|| NAMELESS.into(), name_for_callers);
        self.models.at_hand().map_or_else(named, |model| model.name)
    }

    /// The address without secrets, unless this is the first link.
    pub(crate) fn other_url(&self) -> Option<String> {
        (self.number() != FIRST).then(|| self.server.endpoint().shown().to_string())
    }

    /// Whether the context is known to be large enough.
    fn holds(&self, fits: impl Fn(u32) -> bool) -> bool {
        let holds = |window: Option<u32>| window.is_some_and(&fits);
        match self.models.find_patiently() {
            Ok(model) if holds(model.window) => true,
            // Ollama tells only once it has loaded the model, and what was heard before may have changed.
            Ok(model) if model.window.is_some() => self.models.find_again().is_ok_and(|model| holds(model.window)),
            _ => false,
        }
    }
}
