//! What the gateway answers on which path.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::context::Context;
use crate::gateway::access::{check_host, take_token};
use crate::gateway::admission::Admission;
use crate::gateway::answer;
use crate::gateway::api_error::ApiError;
use crate::gateway::event_stream::EventStream;
use crate::gateway::http::{error_response, json_response, read_body, stream_response};
use crate::gateway::message::Whole;
use crate::gateway::request::{self, MessagesRequest};
use crate::gateway::spent;
use crate::gateway::upstream::Upstream;
use crate::http_server::{HEALTH, HttpResponse, ReadOnly, Service};

/// How long an answer may take to begin before its stream is opened without it. Until then a failure has its own status.
const HOLD: Duration = Duration::from_secs(5);

/// How many chunks may wait for a slow caller.
const QUEUE: usize = 16;

pub(super) struct Gateway {
    pub(super) upstream: Arc<Upstream>,
    pub(super) context: Arc<Context>,
    pub(super) token: String,
    pub(super) port: u16,
    pub(super) admission: Admission,
    /// What the dashboard has for programs, too.
    pub(super) readable: Option<Arc<dyn ReadOnly>>,
}

impl Service for Gateway {
    async fn respond(self: Arc<Gateway>, request: Request<Incoming>) -> HttpResponse {
        self.route(request).await.unwrap_or_else(|error| error_response(&error))
    }
}

impl Gateway {
    async fn route(self: Arc<Gateway>, mut request: Request<Incoming>) -> Result<HttpResponse, ApiError> {
        check_host(&request, self.port)?;
        let path = request.uri().path().trim_end_matches('/').to_string();
        let method = request.method().clone();
        // Claude Code 2.1.110 looks by this whether somebody is there.
        if path.is_empty() && (method == Method::HEAD || method == Method::GET) {
            return Ok(json_response(StatusCode::OK, &json!({})));
        }
        let readable = self.readable.as_ref().filter(|readable| readable.has(&path)).cloned();
        // What only asks whether somebody is there needs no token.
        if readable.is_none() || path != HEALTH {
            take_token(&mut request, &self.token)?;
        }
        if let Some(readable) = readable {
            return match method {
                Method::GET | Method::HEAD => Box::pin(read_only(readable, request)).await,
                _ => Err(not_allowed(&method, &path)),
            };
        }
        match (method.as_str(), path.as_str()) {
            // In boxes: each connection has the room of this function from its start.
            ("POST", "/v1/messages") => Box::pin(self.messages(request)).await,
            ("POST", "/v1/messages/count_tokens") => {
                let mut admitted = self.admission.begin();
                let body = read_body(request, &mut admitted).await?;
                let request = read_apart(body, request::read_to_count).await?;
                let tokens = Box::pin(self.upstream.count_tokens(&request)).await;
                Ok(json_response(StatusCode::OK, &json!({"input_tokens": tokens})))
            }
            ("GET", spent::PATH) => {
                let spent = serde_json::to_value(self.upstream.marks.spent.so_far()).unwrap_or_default();
                Ok(json_response(StatusCode::OK, &spent))
            }
            ("GET", "/v1/models") => {
                let model = Box::pin(self.model()).await;
                let id = model["id"].clone();
                Ok(json_response(StatusCode::OK, &json!({"data": [model], "has_more": false, "first_id": id, "last_id": id})))
            }
            ("GET", path) if path.starts_with("/v1/models/") => Ok(json_response(StatusCode::OK, &Box::pin(self.model()).await)),
            (_, "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models") => Err(not_allowed(&method, &path)),
            _ => Err(ApiError::not_found(format!("{path} is nothing that this gateway has"))),
        }
    }

    async fn messages(self: Arc<Gateway>, request: Request<Incoming>) -> Result<HttpResponse, ApiError> {
        let mut admitted = self.admission.begin();
        let body = read_body(request, &mut admitted).await?;
        let request = read_apart(body, request::read).await?;
        if !request.streams {
            return self.whole_message(request).await;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (failed, mut has_begun) = oneshot::channel();
        tokio::spawn(async move {
            // The request is held as long as it is answered.
            let _admitted = admitted;
            let gone = sender.clone();
            let mut streamed = EventStream::new(&request, self.reported_model(&request).await, sender, failed);
            // Closing the connection to the server cancels the answer there.
            tokio::select! {
                () = gone.closed() => {}
                () = streamed.run(&self.upstream, &self.context, &request) => {}
            }
            answer::unload_when_idle(&self.context).await;
        });
        if let Ok(Ok(error)) = tokio::time::timeout(HOLD, &mut has_begun).await {
            return Err(error);
        }
        drop(has_begun);
        Ok(stream_response(receiver))
    }

    async fn whole_message(self: Arc<Gateway>, request: MessagesRequest) -> Result<HttpResponse, ApiError> {
        let mut whole = Whole::new(self.reported_model(&request).await);
        let outcome = answer::answer_keeping_server(&self.upstream, &self.context, &request, &mut whole).await;
        answer::unload_when_idle(&self.context).await;
        outcome?;
        let message = whole.message().ok_or_else(|| ApiError::bad_answer("the answer has no end"))?;
        Ok(json_response(StatusCode::OK, &message))
    }

    /// The model that an answer says it is of, unless another one answers in its place.
    async fn reported_model(&self, request: &MessagesRequest) -> String {
        self.upstream.reported_model(request, &self.upstream.way(request)).await
    }

    async fn model(&self) -> Value {
        let name = self.upstream.model_name(&self.upstream.chain.way(false)).await;
        json!({"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"})
    }
}

fn not_allowed(method: &Method, path: &str) -> ApiError {
    let error = ApiError::bad_request(format!("{method} is not for {path}"));
    ApiError { status: StatusCode::METHOD_NOT_ALLOWED, ..error }
}

async fn read_only(readable: Arc<dyn ReadOnly>, request: Request<Incoming>) -> Result<HttpResponse, ApiError> {
    let failed = |_| ApiError::unavailable("this could not be read");
    let get = move || {
        let (path, query) = (request.uri().path().trim_end_matches('/'), request.uri().query());
        readable.get(path, query.unwrap_or_default())
    };
    tokio::task::spawn_blocking(get).await.map_err(failed)
}

/// A large body takes time to read, and other answers go on meanwhile.
async fn read_apart(body: Vec<u8>, read: fn(Vec<u8>) -> Result<MessagesRequest, ApiError>) -> Result<MessagesRequest, ApiError> {
    const LARGE: usize = 1 << 20;
    if body.len() < LARGE {
        return read(body);
    }
    let unread = |_| ApiError::unavailable("the request could not be read");
    tokio::task::spawn_blocking(move || read(body)).await.map_err(unread)?
}
