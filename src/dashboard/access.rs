//! Who is let in: this user's programs and the page itself, and no other web page.
//!
//! A web page of anybody's can have a browser send requests to this machine. So the host must be this machine (DNS rebinding), and what the
//! browser says of the page that asks must be this origin. Other servers on this machine are the same site to a browser, and get each
//! other's cookies: so the page's token is none of them, and the cookie is another secret beside it.

use hyper::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, ORIGIN};
use hyper::{Method, Request, StatusCode};
use uuid::Uuid;

use crate::dashboard::peer;
use crate::dashboard::reply::{self, Refusal};
use crate::http_server::Peer;
use crate::http_server::host::is_loopback;

const TOKEN: &str = "x-dashboard-token";

const RELOAD: &str = "this page is of a dashboard that has ended: reload it";

pub(super) struct Access {
    port: u16,
    /// In the page, and with each request that changes something.
    pub token: String,
    /// In a cookie that no script reads.
    secret: String,
}

impl Access {
    pub(super) fn new(port: u16) -> Access {
        let random = || Uuid::new_v4().simple().to_string();
        Access { port, token: random(), secret: random() }
    }

    /// A browser has one cookie of a name for all ports of this machine.
    pub(super) fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), self.secret)
    }

    fn cookie_name(&self) -> String {
        format!("llm-failover-{}", self.port)
    }

    /// For every request.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        if !is_loopback(request, self.port) {
            return Err(forbidden("this dashboard is for programs on this machine alone"));
        }
        let said = |name: &str| text(request.headers(), name);
        // Nothing of a page that somebody follows a link to can be read by the page that has the link.
        let is_visit =
            request.method() == Method::GET && request.uri().path() == "/" && said("sec-fetch-mode") == Some("navigate");
        match said("sec-fetch-site") {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) if is_visit && said("sec-fetch-dest") == Some("document") => Ok(()),
            Some(_) => Err(forbidden("the dashboard is not for other web pages")),
        }
    }

    /// For what is not for other accounts on this machine, whose programs reach loopback as well.
    pub(super) fn check_account<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        match request.extensions().get::<Peer>() {
            Some(peer) if !peer::is_ours(peer.0, self.port) => {
                Err(forbidden("this dashboard is another account's; `llm-failover dashboard --port 0` is your own"))
            }
            _ => Ok(()),
        }
    }

    /// For what changes something.
    pub(super) fn check_change<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        let own = text(headers, HOST.as_str()).map(|host| format!("http://{host}"));
        // Every browser sends it with a POST; what sends none is no browser, and has no cookies of one.
        let is_own = headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().ok().map(str::to_string) == own);
        if !is_own || text(headers, "sec-fetch-site") == Some("none") {
            return Err(forbidden("the dashboard is not for other web pages"));
        }
        if text(headers, TOKEN) != Some(&self.token) || !self.has_cookie(headers) {
            return Err(forbidden(RELOAD));
        }
        let media_type = text(headers, CONTENT_TYPE.as_str()).and_then(|value| value.split(';').next()).map(str::trim);
        if !media_type.is_some_and(|value| value.eq_ignore_ascii_case(reply::JSON)) {
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
        }
        Ok(())
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let name = self.cookie_name();
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
        cookies.filter_map(|cookie| cookie.trim().split_once('=')).any(|(key, value)| key == name && value == self.secret)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn forbidden(message: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, message)
}
