//! Addresses of the hub and of where it redirects.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::settings::url::without_secrets;
use crate::shown::{Shown, shown};

/// Scheme, host and port.
pub(super) fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_string();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Where a redirect leads. None leads from an encrypted connection to an open one.
pub(super) fn follow(from: &str, location: &str) -> Result<String, Shown> {
    let scheme = from.split("://").next().unwrap_or_default();
    let path_at = from.find("://").and_then(|at| from[at + 3..].find(['/', '?', '#']).map(|path| at + 3 + path));
    let root = &from[..path_at.unwrap_or(from.len())];
    let to = if location.contains("://") {
        location.to_string()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{root}{location}")
    } else {
        let folder = from.split(['?', '#']).next().unwrap_or(from).rfind('/').filter(|at| *at > root.len());
        format!("{}/{location}", &from[..folder.unwrap_or(root.len())])
    };
    let is_weaker = scheme == "https" && !to.starts_with("https://");
    if is_weaker { Err(shown!("{} leads to an address without TLS", without_secrets(from))) } else { Ok(to) }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn is_open_to_the_net(url: &str) -> bool {
    origin(url).is_none_or(|(scheme, host, _)| scheme != "https" && !is_loopback(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from = "https://hub.example/org/name/resolve/main/a?b=c";
        let table = [
            ("https://cdn.example/x?y=/z", Some("https://cdn.example/x?y=/z")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            ("/api/x", Some("https://hub.example/api/x")),
            ("x", Some("https://hub.example/org/name/resolve/main/x")),
            ("http://hub.example/x", None),
            ("ftp://hub.example/x", None),
        ];
        for (location, expected) in table {
            assert_eq!(follow(from, location).ok().as_deref(), expected, "{location}");
        }
        assert_eq!(follow("http://127.0.0.1:1", "/x").ok().as_deref(), Some("http://127.0.0.1:1/x"));
        assert_eq!(follow("http://127.0.0.1:1", "x").ok().as_deref(), Some("http://127.0.0.1:1/x"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hub = origin("https://hub.example");
        for same in ["https://hub.example/a/b", "https://HUB.example:443/", "https://hub.example?x"] {
            assert_eq!(origin(same), hub, "{same}");
        }
        for other in ["http://hub.example", "https://hub.example:444", "https://hub.example.evil", "https://x@evil/hub.example"] {
            assert_ne!(origin(other), hub, "{other}");
        }
    }

    #[test]
    fn a_token_goes_through_no_open_net() {
        for (url, is_open) in [
            ("https://hub.example", false),
            ("http://hub.example", true),
            ("http://127.0.0.1:1", false),
            ("http://[::1]:1", false),
            ("http://localhost.evil", true),
        ] {
            assert_eq!(is_open_to_the_net(url), is_open, "{url}");
        }
    }
}
