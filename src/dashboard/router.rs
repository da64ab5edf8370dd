//! What the dashboard answers on which path.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{Method, Request, StatusCode};

use crate::dashboard::access::Access;
use crate::dashboard::actions::{Actions, Kind};
use crate::dashboard::api::{Api, LOG, STATUS};
use crate::dashboard::live::Live;
use crate::dashboard::reply::{self, Refusal};
use crate::dashboard::{look, page};
use crate::http_server::{HttpResponse, ReadOnly, Service, stream_response};

/// The largest order, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// How long an order may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Dashboard {
    pub access: Access,
    pub api: Arc<Api>,
    pub live: Arc<Live>,
    pub actions: Arc<Actions>,
}

enum Place {
    Page,
    File(&'static str, &'static str),
    Events,
    Api,
    Order(Kind),
}

impl Service for Dashboard {
    async fn respond(self: Arc<Dashboard>, request: Request<Incoming>) -> HttpResponse {
        reply::with_headers(self.route(request).await.unwrap_or_else(Refusal::response))
    }
}

impl Dashboard {
    async fn route(self: Arc<Dashboard>, request: Request<Incoming>) -> Result<HttpResponse, Refusal> {
        self.access.check(&request)?;
        let path = request.uri().path().to_string();
        let place = self.place(&path).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path"))?;
        let allowed = if matches!(place, Place::Order(_)) { "POST" } else { "GET, HEAD" };
        let method = request.method().as_str();
        if !allowed.split(", ").any(|allowed| allowed == method) {
            return Err(Refusal::of_method(method, &path, allowed));
        }
        let is_private = [STATUS, LOG].contains(&path.as_str()) || !matches!(place, Place::Api | Place::File(..));
        let request = if is_private { self.clone().of_own_account(request).await? } else { request };
        self.answer(request, place, path).await
    }

    /// Reads the system's table of connections, which may be long.
    async fn of_own_account(self: Arc<Dashboard>, request: Request<Incoming>) -> Result<Request<Incoming>, Refusal> {
        apart(move || self.access.check_account(&request).map(|()| request)).await?
    }

    fn place(&self, path: &str) -> Option<Place> {
        Some(match path {
            "/" => Place::Page,
            "/dashboard.js" => Place::File("text/javascript; charset=utf-8", page::SCRIPT),
            "/dashboard.css" => Place::File("text/css; charset=utf-8", page::STYLE),
            "/favicon.svg" => Place::File("image/svg+xml", page::ICON),
            "/events" => Place::Events,
            _ if self.api.has(path) => Place::Api,
            _ => Place::Order(Kind::of(path)?),
        })
    }

    async fn answer(
        self: Arc<Dashboard>,
        request: Request<Incoming>,
        place: Place,
        path: String,
    ) -> Result<HttpResponse, Refusal> {
        match place {
            Place::Page => {
                let token = self.access.token.clone();
                let page = apart(move || page::render(&look::view(&look::context(), &token))).await?;
                let mut response = reply::ok(reply::HTML, page);
                if let Ok(cookie) = HeaderValue::from_str(&self.access.cookie()) {
                    response.headers_mut().insert(SET_COOKIE, cookie);
                }
                Ok(response)
            }
            Place::File(kind, text) => Ok(reply::ok(kind, text)),
            Place::Events if request.method() == Method::HEAD => Ok(reply::ok("text/event-stream; charset=utf-8", "")),
            Place::Events => Ok(stream_response(self.live.join())),
            Place::Api => {
                let query = request.uri().query().unwrap_or_default().to_string();
                apart(move || self.api.get(&path, &query)).await
            }
            Place::Order(kind) => {
                self.access.check_change(&request)?;
                let body = read_body(request).await?;
                apart(move || self.actions.begin(kind, &body)).await
            }
        }
    }
}

/// On a thread of its own: it reads files, or asks servers.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the dashboard has failed");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = tokio::time::timeout(BODY_LIMIT, Limited::new(request.into_body(), MOST_BYTES).collect()).await;
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body may have {MOST_BYTES} bytes")))
        }
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body has not come")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body has not come in time")),
    }
}
