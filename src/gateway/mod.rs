//! The gateway: the Anthropic Messages API on loopback, answered by the local server's chat completions.
//!
//! It stands between Claude Code and the local model, and never between Claude Code and Anthropic. Whoever asks must have
//! its token; nothing of that, and no header at all, goes on to the local server.

pub(crate) mod answer;
pub(crate) mod api_error;
pub(crate) mod client;
pub(crate) mod events;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod shrink;
pub(crate) mod upstream;

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::process::parent_id;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polled, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::claude_code::protocol::messages::{api_id, uuid};
use crate::claude_code::settings::settings_file;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::gateway::answer::Streamed;
use crate::gateway::api_error::ApiError;
use crate::gateway::events::Whole;
use crate::gateway::request::MessagesRequest;
use crate::gateway::upstream::Upstream;
use crate::os::process::close_inherited_files;

/// The long option under which the binary runs itself as the gateway of one Claude Code.
pub(crate) const OPTION: &str = "--gateway";

/// The variable with the token of that gateway.
pub(crate) const TOKEN: &str = "CLAUDE_FAILOVER_GATEWAY_TOKEN";

/// The variable with what the user wants said in a system prompt that is shortened.
pub(crate) const APPENDED: &str = "CLAUDE_FAILOVER_GATEWAY_APPENDED";

/// By which name it speaks on stderr.
const NAME: &str = "claude-failover";

/// The largest request, in bytes: the Messages API takes 32 MB.
const MAX_REQUEST: usize = 64 << 20;

/// How long an answer may take to begin before its stream is opened without it. Until then a failure has its own status.
const HOLD: Duration = Duration::from_secs(5);

/// How often it is looked whether the process whose gateway this is still lives.
const LOOK: Duration = Duration::from_millis(100);

/// How long a connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);

/// A new token.
pub(crate) fn token() -> String {
    format!("local-{}", uuid())
}

/// The gateway of the process that has started it, on the listener that it was given as stdin, until that process ends.
///
/// # Errors
/// If it was called wrongly, or a setting cannot be used.
pub(crate) fn main_for_parent(context: &Context, args: &[OsString]) -> Result<()> {
    let misused = || Error::Usage(format!("`{OPTION}` is for claude-failover itself"));
    let parent: u32 = args.first().and_then(|pid| pid.to_str()?.parse().ok()).filter(|_| args.len() == 1).ok_or_else(misused)?;
    let token = context.env(TOKEN).and_then(|token| token.into_string().ok()).ok_or_else(misused)?;
    close_inherited_files();
    let listener = std::io::stdin().as_fd().try_clone_to_owned().map(TcpListener::from).map_err(Error::file("take", "stdin"))?;
    let outcome = Gateway::new(context, token, &listener, true).and_then(|gateway| {
        run(gateway, listener, async move {
            // One whose parent has gone before it began belongs to nobody.
            while parent_id() == parent {
                tokio::time::sleep(LOOK).await;
            }
        })
    });
    let _ = settings_file(context, parent).map(fs::remove_file);
    outcome
}

/// The gateway for programs that speak the API themselves, for good. `on_ready` is told its port.
///
/// # Errors
/// If it cannot listen there, or a setting cannot be used.
pub(crate) fn serve(context: &Context, port: u16, token: String, on_ready: impl FnOnce(u16)) -> Result<()> {
    let place = format!("127.0.0.1:{port}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(Error::file("listen on", place))?;
    let gateway = Gateway::new(context, token, &listener, false)?;
    on_ready(gateway.port);
    run(gateway, listener, std::future::pending())
}

struct Gateway {
    upstream: Arc<Upstream>,
    context: Arc<Context>,
    token: String,
    port: u16,
    is_claude_codes: bool,
}

impl Gateway {
    fn new(context: &Context, token: String, listener: &TcpListener, is_claude_codes: bool) -> Result<Gateway> {
        let port = listener.local_addr().map_err(Error::file("read the address of", "the gateway"))?.port();
        let upstream = Arc::new(Upstream::new(context, is_claude_codes)?);
        Ok(Gateway { upstream, context: Arc::new(context.for_applet(NAME, &[])), token, port, is_claude_codes })
    }
}

fn run(gateway: Gateway, listener: TcpListener, end: impl Future<Output = ()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::file("start", "the gateway"))?;
    let outcome = runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let gateway = Arc::new(gateway);
        tokio::select! {
            () = end => Ok(()),
            failed = accept(listener, gateway) => failed,
        }
    });
    // Work in other threads, such as waiting for the server, is not waited for.
    runtime.shutdown_background();
    outcome.map_err(Error::file("serve", "the gateway"))
}

async fn accept(listener: tokio::net::TcpListener, gateway: Arc<Gateway>) -> std::io::Result<()> {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Too many open files, or a caller who has gone again: the next one may be luckier.
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        // Small pieces are to go at once.
        let _ = stream.set_nodelay(true);
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let gateway = gateway.clone();
                async move { Ok::<_, Infallible>(gateway.respond(request).await) }
            });
            let mut http = server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A connection that breaks concerns its caller alone.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type HttpResponse = Response<Either<Full<Bytes>, Stream>>;

