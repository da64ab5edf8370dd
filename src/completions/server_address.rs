//! Which server an address leads to, by whatever name.

use std::net::IpAddr;

use ureq::http::Uri;

/// Host and port: two addresses of one server are equal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    /// In lower case; [`HERE`] for all that means this machine.
    host: String,
    pub port: u16,
}

const HERE: &str = "localhost";

impl ServerAddress {
    /// None if it is no `http://` or `https://` address.
    pub(crate) fn parse(url: &str) -> Option<ServerAddress> {
        let uri: Uri = url.parse().ok()?;
        let default = match uri.scheme_str()? {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        (!host.is_empty()).then(|| ServerAddress { host: canonical(host), port: uri.port_u16().unwrap_or(default) })
    }

    pub(crate) fn is_here(&self) -> bool {
        self.host == HERE
    }
}

/// A server that listens on all addresses is asked by `0.0.0.0`, too: Ollama says so of itself.
fn canonical(host: String) -> String {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) if address.is_unspecified() || ["127.0.0.1", "::1"].contains(&&*address.to_string()) => HERE.into(),
        Ok(address) => address.to_string(),
        Err(_) => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_by_several_names() {
        let table: [(&str, &[&str], &[&str]); 3] = [
            (
                "http://127.0.0.1:11434",
                &[
                    "http://localhost:11434",
                    "http://LOCALHOST.:11434/",
                    "http://[::1]:11434/v1/chat/completions",
                    "http://[::ffff:127.0.0.1]:11434",
                    "http://0.0.0.0:11434",
                    "https://user:key@localhost:11434/v1?x#y",
                ],
                &["http://127.0.0.1", "http://127.0.0.1:1143", "http://127.0.0.2:11434", "http://localhost.example:11434"],
            ),
            ("https://models.example", &["https://MODELS.example:443/v1"], &["http://models.example", "https://example"]),
            ("http://[2001:db8::1]:80", &["http://[2001:0db8:0::1]/v1"], &["http://[2001:db8::2]"]),
        ];
        for (url, same, others) in table {
            let server = ServerAddress::parse(url).unwrap();
            assert!(same.iter().all(|url| ServerAddress::parse(url).unwrap() == server), "{url}");
            assert!(others.iter().all(|url| ServerAddress::parse(url).unwrap() != server), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_server() {
        for text in [
            "",
            "x",
            "localhost:11434",
            "127.0.0.1:11434",
            "ftp://localhost",
            "http://",
            "http:///v1",
            "http://:80",
            "http://a b",
        ] {
            assert_eq!(ServerAddress::parse(text), None, "{text}");
        }
    }
}
