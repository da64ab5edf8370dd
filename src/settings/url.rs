//! The address of a local server, as users write it.

use ureq::http::Uri;

/// The address of a chat completions endpoint; none if it is no such address.
pub(super) fn parse(url: &str) -> Option<Uri> {
    let uri: Uri = with_default_path(url).parse().ok()?;
    // A port that is no number would be taken for none.
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let has_host = uri.host().is_some_and(|host| !host.is_empty() && (uri.port_u16().is_some() || authority.ends_with(host)));
    (matches!(uri.scheme_str(), Some("http" | "https")) && has_host).then_some(uri)
}

/// The address with the path that everyone means who gives `http://host:port` or `http://host:port/v1`.
fn with_default_path(url: &str) -> String {
    let base = url.trim_end_matches('/');
    let path = base.split_once("://").map_or("", |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    match path {
        "" => format!("{base}/v1/chat/completions"),
        "v1" => format!("{base}/chat/completions"),
        _ => url.to_string(),
    }
}

/// An address without the path that everyone means, as [`with_default_path`] takes it.
pub(crate) fn without_default_path(url: &str) -> &str {
    let base = url.strip_suffix("/v1/chat/completions");
    base.filter(|base| with_default_path(base) == url).unwrap_or(url)
}

/// Whether both lead to the same endpoint, with the same credentials.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    with_default_path(one.trim()) == with_default_path(other.trim())
}

/// An address for messages: without user, password, query and fragment, even if they are not written as they should be.
pub(crate) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    let place = rest.rsplit('@').next().unwrap_or_default();
    format!("{scheme}{}", place.split(['?', '#']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_may_be_left_out() {
        let completions = "http://h:1/v1/chat/completions";
        for url in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", completions] {
            assert_eq!(with_default_path(url), completions);
        }
        assert_eq!(without_default_path(completions), "http://h:1");
        assert_eq!(without_default_path("http://h:1/other/v1/chat/completions"), "http://h:1/other/v1/chat/completions");
        for url in ["http://h:1/other", "http://h:1/v1/chat/completions/", "http://h:1/v1?a=b"] {
            assert_eq!(with_default_path(url), url);
        }
    }

    #[test]
    fn the_same_endpoint_may_be_written_in_several_ways() {
        let whole = "http://h:1/v1/chat/completions";
        assert!(["http://h:1", "http://h:1/v1/", whole].iter().all(|url| is_same(url, whole) && is_same(whole, url)));
        assert!(["http://h:2", "https://h:1", "http://me@h:1", "http://h:1/other"].iter().all(|url| !is_same(url, whole)));
    }

    #[test]
    fn urls_are_shown_without_secrets() {
        assert_eq!(without_secrets("http://me:pw@h:1/v1/chat?key=x"), "http://h:1/v1/chat");
        assert_eq!(without_secrets("https://h"), "https://h");
        assert_eq!(without_secrets("me:pw@h"), "h");
        assert_eq!(without_secrets("http://me:s3/cret@h:1/v1"), "http://h:1/v1");
        assert_eq!(without_secrets("me:s3?cret@h"), "h");
    }
}