impl Gateway {
    async fn respond(self: Arc<Gateway>, request: Request<Incoming>) -> HttpResponse {
        self.route(request).await.unwrap_or_else(|trouble| {
            let mut reply = json_reply(trouble.status, &trouble.body());
            let again = HeaderValue::from_static(if trouble.may_pass { "true" } else { "false" });
            reply.headers_mut().insert("x-should-retry", again);
            reply
        })
    }

    async fn route(self: Arc<Gateway>, request: Request<Incoming>) -> std::result::Result<HttpResponse, ApiError> {
        self.check_host(&request)?;
        let path = request.uri().path().trim_end_matches('/').to_string();
        let method = request.method().clone();
        // Claude Code 2.1.110 looks by this whether somebody is there.
        if path.is_empty() && (method == Method::HEAD || method == Method::GET) {
            return Ok(json_reply(StatusCode::OK, &json!({})));
        }
        self.check_token(&request)?;
        match (method.as_str(), path.as_str()) {
            ("POST", "/v1/messages") => self.messages(request).await,
            ("POST", "/v1/messages/count_tokens") => {
                let asked = request::read(&body(request).await?)?;
                Ok(json_reply(StatusCode::OK, &json!({"input_tokens": shrink::estimate(&asked)})))
            }
            ("GET", "/v1/models") => {
                let model = self.model().await;
                let id = model["id"].clone();
                Ok(json_reply(StatusCode::OK, &json!({"data": [model], "has_more": false, "first_id": id, "last_id": id})))
            }
            ("GET", path) if path.starts_with("/v1/models/") => Ok(json_reply(StatusCode::OK, &self.model().await)),
            (_, "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models") => Err(ApiError {
                status: StatusCode::METHOD_NOT_ALLOWED,
                ..ApiError::of_request(format!("{method} is not for {path}"))
            }),
            _ => Err(ApiError::of_name(format!("{path} is nothing that this gateway has"))),
        }
    }

    /// A web page could have a name of its own lead here.
    fn check_host(&self, request: &Request<Incoming>) -> std::result::Result<(), ApiError> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let is_ours = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host == format!("{name}:{}", self.port));
        if is_ours { Ok(()) } else { Err(ApiError::of_host("this gateway is for programs on this machine alone")) }
    }

    fn check_token(&self, request: &Request<Incoming>) -> std::result::Result<(), ApiError> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let is_known = [header("x-api-key"), bearer].into_iter().flatten().any(|token| token == self.token);
        if is_known { Ok(()) } else { Err(ApiError::of_caller()) }
    }

    async fn messages(self: Arc<Gateway>, request: Request<Incoming>) -> std::result::Result<HttpResponse, ApiError> {
        let asked = request::read(&body(request).await?)?;
        if !asked.streams {
            let mut whole = Whole::default();
            let outcome = answer::answer_in_use(&self.upstream, &self.context, &asked, &mut whole).await;
            answer::give_back(&self.context).await;
            outcome?;
            let message = whole.message(self.model_of(&asked)).ok_or_else(|| ApiError::of_answer("the answer has no end"))?;
            return Ok(json_reply(StatusCode::OK, &message));
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (failed, mut has_begun) = oneshot::channel();
        tokio::spawn(async move {
            let gone = sender.clone();
            let mut streamed = Streamed::new(&asked, self.model_of(&asked), sender, failed);
            // Closing the connection to the server cancels the answer there.
            tokio::select! {
                () = gone.closed() => {}
                () = streamed.run(&self.upstream, &self.context, &asked) => {}
            }
            answer::give_back(&self.context).await;
        });
        if let Ok(Ok(trouble)) = tokio::time::timeout(HOLD, &mut has_begun).await {
            return Err(trouble);
        }
        drop(has_begun);
        let mut reply = Response::new(Either::Right(Stream(receiver)));
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        add_id(&mut reply);
        Ok(reply)
    }

    /// The model that an answer says it is of. Claude Code keeps that name and, when the session is resumed, asks for it: with
    /// the session back at Claude it must not be the local model's. Without one 2.1.330 asks for what the user has set.
    fn model_of(&self, asked: &MessagesRequest) -> Value {
        if self.is_claude_codes { Value::Null } else { asked.model.clone().into() }
    }

    async fn model(&self) -> Value {
        let name = self.upstream.model_name().await;
        json!({"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"})
    }
}

/// How many pieces of an answer may wait for the caller.
const QUEUE: usize = 16;

async fn body(request: Request<Incoming>) -> std::result::Result<Bytes, ApiError> {
    match Limited::new(request.into_body(), MAX_REQUEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            kind: "request_too_large",
            ..ApiError::of_request(format!("a request may have {MAX_REQUEST} bytes"))
        }),
        Err(error) => Err(ApiError::of_request(format!("the request could not be read: {error}"))),
    }
}

fn json_reply(status: StatusCode, value: &Value) -> HttpResponse {
    let mut reply = Response::new(Either::Left(Full::from(value.to_string())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    add_id(&mut reply);
    reply
}

fn add_id(reply: &mut HttpResponse) {
    if let Ok(id) = HeaderValue::from_str(&api_id("req")) {
        reply.headers_mut().insert("request-id", id);
    }
}

/// The events of an answer as they come. When the caller goes, this is dropped, and whoever writes them sees that.
struct Stream(mpsc::Receiver<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        polled: &mut Polled<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(polled).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
