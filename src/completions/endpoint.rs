//! Where the local server is and how it is spoken to.

use std::ffi::OsStr;
use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::completions::affinity::{self, Affinity};
use crate::completions::server_address::ServerAddress;
use crate::context::Context;
use crate::error::Result;
use crate::settings::url::{without_default_path, without_secrets};
use crate::settings::{LinkNumber, Setting};
use crate::shown::Shown;

/// The longest error body that is read, in bytes.
const MAX_ERROR_BODY: u64 = 64 << 10;

/// The chat completions URL and what belongs to it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// Whose variables it is made of.
    link: LinkNumber,
    uri: Uri,
    key: Option<String>,
}

/// How long to wait for a server, in each of its phases.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Between two bytes, of the request too, and before the first one.
    pub idle: Duration,
    /// On the whole, if there is a limit.
    pub whole: Option<Duration>,
}

impl Endpoint {
    /// The endpoint of a link, with that link's key: of its `LOCAL_LLM_URL`, or for the first of `LLM_PORT` on this machine.
    ///
    /// # Errors
    /// If the URL, the port or the key cannot be used.
    pub(crate) fn of_link(context: &Context, link: LinkNumber) -> Result<Endpoint> {
        let uri = match context.settings.url(link)? {
            Some(uri) => uri,
            None => of_port(context.settings.port()?),
        };
        Ok(Endpoint { link, uri, key: context.settings.api_key(link)? })
    }

    /// The endpoint at `url`, with this key.
    ///
    /// # Errors
    /// If the URL cannot be used.
    pub(crate) fn at(link: LinkNumber, url: &str, key: Option<String>) -> Result<Endpoint> {
        let uri = Setting::Url.of(link).url(OsStr::new(url))?;
        Ok(Endpoint { link, uri, key })
    }

    /// The number of the link that it belongs to.
    pub(crate) fn link(&self) -> LinkNumber {
        self.link
    }

    /// The name of this link's variable, for messages.
    pub(crate) fn variable(&self, setting: Setting) -> String {
        setting.of(self.link).name()
    }

    /// A text of ours that names the first link's variables, with this one's own names.
    pub(crate) fn with_own_names(&self, text: String) -> String {
        let own_name = |text: String, setting: Setting| text.replace(setting.name(), &self.variable(setting));
        [Setting::Url, Setting::Model, Setting::Window].into_iter().fold(text, own_name)
    }

    /// The port, given or implied.
    pub(crate) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }

    /// The server that it is on.
    pub(crate) fn server_address(&self) -> Option<ServerAddress> {
        ServerAddress::parse(&self.url())
    }

    /// The host as a name or an address, without brackets.
    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// Whether it takes TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub(crate) fn url(&self) -> String {
        self.uri.to_string()
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
        address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
            || host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
    }

    /// Whether others on the way can read what is asked and answered.
    pub(crate) fn is_open_to_the_net(&self) -> bool {
        !self.is_encrypted() && !self.is_loopback()
    }

    /// The address for messages: without user, password and query.
    pub(crate) fn shown(&self) -> Shown {
        Shown::line(without_secrets(&self.uri.to_string()))
    }

    /// The same, without the path that everyone means: an address that `LOCAL_LLM_URL` takes as well.
    pub(crate) fn place(&self) -> Shown {
        Shown::line(without_default_path(&self.shown()))
    }

    /// What the server says, without the key, which some servers repeat to who has the wrong one.
    pub(crate) fn without_key(&self, text: String) -> String {
        match &self.key {
            Some(key) => text.replace(key, "…"),
            None => text,
        }
    }

    /// POSTs `body` to the endpoint as JSON, for the session of `affinity`.
    ///
    /// # Errors
    /// Those of the transport; an HTTP status is not an error here.
    pub(crate) fn post(
        &self,
        body: &[u8],
        affinity: Option<&Affinity>,
        timeouts: Timeouts,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        self.post_to(&self.uri.to_string(), body, affinity, timeouts)
    }

    /// POSTs `body` beside the API's root, where servers have addresses of their own.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) fn post_at_root(
        &self,
        path: &str,
        body: &[u8],
        timeouts: Timeouts,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        self.post_to(&self.address(&self.at_root(path)), body, None, timeouts)
    }

    /// DELETEs beside the API's root, with a body.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) fn delete_at_root(
        &self,
        path: &str,
        body: &[u8],
        timeouts: Timeouts,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let request = self.agent(timeouts).delete(self.address(&self.at_root(path))).force_send_body();
        let request = request.header("content-type", "application/json");
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")).send(body),
            None => request.send(body),
        }
    }

    fn post_to(
        &self,
        url: &str,
        body: &[u8],
        affinity: Option<&Affinity>,
        timeouts: Timeouts,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let mut request = self.agent(timeouts).post(url).header("content-type", "application/json");
        if let Some(affinity) = affinity {
            request = request.header(affinity::HEADER, affinity.as_str());
        }
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")).send(body),
            None => request.send(body),
        }
    }

    /// GETs `/health`, which is beside the API's root.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) fn health(&self, timeouts: Timeouts) -> std::result::Result<Response<Body>, ureq::Error> {
        self.get_at_root("/health", timeouts)
    }

    /// GETs what is beside the API's root.
    ///
    /// # Errors
    /// Those of the transport.
    pub(crate) fn get_at_root(&self, path: &str, timeouts: Timeouts) -> std::result::Result<Response<Body>, ureq::Error> {
        self.get(&self.at_root(path), timeouts)
    }

    fn at_root(&self, path: &str) -> String {
        format!("{}{path}", self.api().trim_end_matches("/v1"))
    }

    /// # Errors
    /// Those of the transport.
    pub(crate) fn models(&self, timeouts: Timeouts) -> std::result::Result<Response<Body>, ureq::Error> {
        self.get(&format!("{}/models", self.api()), timeouts)
    }

    fn get(&self, path: &str, timeouts: Timeouts) -> std::result::Result<Response<Body>, ureq::Error> {
        let request = self.agent(timeouts).get(self.address(path));
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")).call(),
            None => request.call(),
        }
    }

    fn address(&self, path: &str) -> String {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let authority = self.uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        format!("{scheme}://{authority}{path}")
    }

    /// The path before `/chat/completions`: usually `/v1`.
    fn api(&self) -> &str {
        let path = self.uri.path().trim_end_matches('/');
        path.strip_suffix("/chat/completions").unwrap_or(path)
    }

    /// An agent that follows no redirect, since that could carry the key and the prompt elsewhere, and asks no proxy
    /// for what is on this machine.
    fn agent(&self, timeouts: Timeouts) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .timeout_connect(Some(timeouts.connect))
            .timeout_per_read(Some(timeouts.idle))
            .timeout_per_write(Some(timeouts.idle))
            .timeout_global(timeouts.whole)
            .user_agent(concat!("claude-failover/", env!("CARGO_PKG_VERSION")));
        if self.is_loopback() { config.proxy(None).build().into() } else { config.build().into() }
    }
}

/// The address on this machine.
fn of_port(port: u16) -> Uri {
    let builder = Uri::builder().scheme("http").authority(format!("127.0.0.1:{port}")).path_and_query("/v1/chat/completions");
    builder.build().unwrap_or_default()
}

/// The body of an answer that is not a stream, as text, however long or broken it is.
pub(crate) fn short_body(response: &mut Response<Body>) -> String {
    let mut bytes = Vec::new();
    let _ = response.body_mut().as_reader().take(MAX_ERROR_BODY).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
