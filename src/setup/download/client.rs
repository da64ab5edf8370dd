//! The hub's HTTP. Large files come from another host, to which the hub redirects: it is asked without the credential.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::completions::failure::transport_line;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::hub_cache::HubCache;
use crate::read_file::read_regular;
use crate::settings::url::without_secrets;
use crate::setup::download::address::{follow, is_loopback, is_open_to_the_net, origin};
use crate::shown::{Shown, shown};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long nothing may come before a connection counts as broken.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// More redirects than these lead in a circle.
const MOST_HOPS: usize = 10;

/// The longest token, in bytes.
const MOST_TOKEN: u64 = 4096;

/// By how much of a file its rate is told, and for how long it is looked at.
const PROBE_BYTES: u64 = 8 << 20;
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Of less than this the rate would say nothing, in bytes.
const LEAST_PROBED: u64 = 32 << 20;

pub(super) struct Client {
    endpoint: String,
    token: Option<String>,
    idle: Duration,
}

/// Why there is no answer.
pub(super) enum Fault {
    /// The hub, or the host that it leads to, cannot be reached, or broke off.
    Network(Shown),
    /// With the hub's code for it, if there is one.
    Status(StatusCode, Option<String>),
    Other(Shown),
}

/// An answer, after the redirects.
pub(super) struct Answer {
    pub response: Response<Body>,
    /// What the hub itself has said of the file.
    pub etag: Option<String>,
    pub size: Option<u64>,
}

impl Client {
    pub(super) fn new(context: &Context) -> Result<Client> {
        let endpoint = context.env("HF_ENDPOINT").map(|value| value.to_string_lossy().trim().trim_end_matches('/').to_string());
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.into());
        let uri: Option<Uri> = endpoint.parse().ok();
        if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()) {
            return Err(Error::Setup {
                reason: shown!("HF_ENDPOINT is `{}`, which is no http:// or https:// address", without_secrets(&endpoint)),
                mend: "set it to the hub's address, or not at all".into(),
            });
        }
        let token = token(context).filter(|_| !is_open_to_the_net(&endpoint));
        let idle = context.env("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|seconds| seconds.to_str()?.trim().parse().ok());
        Ok(Client { endpoint, token, idle: idle.filter(|seconds| *seconds > 0).map_or(IDLE_LIMIT, Duration::from_secs) })
    }

    #[cfg(test)]
    pub(super) fn at(endpoint: &str, token: Option<&str>) -> Client {
        Client { endpoint: endpoint.into(), token: token.map(str::to_string), idle: Duration::from_secs(10) }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn host(&self) -> Shown {
        Shown::line(self.endpoint.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_string)).unwrap_or_default())
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn get(&self, url: &str, from: u64) -> std::result::Result<Answer, Fault> {
        self.ask(&Method::GET, url, (from > 0).then(|| format!("bytes={from}-")))
    }

    pub(super) fn head(&self, url: &str) -> std::result::Result<Answer, Fault> {
        self.ask(&Method::HEAD, url, None)
    }

    /// The bytes a second at which a file's beginning comes. None if it is too short, or does not come.
    pub(super) fn rate(&self, url: &str, size: u64) -> Option<f64> {
        if size < LEAST_PROBED {
            return None;
        }
        let range = format!("bytes=0-{}", PROBE_BYTES - 1);
        let mut answer = self.ask(&Method::GET, url, Some(range)).ok()?;
        let (begun, mut buffer, mut came) = (Instant::now(), vec![0; 64 << 10], 0_u32);
        let mut body = answer.response.body_mut().as_reader();
        while begun.elapsed() < PROBE_LIMIT && u64::from(came) < PROBE_BYTES {
            match body.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => came += u32::try_from(count).ok()?,
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        (came > 0 && seconds > 0.0).then(|| f64::from(came) / seconds)
    }

    fn ask(&self, method: &Method, url: &str, range: Option<String>) -> std::result::Result<Answer, Fault> {
        let (mut url, mut etag, mut size) = (url.to_string(), None, None);
        for _ in 0..MOST_HOPS {
            let is_hub = origin(&url) == origin(&self.endpoint);
            let response = self.ask_once(method, &url, range.as_deref(), is_hub)?;
            let (status, headers) = (response.status(), response.headers());
            if is_hub {
                // The ETag of a redirect may be its own.
                let its_etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag").filter(|_| status.is_success()));
                etag = its_etag.map(normal_etag).or(etag);
                size = text(headers, "x-linked-size").and_then(|size| size.parse().ok()).or(size);
            }
            match text(headers, "location").filter(|_| status.is_redirection()) {
                Some(location) => url = follow(&url, location).map_err(Fault::Other)?,
                None if status.is_success() => return Ok(Answer { response, etag, size }),
                None => return Err(Fault::Status(status, text(headers, "x-error-code").map(str::to_string))),
            }
        }
        Err(Fault::Other(shown!("{} redirects in a circle", self.host())))
    }

    fn ask_once(
        &self,
        method: &Method,
        url: &str,
        range: Option<&str>,
        is_hub: bool,
    ) -> std::result::Result<Response<Body>, Fault> {
        let mut request = Request::builder().method(method).uri(url).header("accept-encoding", "identity");
        if let Some(range) = range {
            request = request.header("range", range);
        }
        if let Some(token) = self.token.as_ref().filter(|_| is_hub) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(()).map_err(|error| Fault::Other(Shown::line(error)))?;
        let host = request.uri().host().unwrap_or_default().to_string();
        self.agent(&host).run(request).map_err(|error| match error {
            ureq::Error::Timeout(_) => Fault::Network(shown!("{host} has not answered in time")),
            error => Fault::Network(shown!("{host}: {}", transport_line(&error))),
        })
    }

    fn agent(&self, host: &str) -> Agent {
        agent(host, self.idle)
    }
}

