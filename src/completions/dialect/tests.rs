use super::*;

#[test]
fn arguments_of_servers() {
    let object = |text: &str| read_arguments(text).map(|map| Value::from(map).to_string());
    assert_eq!(object("{\"a\": 1}"), Ok("{\"a\":1}".into()));
    assert_eq!(object("\"{\\\"a\\\":1}\""), Ok("{\"a\":1}".into()));
    assert_eq!(object(""), Ok("{}".into()));
    assert_eq!(object("null"), Ok("{}".into()));
    for wrong in ["{\"a\": ", "[1]", "7", "{\"a\":1} x", "oops", "\"a\""] {
        assert_eq!(object(wrong).map_err(|_| ()), Err(()), "{wrong}");
    }
}
