//! The page in the user's browser, and whether it is there already.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::context::Context;
use crate::dashboard::NAME;
use crate::dashboard::api::PROGRAM;
use crate::error::warn;
use crate::http_server::HEALTH;
use crate::shown::shown;

/// How long a dashboard may take to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// The longest answer that is read, in bytes.
const MOST_BYTES: u64 = 16 << 10;

/// By macOS' and freedesktop.org's programs for that.
pub(super) fn in_browser(context: &Context, address: &str) {
    let name = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let Some(program) = context.program_on_path(name) else {
        return warn(NAME, &shown!("`{name}` is not on PATH: open {address} in your browser"));
    };
    let mut command = Command::new(program);
    command.arg(address).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        thread::spawn(move || child.wait());
    }
}

/// Whether a dashboard of this user's answers at the port.
pub(super) fn is_dashboard(port: u16) -> bool {
    let program = format!("\"program\":\"{PROGRAM}\"");
    let says =
        |path: &str, what: &str| ask(port, path).is_some_and(|reply| reply.starts_with("HTTP/1.1 200 ") && reply.contains(what));
    says(HEALTH, &program) && says("/", "<!doctype html>")
}

fn ask(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut reply = Vec::new();
    // The page may be longer.
    let _ = stream.take(MOST_BYTES).read_to_end(&mut reply);
    Some(String::from_utf8_lossy(&reply).into_owned())
}
