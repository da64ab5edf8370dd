//! The sign at the head of the page: who answers now, and why.

use crate::claude_code::refusal::Cause;
use crate::dashboard::html::{Html, html};
use crate::dashboard::view::{View, clock};
use crate::state::breaker::Condition;
use crate::state::flag::Backend;

/// Who answers the next call, as far as that is the same for all calls.
fn answers(view: &View) -> &'static str {
    let is_away = view.conditions.iter().any(|condition| condition.cause != Cause::Model);
    match view.backend {
        Backend::Claude => "claude",
        Backend::Local => "local",
        Backend::Auto => {
            if is_away {
                "local"
            } else {
                "claude"
            }
        }
    }
}

/// The page's title, which a tab shows.
pub(super) fn title(view: &View) -> String {
    let open = if view.conditions.is_empty() { "" } else { " !" };
    format!("{}{open} · claude-failover", answers(view).to_uppercase())
}

pub(super) fn badge(view: &View) -> Html {
    let word = answers(view);
    let colour = if view.conditions.is_empty() { word } else { "amber" };
    let since = view.since.map(|since| html![" since ", clock(since, view.now, &view.zone)]);
    html![
        "<div class=\"sign ",
        colour,
        "\" data-backend=\"",
        view.backend.word(),
        "\" data-title=\"",
        title(view),
        "\">",
        "<p class=\"now-answers\">",
        alarm(view),
        "</p><p class=\"word\">",
        word.to_uppercase(),
        "</p></div>",
        "<div class=\"why\"><p class=\"first\">",
        summary(view),
        "</p>",
        view.conditions.iter().map(|open| condition(open, view)).collect::<Vec<_>>(),
        "<p class=\"position\">The switch is at <b>",
        view.backend.word(),
        "</b>",
        since,
        ".</p></div>"
    ]
}

/// What the colour says, in words.
fn alarm(view: &View) -> &'static str {
    use Cause::{Network, Overload, ServerError, Throttle};
    match view.conditions.as_slice() {
        [] => "Answering now",
        conditions if conditions.iter().any(|open| matches!(open.cause, Network | Overload | ServerError | Throttle)) => {
            "Outage · answering now"
        }
        _ => "Limit · answering now",
    }
}

fn summary(view: &View) -> &'static str {
    match (view.backend, answers(view), view.conditions.is_empty()) {
        (Backend::Claude, _, true) => "Claude answers all calls.",
        (Backend::Claude, _, false) => "Calls go to Claude alone, which does not answer them all.",
        (Backend::Local, ..) => "The local model answers all calls.",
        (Backend::Auto, "local", _) => "The local model answers until Claude is back.",
        (Backend::Auto, _, true) => "Claude answers. If it is limited or down, the local model will.",
        (Backend::Auto, _, false) => "Claude answers, except for a model whose limit is used up: there the local model does.",
    }
}

fn condition(condition: &Condition, view: &View) -> Html {
    let models = (!condition.models.is_empty()).then(|| html![" (", condition.shown_models(), ")"]);
    let again = match condition.next_probe > view.now {
        true => html!["Asked again at ", clock(condition.next_probe, view.now, &view.zone), "."],
        false => html!["The next call asks Claude whether it is back."],
    };
    html![
        "<p class=\"condition\"><b>Claude ",
        condition.description(view.now),
        models,
        ".</b> Since ",
        clock(condition.since, view.now, &view.zone),
        ". ",
        again,
        "</p>"
    ]
}