/// Whether anything answers there, however it answers.
///
/// # Errors
/// Why nothing does.
pub(crate) fn reach(url: &str) -> std::result::Result<(), Shown> {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_string)).unwrap_or_default();
    match agent(&host, CONNECT_LIMIT).get(url).call() {
        Ok(_) => Ok(()),
        Err(ureq::Error::Timeout(_)) => Err(shown!("{host} has not answered in time")),
        Err(error) => Err(shown!("{host}: {}", transport_line(&error))),
    }
}

fn agent(host: &str, idle: Duration) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .timeout_connect(Some(CONNECT_LIMIT.min(idle)))
        .timeout_per_read(Some(idle))
        .timeout_per_write(Some(idle))
        .user_agent(concat!("claude-failover/", env!("CARGO_PKG_VERSION")));
    // No proxy is asked for what is on this machine.
    if is_loopback(host) { config.proxy(None).build().into() } else { config.build().into() }
}

/// `HF_TOKEN`, or what the hub's login has kept, unless the user wants it to be used only where they say so.
fn token(context: &Context) -> Option<String> {
    if context.env("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| super::is_true(&value.to_string_lossy())) {
        return None;
    }
    let given = context.env("HF_TOKEN").or_else(|| context.env("HUGGING_FACE_HUB_TOKEN"));
    let kept = || {
        let file = context.env("HF_TOKEN_PATH").map(|path| context.expand_home(path));
        let file: PathBuf = file.or_else(|| Some(HubCache::home(context)?.join("token")))?;
        String::from_utf8(read_regular(&file, MOST_TOKEN).ok()?).ok()
    };
    let token = given.and_then(|token| token.into_string().ok()).or_else(kept)?.trim().to_string();
    let is_header = token.bytes().all(|byte| byte.is_ascii_graphic());
    (is_header && !token.is_empty()).then_some(token)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Without the marks of a weak one, and quotes.
fn normal_etag(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_string()
}
