//! The gateway: the Anthropic Messages API on loopback, answered by the local server's chat completions.
//!
//! It stands between Claude Code and the local model, and never between Claude Code and Anthropic. A client must show
//! its token. Neither that nor any other header goes on to the local server.

mod access;
mod admission;
pub(crate) mod agent_prompt;
mod answer;
mod api_check;
mod api_error;
mod client;
mod connections;
mod conversation;
mod corrections;
mod count;
mod cuts;
mod draining;
mod event_stream;
mod events;
mod fit;
mod flood;
mod http;
mod instructions;
mod lean_prompt;
mod lean_tools;
mod links;
mod marks;
mod message;
mod offered_tools;
mod question;
mod repeats;
mod reply;
mod request;
mod router;
mod server;
mod server_tools;
mod shared;
mod shrink;
mod stop_sequence;
mod summary;
mod turns;
mod upstream;

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::process::parent_id;
use std::sync::Arc;
use std::time::Duration;

use crate::claude_code::protocol::messages::uuid;
use crate::claude_code::settings::settings_file;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::gateway::admission::Admission;
use crate::gateway::router::Gateway;
use crate::gateway::upstream::Upstream;
use crate::names::GATEWAY_TOKEN;
use crate::os::process::close_inherited_files;

/// The long option under which the binary runs itself as the gateway of one Claude Code.
pub(crate) const OPTION: &str = "--gateway";

/// Its name on stderr.
const NAME: &str = "claude-failover";

/// How often the gateway checks whether its parent still lives.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn token() -> String {
    format!("local-{}", uuid())
}

/// Runs the gateway of the parent process, on the listener that it got as stdin, until the parent ends.
///
/// # Errors
/// If it was called wrongly, or a setting cannot be used.
pub(crate) fn main_for_parent(context: &Context, args: &[OsString]) -> Result<()> {
    let misused = || Error::Usage { message: format!("`{OPTION}` is for claude-failover itself") };
    let parent: u32 = args.first().and_then(|pid| pid.to_str()?.parse().ok()).filter(|_| args.len() == 1).ok_or_else(misused)?;
    let token = context.env(GATEWAY_TOKEN).and_then(|token| token.into_string().ok()).ok_or_else(misused)?;
    close_inherited_files();
    let listener =
        std::io::stdin().as_fd().try_clone_to_owned().map(TcpListener::from).map_err(Error::system("take", "stdin"))?;
    let outcome = Gateway::new(context, token, &listener, true).and_then(|gateway| {
        server::run(gateway, listener, async move {
            // Also ends at once if the parent has ended before.
            while parent_id() == parent {
                tokio::time::sleep(LOOK).await;
            }
        })
    });
    let _ = settings_file(context, parent).map(fs::remove_file);
    outcome
}

/// Runs a gateway for programs that speak the API themselves. `on_ready` gets its port.
///
/// # Errors
/// If it cannot listen there, or a setting cannot be used.
pub(crate) fn serve(context: &Context, port: u16, token: String, on_ready: impl FnOnce(u16)) -> Result<()> {
    let place = format!("127.0.0.1:{port}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(Error::system("listen on", place))?;
    let gateway = Gateway::new(context, token, &listener, false)?;
    on_ready(gateway.port);
    server::run(gateway, listener, std::future::pending())
}

impl Gateway {
    fn new(context: &Context, token: String, listener: &TcpListener, for_claude_code: bool) -> Result<Gateway> {
        let port = listener.local_addr().map_err(Error::system("read the address of", "the gateway"))?.port();
        let upstream = Arc::new(Upstream::new(context, for_claude_code)?);
        Ok(Gateway { upstream, context: Arc::new(context.for_applet(NAME, &[])), token, port, admission: Admission::default() })
    }
}
