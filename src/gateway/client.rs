//! The HTTP client of the gateway. Dropping an answer closes its connection, which is how an answer is cancelled; only one that has
//! come to its end is used again, and not for long.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper::rt::{Read, Write};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::timeout;
use tower_service::Service;

use crate::completions::affinity::{self, Affinity};
use crate::completions::endpoint::{Endpoint, Timeouts};
use crate::completions::failure::{CompletionError, NOT_TAKEN};
use crate::gateway::connections::{Connection, IdleConnections};
use crate::text::plain;

type BoxError = Box<dyn StdError + Send + Sync>;

/// How often the system asks a server that says nothing whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long what was sent may go without the other side's confirmation.
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(30);

/// What is read at once, in bytes: tokens come singly.
const READ: usize = 4 << 10;

/// How long the end of a body may take to come behind the end of the answer.
const END: Duration = Duration::from_millis(50);

/// POSTs to one endpoint.
pub(crate) struct Client {
    uri: Uri,
    headers: HeaderMap,
    connect: HttpConnector,
    tls: Arc<ClientConfig>,
    proxy: Option<Intercept>,
    timeouts: Timeouts,
    idle: IdleConnections,
}

/// Why there is no answer, or only a part of one.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// No connection could be made: the reason.
    Connect(String),
    /// The connection was not ready in time.
    NotTaken,
    /// Nothing came for the idle time.
    Idle,
    /// The connection broke: the reason.
    Broken(String),
}

impl ClientError {
    /// What it is before anything of an answer. `idle`: the time for which nothing may come.
    pub(crate) fn before_answer(self, idle: Duration) -> CompletionError {
        match self {
            ClientError::Connect(reason) => CompletionError::Refused(reason),
            ClientError::NotTaken => CompletionError::NotTaken(NOT_TAKEN.into()),
            ClientError::Idle => CompletionError::Stalled { idle, partial: String::new() },
            ClientError::Broken(reason) => CompletionError::Broken(reason),
        }
    }

    /// The same in the middle of an answer.
    pub(crate) fn within_answer(self, idle: Duration) -> CompletionError {
        let cut = |reason| CompletionError::Cut { reason, partial: String::new() };
        match self {
            ClientError::Connect(reason) | ClientError::Broken(reason) => cut(reason),
            ClientError::NotTaken => cut(NOT_TAKEN.into()),
            ClientError::Idle => CompletionError::Stalled { idle, partial: String::new() },
        }
    }
}

/// An answer whose body is still on its way.
pub(crate) struct StreamingResponse {
    response: Response<Incoming>,
    idle: Duration,
    connection: Connection,
    goes_back_to: IdleConnections,
}

impl Client {
    /// For the server at `endpoint`, through the system's proxy unless it is on this machine.
    ///
    /// # Errors
    /// If the system's certificates cannot be used.
    pub(crate) fn new(endpoint: &Endpoint, timeouts: Timeouts) -> Result<Client, BoxError> {
        let url = endpoint.url();
        let uri = without_credentials(&url.parse()?)?;
        let proxy = if endpoint.is_loopback() { None } else { Matcher::from_system().intercept(&uri) };
        let mut connect = HttpConnector::new();
        connect.enforce_http(false);
        connect.set_nodelay(true);
        connect.set_connect_timeout(Some(timeouts.connect));
        connect.set_keepalive(Some(KEEPALIVE));
        connect.set_keepalive_interval(Some(KEEPALIVE));
        connect.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        connect.set_tcp_user_timeout(Some(UNCONFIRMED));
        let is_encrypted = endpoint.is_encrypted() || proxy.as_ref().is_some_and(|proxy| is_https(proxy.uri()));
        let headers = headers(&url, &uri, endpoint.key(), proxy.as_ref())?;
        Ok(Client { uri, headers, connect, tls: Arc::new(tls(is_encrypted)?), proxy, timeouts, idle: IdleConnections::default() })
    }

    /// POSTs `body` as JSON, for the session of `affinity`. An HTTP status is not an error here, and no redirect is followed: that could carry the key and the
    /// prompt elsewhere.
    pub(crate) async fn post(&self, body: Vec<u8>, affinity: Option<&Affinity>) -> Result<StreamingResponse, ClientError> {
        let idle = self.timeouts.idle;
        timeout(idle, self.send(body.into(), affinity)).await.unwrap_or(Err(ClientError::Idle))
    }

