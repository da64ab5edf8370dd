//! Whether a call asks a local server in Claude's place already, as `ollama launch claude` has it.

use crate::completions::endpoint::Endpoint;
use crate::completions::server_address::ServerAddress;
use crate::context::Context;
use crate::state::gateways;

/// Whether the environment leads Claude Code to one of the user's own local servers, or to a gateway that the user has started. Claude
/// Code's settings files can do so, too, but are not read for that.
pub(super) fn is_asked(context: &Context) -> bool {
    let url = context.env("ANTHROPIC_BASE_URL").and_then(|url| url.into_string().ok());
    let Some(asked) = url.and_then(|url| ServerAddress::parse(url.trim())) else { return false };
    let mut endpoints = context.settings.links().filter_map(|link| Endpoint::of_link(context, link).ok());
    endpoints.any(|endpoint| endpoint.server_address().as_ref() == Some(&asked))
        || asked.is_here() && gateways::serves(context, asked.port)
}
