//! One question to the local models, and what was changed of it since it was first asked.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::completions::affinity;
use crate::completions::untaken::LeftOut;
use crate::gateway::api_error::ApiError;
use crate::gateway::count::Measured;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink::{self, Room, Size};
use crate::local_model::chain::way::Way;
use crate::local_model::recovery::{AFTER_EMPTY, Tried};
use crate::local_model::request::RequestSettings;
use crate::shown::Shown;

pub(crate) struct Question {
    /// As the caller asks, with what the model was told since.
    request: MessagesRequest,
    pub(super) size: Size,
    /// The context that the request was made short for.
    pub(super) window: Option<u32>,
    /// The request at this size, as it is sent.
    pub(super) sized: MessagesRequest,
    /// The same with the oldest turns, if they are left out.
    uncut: Option<MessagesRequest>,
    /// What was found too long last, in estimated tokens.
    too_long: Option<usize>,
    /// Whether it can be sent at all: if not, the estimated length and the context.
    pub(super) limited: Result<(), (u64, u64)>,
    pub(super) tried: Tried,
    /// The model's name, if the server has asked for it.
    pub(super) model: Option<String>,
    pub(super) left_out: LeftOut,
    /// Which link is asked.
    pub(super) way: Way,
    /// What the links before have said, with their addresses.
    pub(super) failures: Vec<(Shown, ApiError)>,
    /// What was measured last.
    measured: Mutex<Option<Measured>>,
}

impl Question {
    pub(super) fn new(request: &MessagesRequest, way: Way) -> Question {
        Question {
            request: request.clone(),
            size: Size::Full,
            window: None,
            sized: request.clone(),
            uncut: None,
            too_long: None,
            limited: Ok(()),
            tried: Tried::default(),
            model: None,
            left_out: LeftOut::default(),
            way,
            failures: vec![],
            measured: Mutex::default(),
        }
    }

    /// All of it again, for another link. `left_out`: what that one is known not to take.
    pub(super) fn begin_link(&mut self, left_out: LeftOut) {
        self.set_sized((Size::Full, self.request.clone()));
        self.too_long = None;
        (self.limited, self.tried, self.model, self.left_out) = (Ok(()), Tried::default(), None, left_out);
    }

    /// As the caller asks.
    pub(super) fn whole_request(&self) -> &MessagesRequest {
        &self.request
    }

    /// As it was sent in the end.
    pub(crate) fn sent(&self) -> &MessagesRequest {
        &self.sized
    }

    /// Measures a request, unless it is the one that was measured last: that takes time where it is long.
    pub(super) fn measured(&self, request: &MessagesRequest) -> Measured {
        let mut last = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref().filter(|last| last.is_of(request)) {
            Some(last) => last.clone(),
            None => last.insert(Measured::new(request)).clone(),
        }
    }

    /// Goes on with the conversation.
    pub(crate) fn add(&mut self, messages: Vec<Value>) {
        self.request.messages.extend(messages.iter().cloned());
        if let Some(uncut) = &mut self.uncut {
            uncut.messages.extend(messages.iter().cloned());
        }
        self.sized.messages.extend(messages);
    }

    /// Two messages of the user in a row are more than strict templates take.
    pub(super) fn tell_empty(&mut self) {
        let uncut = self.uncut.as_mut().map(|uncut| &mut uncut.messages);
        for messages in [&mut self.request.messages, &mut self.sized.messages].into_iter().chain(uncut) {
            match messages.last_mut().filter(|last| last["role"] == "user") {
                None => messages.push(json!({"role": "user", "content": AFTER_EMPTY})),
                Some(last) => match &mut last["content"] {
                    Value::Array(parts) => parts.push(json!({"type": "text", "text": AFTER_EMPTY})),
                    content => *content = format!("{}\n\n{AFTER_EMPTY}", content.as_str().unwrap_or_default()).into(),
                },
            }
        }
        if self.request.is_summary {
            // Some models call a tool whatever they are told.
            self.sized.tools.clear();
        }
    }

    pub(super) fn next_smaller(&self, window: Option<u32>, appended: &str) -> Option<(Size, MessagesRequest)> {
        shrink::next_smaller(&self.request, self.size, Room { window, appended })
    }

