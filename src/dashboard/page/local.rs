//! The local server, and the chain of local models.

use crate::dashboard::html::{Html, html};
use crate::dashboard::page::figures::grouped;
use crate::dashboard::view::{LinkView, View};
use crate::shown::Shown;
use crate::state::ledger::{Entry, RouteName};

/// Of how many answers the speed is.
const LAST_ANSWERS: usize = 10;

const GIB: u64 = 1 << 30;

pub(super) fn server(view: &View, entries: &[&Entry]) -> Html {
    let (server, first) = (&view.server, view.links.first());
    let row = |name: &'static str, value: Html| html!["<div><dt>", name, "</dt><dd>", value, "</dd></div>"];
    let unknown = || html!["<span class=\"faint\">not known</span>"];
    let model = first.and_then(|link| link.model.as_ref()).map_or_else(|| html!["as served"], |model| html![model]);
    let context = first.and_then(|link| link.context).map_or_else(unknown, |tokens| html![grouped(tokens.into()), " tokens"]);
    let memory = server.memory.map_or_else(unknown, |bytes| html![size(bytes)]);
    let speed = speed(entries).map_or_else(unknown, |speed| html![format!("{speed:.1} tokens a second")]);
    let ours = if server.is_ours { "true" } else { "false" };
    let starts = if server.is_ours { html![server.supervisor] } else { html!["you: this program neither starts nor stops it"] };
    html![
        "<dl data-state=\"",
        server.state,
        "\" data-ours=\"",
        ours,
        "\">",
        row("State", html![state(&server.state), what(&server.state, server.detail.as_ref(), server.is_ours)]),
        row("Model", model),
        row("Context", context),
        row("Memory", memory),
        row("Speed", speed),
        row("Address", html![server.url]),
        row("Started by", starts),
        "</dl>"
    ]
}

fn size(bytes: u64) -> String {
    match bytes {
        GIB.. => format!("{:.1} GiB", bytes as f64 / GIB as f64),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// A state as a shape and a word.
fn state(state: &str) -> Html {
    let (class, shape, word) = match state {
        "up" => ("good", "●", "answers"),
        "loading" => ("busy", "◐", "loading"),
        "down" => ("off", "○", "not running"),
        "hung" => ("bad", "▲", "hung"),
        "dead" => ("bad", "▲", "dead"),
        "foreign" => ("bad", "▲", "not a model server"),
        _ => ("bad", "▲", "unknown"),
    };
    html!["<span class=\"state ", class, "\"><span aria-hidden=\"true\">", shape, "</span> ", word, "</span>"]
}

fn what(state: &str, detail: Option<&Shown>, is_ours: bool) -> Option<Html> {
    match (state, detail) {
        (_, Some(detail)) => Some(html!["<span class=\"detail\">", detail, "</span>"]),
        ("down", None) if is_ours => Some(html!["<span class=\"detail\">the first call that needs it starts it</span>"]),
        ("loading", None) => Some(html!["<span class=\"detail\">the model is being read</span>"]),
        _ => None,
    }
}

/// Of the last plain answers; an agent's seconds are also its tools'.
fn speed(entries: &[&Entry]) -> Option<f64> {
    let answers =
        entries.iter().rev().filter(|entry| entry.is_local() && entry.route == RouteName::Answer && entry.seconds > 0.0);
    let written: Vec<(f64, f64)> =
        answers.filter_map(|entry| Some((entry.output_tokens? as f64, entry.seconds))).take(LAST_ANSWERS).collect();
    let (tokens, seconds) = written.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    (seconds > 0.0).then(|| tokens / seconds)
}

pub(super) fn chain(view: &View) -> Html {
    let links = view.links.iter().enumerate().map(|(place, one)| link(place, one));
    let small = view.small_model.as_ref().map(|small| {
        html![
            "<li class=\"small\"><span class=\"model\">",
            small,
            "</span><span class=\"role\">does the small work of Claude Code</span></li>"
        ]
    });
    html!["<ol class=\"chain\">", links.collect::<Vec<_>>(), small, "</ol>"]
}

fn link(place: usize, link: &LinkView) -> Html {
    let role = match place {
        0 => "asked first",
        _ => "asked if none before it answers",
    };
    let model = link.model.as_ref().map_or_else(|| html!["the model that is served"], |model| html![model]);
    let context = link.context.map(|tokens| html![" · context of ", grouped(tokens.into()), " tokens"]);
    let clear = link.clear_text.then(|| html!["<span class=\"detail\">in clear text: others on that net can read it</span>"]);
    let detail = link.detail.as_ref().map(|detail| html!["<span class=\"detail\">", detail, "</span>"]);
    html![
        "<li><span class=\"model\">",
        model,
        "</span>",
        state(&link.state),
        "<span class=\"role\">",
        role,
        context,
        "</span>",
        "<span class=\"address\">",
        link.url,
        "</span>",
        detail,
        clear,
        "</li>"
    ]
}