    async fn send(&self, body: Bytes, affinity: Option<&Affinity>) -> Result<StreamingResponse, ClientError> {
        let broken = |error: hyper::Error| ClientError::Broken(reason(&error));
        if let Some(mut connection) = self.idle.take() {
            // The server may have closed it in this moment, and has heard nothing then.
            if let Ok(response) = connection.sender.send_request(self.request(body.clone(), affinity)).await {
                return Ok(self.streaming(response, connection));
            }
        }
        let io = match timeout(self.timeouts.connect, self.connect()).await {
            Ok(io) => io.map_err(|error| ClientError::Connect(reason(&*error)))?,
            Err(_) => return Err(ClientError::NotTaken),
        };
        let (sender, connection) = http1::Builder::new().read_buf_exact_size(Some(READ)).handshake(io).await.map_err(broken)?;
        let mut connection = Connection::new(sender, connection);
        let response = connection.sender.send_request(self.request(body, affinity)).await.map_err(broken)?;
        Ok(self.streaming(response, connection))
    }

    fn streaming(&self, response: Response<Incoming>, connection: Connection) -> StreamingResponse {
        StreamingResponse { response, idle: self.timeouts.idle, connection, goes_back_to: self.idle.clone() }
    }

    async fn connect(&self) -> Result<Box<dyn Io>, BoxError> {
        let mut connect = HttpsConnector::from((self.connect.clone(), self.tls.clone()));
        Ok(match &self.proxy {
            None => Box::new(connect.call(self.uri.clone()).await?),
            Some(proxy) if !is_https(&self.uri) => Box::new(connect.call(proxy.uri().clone()).await?),
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), connect).with_headers(user_agent());
                if let Some(credentials) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                Box::new(HttpsConnector::from((tunnel, self.tls.clone())).call(self.uri.clone()).await?)
            }
        })
    }

    fn request(&self, body: Bytes, affinity: Option<&Affinity>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = hyper::Method::POST;
        *request.headers_mut() = self.headers.clone();
        if let Some(Ok(value)) = affinity.map(|affinity| HeaderValue::from_str(affinity.as_str())) {
            request.headers_mut().insert(affinity::HEADER, value);
        }
        *request.uri_mut() = match &self.proxy {
            Some(_) if !is_https(&self.uri) => self.uri.clone(),
            _ => self.uri.path_and_query().cloned().map(Uri::from).unwrap_or_default(),
        };
        request
    }
}

impl StreamingResponse {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(crate) fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.response.headers().get(name)
    }

    /// The next piece of the body, or none at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match timeout(self.idle, self.response.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(Some(Err(error))) => return Err(ClientError::Broken(reason(&error))),
                Err(_) => return Err(ClientError::Idle),
            }
        }
    }

    /// The answer has ended: the connection is kept for the next question if nothing more of this one comes.
    pub(crate) fn give_back(mut self) {
        let now = pin!(self.response.frame()).poll(&mut Context::from_waker(Waker::noop()));
        match now {
            Poll::Ready(None) => self.goes_back_to.put(self.connection),
            Poll::Ready(Some(_)) => {}
            Poll::Pending => drop(tokio::spawn(async move {
                if let Ok(None) = timeout(END, self.response.frame()).await {
                    self.goes_back_to.put(self.connection);
                }
            })),
        }
    }
}

/// A connection, direct or through a proxy, with TLS or without.
trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

/// Trusts what the system trusts.
fn tls(is_encrypted: bool) -> Result<ClientConfig, BoxError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(match is_encrypted {
        true => config.with_platform_verifier()?.with_no_client_auth(),
        // The system's certificates take memory and time.
        false => config.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    })
}

fn headers(url: &str, uri: &Uri, key: Option<&str>, proxy: Option<&Intercept>) -> Result<HeaderMap, BoxError> {
    let mut headers = user_agent();
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HOST, uri.authority().map(|authority| authority.as_str()).unwrap_or_default().parse()?);
    // The matcher decodes and encodes `user:password@` of any address.
    let own = Matcher::builder().all(url).build().intercept(uri);
    if let Some(credentials) = own.as_ref().and_then(Intercept::basic_auth) {
        headers.insert(AUTHORIZATION, credentials.clone());
    }
    if let Some(key) = key {
        headers.append(AUTHORIZATION, format!("Bearer {key}").parse()?);
    }
    if let Some(credentials) = proxy.and_then(Intercept::basic_auth).filter(|_| !is_https(uri)) {
        headers.insert(PROXY_AUTHORIZATION, credentials.clone());
    }
    Ok(headers)
}

fn user_agent() -> HeaderMap {
    let name = HeaderValue::from_static(concat!("claude-failover/", env!("CARGO_PKG_VERSION")));
    HeaderMap::from_iter([(USER_AGENT, name)])
}

fn without_credentials(uri: &Uri) -> Result<Uri, BoxError> {
    let mut parts = uri.clone().into_parts();
    let authority = parts.authority.as_ref().map(|authority| authority.as_str()).unwrap_or_default();
    parts.authority = Some(authority.rsplit('@').next().unwrap_or_default().parse()?);
    Ok(Uri::from_parts(parts)?)
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// The innermost cause: the outer ones say only in which step it happened.
fn reason(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(error) => plain(error).to_string(),
        None => cause.to_string(),
    }
}