    /// Sends so much of the request.
    pub(super) fn set_size(&mut self, size: Size, window: Option<u32>, appended: &str) {
        self.window = window;
        self.set_sized((size, shrink::sized(&self.request, size, Room { window, appended })));
    }

    pub(super) fn set_sized(&mut self, (size, sized): (Size, MessagesRequest)) {
        (self.size, self.sized, self.uncut) = (size, sized, None);
    }

    /// The request at its size with all turns.
    pub(super) fn uncut(&self) -> &MessagesRequest {
        self.uncut.as_ref().unwrap_or(&self.sized)
    }

    /// Sends this in the place of all turns.
    pub(super) fn cut(&mut self, kept: MessagesRequest) {
        let before = std::mem::replace(&mut self.sized, kept);
        self.sized.max_tokens = self.sized.max_tokens.min(before.max_tokens);
        self.uncut.get_or_insert(before);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.uncut.is_some()
    }

    /// What is sent is too long. Whether it is shorter than what was so before.
    pub(super) fn note_too_long(&mut self) -> bool {
        let most = self.most_estimated();
        let estimated = self.measured(&self.sized).estimated;
        self.too_long = Some(self.too_long.map_or(estimated, |before| before.min(estimated)));
        most.is_none_or(|most| estimated <= most)
    }

    /// What may be sent after something was too long, in estimated tokens: so much less that it has an end.
    pub(super) fn most_estimated(&self) -> Option<usize> {
        self.too_long.map(|too_long| too_long / 10 * 9)
    }

    /// The request with all that the server may not take, and without the user's own additions.
    pub(super) fn whole(&self, settings: &RequestSettings, passes_sampling: bool) -> Map<String, Value> {
        let mut body = self.without_messages(settings, passes_sampling);
        body["messages"] = self.system().into_iter().chain(self.sized.messages.iter().cloned()).collect();
        body
    }

    /// The same as it is sent where nothing is changed of it. The messages, which may be long, are not copied.
    ///
    /// # Errors
    /// None that can happen.
    pub(super) fn whole_body(&self, settings: &RequestSettings, passes_sampling: bool) -> serde_json::Result<Vec<u8>> {
        let (mut body, mut lead) = (Vec::new(), b'{');
        for (key, value) in self.without_messages(settings, passes_sampling) {
            body.push(lead);
            serde_json::to_writer(&mut body, &key)?;
            body.push(b':');
            match key.as_str() {
                "messages" => {
                    let system = self.system();
                    let messages: Vec<&Value> = system.iter().chain(self.sized.messages.iter()).collect();
                    serde_json::to_writer(&mut body, &messages)?;
                }
                _ => serde_json::to_writer(&mut body, &value)?,
            }
            lead = b',';
        }
        body.push(b'}');
        Ok(body)
    }

    fn system(&self) -> Option<Value> {
        let system = &self.sized.system;
        (!system.is_empty()).then(|| json!({"role": "system", "content": system.join("\n\n")}))
    }

    /// The messages' place is there, and empty.
    fn without_messages(&self, settings: &RequestSettings, passes_sampling: bool) -> Map<String, Value> {
        let request = &self.sized;
        let mut body = Map::new();
        body.insert("model".into(), self.model.as_deref().unwrap_or(settings.sent_model()).into());
        body.insert("messages".into(), Value::Null);
        if !request.callable().is_empty() {
            body.insert("tools".into(), request.callable().iter().map(|tool| tool.in_chat()).collect());
            if let Some(choice) = &request.choice {
                body.insert("tool_choice".into(), choice.clone());
            }
            if !request.in_parallel {
                body.insert("parallel_tool_calls".into(), false.into());
            }
        }
        body.insert("max_tokens".into(), request.max_tokens.into());
        body.insert("temperature".into(), settings.temperature().into());
        if passes_sampling {
            body.extend(request.sampling.clone());
        }
        if let Some(format) = &request.format {
            body.insert("response_format".into(), format.clone());
        }
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({"include_usage": true}));
        if let Some(affinity) = &request.affinity {
            body.insert(affinity::FIELD.into(), affinity.as_str().into());
        }
        body
    }
}
