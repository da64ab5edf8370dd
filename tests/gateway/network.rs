//! The way to a server that is not on this machine: encryption, proxies, and the end of a connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::{Gateway, PATIENCE, question};
use crate::support::stub::{Stub, completion, json as json_answer, piece, sse};

/// A name that no resolver knows.
const HOST: &str = "models.example";

/// How soon a connection that nobody needs must be closed.
const AT_ONCE: Duration = Duration::from_secs(5);

type Handler = dyn Fn(&str, &mut dyn ReadWrite) + Send + Sync;

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A server that speaks TLS, with a certificate that only who is told of it trusts.
struct TlsServer {
    port: u16,
    _dir: tempfile::TempDir,
    certificate: PathBuf,
}

impl TlsServer {
    /// Hands the head of each request, whose body has come too, and the connection to `handler`.
    fn new(handler: impl Fn(&str, &mut dyn ReadWrite) + Send + Sync + 'static) -> TlsServer {
        let certified = rcgen::generate_simple_self_signed([HOST.to_string(), "localhost".to_string()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let certificate = dir.path().join("certificate.pem");
        std::fs::write(&certificate, certified.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key.into()).unwrap();
        let (config, handler): (_, Arc<Handler>) = (Arc::new(config), Arc::new(handler));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, handler) = (config.clone(), handler.clone());
                thread::spawn(move || {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    if let Ok(head) = request_head(&mut stream) {
                        handler(&head, &mut stream);
                    }
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        TlsServer { port, _dir: dir, certificate }
    }

    /// One that answers `ok`, and what heads it has seen.
    fn answering() -> (TlsServer, Arc<Mutex<Vec<String>>>) {
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = heads.clone();
        let server = TlsServer::new(move |head, stream| {
            seen.lock().unwrap().push(head.to_string());
            let is_chat = head.starts_with("POST ");
            let _ = stream.write_all(if is_chat { sse(&completion("ok")) } else { json_answer(404, "{}") }.as_bytes());
        });
        (server, heads)
    }

    fn certificate(&self) -> &str {
        self.certificate.to_str().unwrap()
    }
}

/// The first line and the headers of a request, in lower case, after its body was read.
fn request_head(stream: &mut impl Read) -> io::Result<String> {
    let mut seen = Vec::new();
    let end = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        seen.push(byte[0]);
        if seen.ends_with(b"\r\n\r\n") {
            break seen.len();
        }
    };
    let head = String::from_utf8_lossy(&seen[..end]).replace("\r\n", "\n");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    stream.read_exact(&mut vec![0; length])?;
    Ok(head)
}

fn https(host: &str, port: u16) -> String {
    format!("https://{host}:{port}/v1/chat/completions")
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (server, heads) = TlsServer::answering();
    let url = https("localhost", server.port);
    let message = format!(
        "no answer from the local server at {url}: invalid peer certificate: UnknownIssuer (SSL_CERT_FILE names the certificate of an authority of your own)"
    );
    let refusal = Gateway::new(&url).refusal(&question("hi"));
    if cfg!(target_os = "linux") {
        assert_eq!(refusal, (503, false, "api_error".into(), message));
    } else {
        assert_eq!((refusal.0, refusal.3.contains("certificate")), (503, true), "{refusal:?}");
    }
    assert_eq!(heads.lock().unwrap().len(), 0, "nothing was asked");
}

/// A certificate is for its names only. The system's verifier takes this variable on Linux alone.
#[cfg(target_os = "linux")]
#[test]
fn an_encrypted_server_is_asked_if_its_certificate_is_trusted() {
    let (server, heads) = TlsServer::answering();
    let trusted = [("SSL_CERT_FILE", server.certificate()), ("LOCAL_LLM_API_KEY", "k3y")];
    let gateway = Gateway::with(&https("localhost", server.port), &trusted);
    assert_eq!(gateway.message(&question("hi"))["content"][0]["text"], "ok");
    let heads = heads.lock().unwrap();
    let chats: Vec<&String> = heads.iter().filter(|head| head.starts_with("POST ")).collect();
    assert_eq!(chats.len(), 2);
    for head in chats {
        assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\n"), "{head}");
        assert!(head.contains(&format!("\nhost: localhost:{}\n", server.port)), "{head}");
        assert!(head.contains("\nauthorization: Bearer k3y\n"), "{head}");
    }
    let (url, port) = (https("127.0.0.1", server.port), server.port);
    let (status, _, _, message) = Gateway::with(&url, &trusted).refusal(&question("hi"));
    let reason = format!("https://127.0.0.1:{port}/v1/chat/completions: invalid peer certificate: ");
    assert!(status == 503 && message.contains(&reason), "{message}");
}

/// Each request whose first line begins so, as a proxy was asked it: the line, the host, the credentials and the name of who asks.
fn asked(proxy: &Stub, method: &str) -> Vec<[String; 4]> {
    let seen = proxy.seen().into_iter().filter(|request| request.line.starts_with(method));
    let header = |request: &crate::support::stub::Request, name| request.header(name).unwrap_or("none").to_string();
    seen.map(|request| {
        let [host, credentials, agent] = ["host", "proxy-authorization", "user-agent"].map(|name| header(&request, name));
        [request.line, host, credentials, agent]
    })
    .collect()
}

fn agent() -> String {
    format!("claude-failover/{}", env!("CARGO_PKG_VERSION"))
}

#[test]
fn a_proxy_gets_the_whole_address_and_its_credentials() {
    for (variable, scheme) in [("HTTP_PROXY", "http://"), ("http_proxy", ""), ("ALL_PROXY", "http://"), ("all_proxy", "http://")]
    {
        let proxy = Stub::new(|request, stream| {
            let answer = if request.is_chat() { sse(&completion("ok")) } else { json_answer(404, "{}") };
            let _ = stream.write_all(answer.as_bytes());
        });
        // `a:b c`, as curl would send it.
        let address = format!("{scheme}a:b%20c@127.0.0.1:{}", proxy.port());
        let settings = [(variable, address.as_str()), ("NO_PROXY", "elsewhere.example")];
        let gateway = Gateway::with(&format!("http://me:pw@{HOST}:81/v1/chat/completions"), &settings);
        assert_eq!(gateway.message(&question("hi"))["content"][0]["text"], "ok", "{variable}");
        let line = format!("POST http://{HOST}:81/v1/chat/completions HTTP/1.1");
        let expected = [line, format!("{HOST}:81"), "Basic YTpiIGM=".into(), agent()];
        assert_eq!(asked(&proxy, "POST"), [expected.clone(), expected], "{variable}");
        assert!(proxy.chats().iter().all(|request| request.header("authorization") == Some("Basic bWU6cHc=")), "{variable}");
    }
}

#[test]
fn an_encrypted_server_is_reached_through_a_tunnel() {
    let (server, heads) = TlsServer::answering();
    let port = server.port;
    let proxy = Stub::new(move |request, near: &mut TcpStream| {
        if request.line.starts_with("CONNECT ") {
            let mut far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            near.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let _ = io::copy(&mut far, near);
        }
    });
    let address = format!("http://a:b@127.0.0.1:{}", proxy.port());
    // The proxy for the other kind of address is not asked.
    let settings = [("HTTPS_PROXY", address.as_str()), ("HTTP_PROXY", "http://127.0.0.1:1")];
    let settings = [settings.as_slice(), &[("SSL_CERT_FILE", server.certificate())]].concat();
    let gateway = Gateway::with(&https(HOST, 444), &settings);
    let reply = gateway.ask(&question("hi"));
    let connect = format!("CONNECT {HOST}:444 HTTP/1.1");
    let tunnels = asked(&proxy, "CONNECT");
    let expected = [connect, format!("{HOST}:444"), "Basic YTpi".into(), agent()];
    assert_eq!(tunnels.last(), Some(&expected), "{tunnels:?}");
    assert_eq!(asked(&proxy, "POST").len(), 0, "the question is for the server alone");
    if cfg!(target_os = "linux") {
        assert_eq!(reply.json()["content"][0]["text"], "ok");
        let heads = heads.lock().unwrap();
        let head = heads.iter().find(|head| head.starts_with("POST ")).unwrap();
        assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\n") && !head.contains("proxy-authorization"), "{head}");
    }
}

#[test]
fn a_proxy_that_refuses_the_tunnel_is_named() {
    let proxy = Stub::new(|_, stream| drop(stream.write_all(json_answer(407, "").as_bytes())));
    let gateway = Gateway::with(&https(HOST, 444), &[("HTTPS_PROXY", &format!("http://127.0.0.1:{}", proxy.port()))]);
    let reason = format!("no answer from the local server at {}: tunnel error: proxy authorization required", https(HOST, 444));
    assert_eq!(gateway.refusal(&question("hi")), (503, false, "api_error".into(), reason));
}

#[test]
fn no_proxy_is_heeded() {
    for (variable, hosts) in [("NO_PROXY", "2130706433,127.0.0.0/8"), ("no_proxy", "elsewhere.example, 2130706433, 127.0.0.1")] {
        let server = Stub::answering("ok");
        let proxy = Stub::raw(json_answer(502, "the proxy was asked"));
        let address = format!("http://127.0.0.1:{}", proxy.port());
        // Not this machine as far as the address tells: 127.0.0.1 as one number.
        let url = format!("http://2130706433:{}/v1/chat/completions", server.port());
        let gateway = Gateway::with(&url, &[("HTTP_PROXY", &address), ("ALL_PROXY", &address), (variable, hosts)]);
        assert_eq!(gateway.message(&question("hi"))["content"][0]["text"], "ok", "{variable}={hosts}");
        assert_eq!((server.chats().len(), proxy.chats().len()), (2, 0), "{variable}={hosts}");
    }
}

/// What ends an answer at the server is that its connection is closed, with TLS or without.
#[test]
fn a_caller_that_leaves_ends_the_servers_connection_at_once() {
    let (begun, has_begun) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    let answer = move |stream: &mut dyn ReadWrite| {
        let _ = stream.write_all(sse(&piece("Hi")).as_bytes());
        let _ = stream.flush();
        begun.send(()).unwrap();
        ended.send(!matches!(stream.read(&mut [0]), Ok(1..))).unwrap();
    };
    let encrypted = answer.clone();
    let plain = Stub::new(move |request, stream| {
        if request.is_chat() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            answer(stream);
        }
    });
    let tls = TlsServer::new(move |head, stream| {
        if head.starts_with("POST ") {
            encrypted(stream);
        }
    });
    let mut gateways = vec![Gateway::new(&plain.url())];
    if cfg!(target_os = "linux") {
        gateways.push(Gateway::with(&https("localhost", tls.port), &[("SSL_CERT_FILE", tls.certificate())]));
    }
    for gateway in &gateways {
        let mut caller = gateway.connect();
        let mut request = question("hi");
        request["stream"] = json!(true);
        caller.send(caller.posting("/v1/messages", request.to_string()));
        has_begun.recv_timeout(PATIENCE).expect("a question");
        assert_eq!(caller.head().0, 200);
        caller.close();
        assert_eq!(has_ended.recv_timeout(AT_ONCE), Ok(true));
    }
}
