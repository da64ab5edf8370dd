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
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod http;
mod instructions;
mod lean_prompt;
pub(crate) mod lean_tools;
mod links;
mod marks;
mod message;
mod offered_tools;
mod question;
mod repeats;
mod reply;
mod request;
mod router;
mod server_tools;
mod shared;
mod shrink;
pub(crate) mod spent;
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
use crate::http_server::{self, ReadOnly};
use crate::names::GATEWAY_TOKEN;
use crate::os::cleanup::EndRequests;
use crate::os::process::close_inherited_files;
use crate::shown::shown;
use crate::state::gateways;

/// The long option under which the binary runs itself as the gateway of one Claude Code.
pub(crate) const OPTION: &str = "--gateway";

const NAME_IN_ERRORS: &str = "the gateway";

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
    let misused = || Error::Usage { message: shown!("`{OPTION}` is for claude-failover itself") };
    let parent: u32 = args.first().and_then(|pid| pid.to_str()?.parse().ok()).filter(|_| args.len() == 1).ok_or_else(misused)?;
    let token = context.env(GATEWAY_TOKEN).and_then(|token| token.into_string().ok()).ok_or_else(misused)?;
    close_inherited_files();
    // What ends Claude Code, and this process with it, is not to end it before.
    let _survives = EndRequests::catch().map_err(Error::system("take", "signals"))?;
    let listener =
        std::io::stdin().as_fd().try_clone_to_owned().map(TcpListener::from).map_err(Error::system("take", "stdin"))?;
    let outcome = Gateway::new(context, token, &listener, None).and_then(|gateway| {
        let upstream = gateway.upstream.clone();
        let ended = http_server::run(gateway, NAME_IN_ERRORS, listener, async move {
            // Also ends at once if the parent has ended before.
            while parent_id() == parent {
                tokio::time::sleep(LOOK).await;
            }
        });
        upstream.record_end(context);
        ended
    });
    let _ = settings_file(context, parent).map(fs::remove_file);
    outcome
}

/// Runs a gateway for programs that speak the API themselves, which also has what can be read elsewhere. `on_ready` gets its port.
///
/// # Errors
/// If it cannot listen there, or a setting cannot be used.
pub(crate) fn serve(
    context: &Context,
    port: u16,
    token: String,
    readable: Arc<dyn ReadOnly>,
    on_ready: impl FnOnce(u16),
) -> Result<()> {
    let place = shown!("127.0.0.1:{port}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(Error::system("listen on", place))?;
    let gateway = Gateway::new(context, token, &listener, Some(readable))?;
    // By it a call knows that it asks us already.
    let _ = gateways::note(context, gateway.port);
    on_ready(gateway.port);
    http_server::run(gateway, NAME_IN_ERRORS, listener, std::future::pending())
}

impl Gateway {
    /// `readable`: none for the gateway of one Claude Code.
    fn new(context: &Context, token: String, listener: &TcpListener, readable: Option<Arc<dyn ReadOnly>>) -> Result<Gateway> {
        let port = listener.local_addr().map_err(Error::system("read the address of", "the gateway"))?.port();
        let upstream = Arc::new(Upstream::new(context, readable.is_none())?);
        Ok(Gateway {
            upstream,
            context: Arc::new(context.for_applet(NAME, &[])),
            token,
            port,
            admission: Admission::default(),
            readable,
        })
    }
}
