use super::*;

#[test]
fn error_bodies_of_every_shape() {
    let table = [
        (r#"{"error": "generation thread died"}"#, "HTTP 500: generation thread died"),
        (r#"{"error":{"code":400,"message":"too\n long","type":"x"}}"#, "HTTP 500: too long"),
        (r#"{"message":"m"}"#, "HTTP 500: m"),
        (r#"{"detail":"Not Found"}"#, "HTTP 500: Not Found"),
        (r#"[{"error":{"message":"m"}}]"#, "HTTP 500: m"),
        (r#"["m"]"#, r#"HTTP 500: "m""#),
        ("[[[[]]]]", "HTTP 500: []"),
        (r#"{"detail":[{"msg":"m"}]}"#, r#"HTTP 500: {"detail":[{"msg":"m"}]}"#),
        ("Not Found", "HTTP 500: Not Found"),
        ("<html><head><title>502</title></head><body>Bad <b>Gateway</b></body></html>", "HTTP 500: 502 Bad Gateway"),
        ("", "HTTP 500 and no reason"),
        ("null", "HTTP 500 and no reason"),
        ("\u{1b}[31mred", "HTTP 500: [31mred"),
    ];
    for (body, expected) in table {
        assert_eq!(error_line(500, body), expected, "{body:?}");
    }
}

#[test]
fn the_path_may_be_left_out() {
    let completions = "http://h:1/v1/chat/completions";
    for url in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", completions] {
        assert_eq!(with_default_path(url), completions);
    }
    for url in ["http://h:1/other", "http://h:1/v1/chat/completions/", "http://h:1/v1?a=b"] {
        assert_eq!(with_default_path(url), url);
    }
}

#[test]
fn urls_are_shown_without_secrets() {
    assert_eq!(without_secrets("http://me:pw@h:1/v1/chat?key=x"), "http://h:1/v1/chat");
    assert_eq!(without_secrets("https://h"), "https://h");
    assert_eq!(without_secrets("me:pw@h"), "h");
    assert_eq!(without_secrets("http://me:s3/cret@h:1/v1"), "http://h:1/v1");
    assert_eq!(without_secrets("me:s3?cret@h"), "h");
}
