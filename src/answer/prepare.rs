//! What stands between a request and its conversation: the checks, in the real CLI's order, the input and the settings.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::answer::conversation::{Conversation, ConversationOptions};
use crate::answer::format;
use crate::answer::open_session::{check_options, open_session, session_title, stated_id};
use crate::answer::reporter::Reporter;
use crate::answer::request::{AnswerRequest, InputSource};
use crate::answer::turn::Shared;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::customizations::Customizations;
use crate::claude_code::json_schema::{Schema, max_attempts};
use crate::claude_code::projects::config_dir;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::messages::SessionInfo;
use crate::claude_code::protocol::output::{Format, Output};
use crate::claude_code::{call_check, prompt};
use crate::context::Context;
use crate::error::Result;
use crate::local_model::chain::Chain;
use crate::local_model::model::{NAMELESS, name_for_callers};
use crate::local_model::request::RequestSettings;
use crate::state::flag::Flag;
use crate::state::sessions::Session;
use crate::stdin::Feed;

/// What a conversation begins with.
pub(super) enum FirstInput {
    /// One prompt, which is all of the input.
    Prompt(String),
    /// Lines, from stdin if from no feed.
    Lines(Option<Feed>),
}

pub(super) fn prepare<'a>(
    applet: &str,
    context: &'a Context,
    command_line: &CommandLine,
    request: AnswerRequest,
) -> Result<(Conversation<'a>, FirstInput)> {
    let AnswerRequest { mark, input, may_decline, on_answer, handover, answered_requests, .. } = request;
    if handover.is_none() {
        call_check::before_files(context, command_line, |id| Session::exists(context, id))?;
    }
    let system = prompt::system(command_line)?;
    call_check::before_input(command_line)?;
    let settings = RequestSettings::new(context)?;
    let start = match input {
        InputSource::Feed(feed) => FirstInput::Lines(Some(feed)),
        InputSource::Stdin if command_line.listens() => FirstInput::Lines(None),
        InputSource::Stdin => FirstInput::Prompt(prompt::read(command_line, None)?),
        InputSource::Read(bytes) => FirstInput::Prompt(prompt::read(command_line, Some(bytes))?),
    };
    let schema = command_line.last("--json-schema").filter(|text| !text.is_empty()).map(Schema::parse).transpose()?;
    call_check::permissions(context, command_line)?;
    check_options(command_line)?;
    let mut output = Output::new(format(command_line), context.stdout_is_terminal());
    if may_decline {
        output.withhold(on_answer);
    }
    let mut reporter = Reporter::new(applet, output, session_info(context, &settings, command_line, mark));
    let session = open_session(applet, context, command_line, handover.as_ref()).inspect_err(|error| {
        reporter.session.session_id = stated_id(command_line).map_or_else(messages::uuid, str::to_string);
        reporter.fail_at_start(&error.to_string());
    })?;
    reporter.session.session_id.clone_from(&session.id);
    match &start {
        FirstInput::Prompt(prompt) => prompt::check(command_line, prompt)?,
        FirstInput::Lines(None) if io::stdin().is_terminal() => return Err(prompt::missing()),
        FirstInput::Lines(_) => {}
    }
    call_check::verbose_stream(command_line)?;
    let is_stream = matches!(format(command_line), Format::StreamJson { .. });
    let options = ConversationOptions {
        system,
        schema: schema.map(|schema| (Arc::new(schema), max_attempts(context))),
        expands_mentions: !command_line.has("--bare"),
        replays: command_line.has("--replay-user-messages"),
        may_bypass_permissions: call_check::may_bypass_permissions(command_line),
        announces_idle: handover.as_ref().is_some_and(|handover| handover.is_running),
        answered_requests,
        has_commands: !command_line.has("--disable-slash-commands"),
        claude_code_is_there: request.claude_code_is_there,
        pump: request.pump,
        writes_transcript: has_transcripts(context, request.claude_code_is_there),
        is_begun: handover.as_ref().is_some_and(|handover| handover.session_id.is_some()),
        names_session: ["--session-id", "--resume", "--continue"].iter().any(|option| command_line.has(option)),
        mirrors: command_line.has("--session-mirror"),
        title: session_title(command_line).filter(|_| is_stream && handover.is_none()).map(str::to_string),
    };
    let shared = Shared {
        applet: applet.into(),
        reporter: Mutex::new(reporter),
        chain: Chain::new(context)?,
        flag: Flag::new(context).ok(),
        has_warned: AtomicBool::new(false),
        detector: Mutex::default(),
        marks: Mutex::default(),
    };
    Ok((Conversation::new(context, shared, session, options, request.interrupts), start))
}

/// Whether Claude Code keeps transcripts here, or would.
fn has_transcripts(context: &Context, claude_code_is_there: bool) -> bool {
    let is_folder = |folder: Result<PathBuf>| folder.is_ok_and(|folder| folder.is_dir());
    is_folder(config_dir(context)) || claude_code_is_there && is_folder(context.home().cloned())
}

fn session_info(context: &Context, settings: &RequestSettings, command_line: &CommandLine, mark: Mark) -> SessionInfo {
    let mode = match command_line.last("--permission-mode") {
        Some("manual") | None => "default",
        Some(mode) => mode,
    };
    let mode = if command_line.has("--dangerously-skip-permissions") { "bypassPermissions" } else { mode };
    let cwd = context.working_dir().map(|cwd| cwd.to_string_lossy().into_owned());
    SessionInfo {
        session_id: String::new(),
        model: settings.model.as_deref().map_or_else(|| NAMELESS.into(), name_for_callers),
        window: settings.window.unwrap_or_default(),
        max_tokens: settings.max_tokens,
        cwd: cwd.unwrap_or_default(),
        permission_mode: mode.into(),
        // A call that prints no messages is spared the search.
        customizations: match format(command_line) {
            Format::Text | Format::Json => Customizations::default(),
            Format::JsonArray | Format::StreamJson { .. } => Customizations::of_call(context, command_line),
        },
        mark,
    }
}
