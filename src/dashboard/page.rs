//! The page: complete as it is sent, without a script, too. Its live parts, each an element with an id, are sent anew where they have changed;
//! what has a focus, a choice or a scroll of the user's is in none of them.

mod badge;
mod calls;
mod figures;
mod local;

use jiff::Timestamp;

use crate::dashboard::html::{Html, html};
use crate::dashboard::timeline::{Length, Timeline};
use crate::dashboard::view::View;
use crate::drill::scenario::SCENARIOS;
use crate::shown::Shown;
use crate::state::flag::Backend;
use crate::state::ledger::Entry;

pub(crate) const SCRIPT: &str = include_str!("page/dashboard.js");
pub(crate) const STYLE: &str =
    concat!(include_str!("page/page.css"), include_str!("page/controls.css"), include_str!("page/figures.css"));
pub(crate) const ICON: &str = include_str!("page/favicon.svg");

/// The content of the element with this id.
pub(crate) struct Part {
    pub id: &'static str,
    pub html: Html,
}

/// The live parts, in the order in which they stand.
pub(crate) fn parts(view: &View) -> Vec<Part> {
    let mut entries: Vec<&Entry> = view.entries.iter().collect();
    entries.sort_by_key(|entry| entry.time);
    let timeline = |length| Timeline::new(length, &entries, &view.conditions, view.now, &view.zone);
    let (day, week) = (timeline(Length::Day), timeline(Length::Week));
    let part = |id, html| Part { id, html };
    vec![
        part("warnings", warnings(&view.warnings)),
        part("badge", badge::badge(view)),
        part("server", local::server(view, &entries)),
        part("chain", local::chain(view)),
        part("day", with_figures(&day, &entries, view.now)),
        part("day-table", day.table()),
        part("week", with_figures(&week, &entries, view.now)),
        part("week-table", week.table()),
        part("calls", calls::rows(&entries, view)),
    ]
}

/// The whole page.
pub(crate) fn render(view: &View) -> String {
    let parts = parts(view);
    let part = |id: &str| parts.iter().find(|part| part.id == id).map(|part| &part.html);
    let html = html![
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n",
        "<meta name=\"token\" content=\"",
        view.token,
        "\">\n<title>",
        badge::title(view),
        "</title>\n",
        "<link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"/dashboard.css\">\n",
        "<script src=\"/dashboard.js\" defer></script>\n</head>\n<body>\n",
        "<header><h1>claude-failover</h1><p id=\"connection\" role=\"status\"></p></header>\n",
        "<noscript><p class=\"notice\">This is how things stood when the page was loaded. The buttons, the filters and the live view need JavaScript.",
        "</p></noscript>\n<main>\n<div id=\"warnings\">",
        part("warnings"),
        "</div>\n",
        switch(view, part("badge")),
        server(part("server")),
        "<section class=\"card\" aria-labelledby=\"h-chain\"><h2 id=\"h-chain\">Local models</h2><div id=\"chain\">",
        part("chain"),
        "</div></section>\n",
        timeline("day", "The last 24 hours", part("day"), part("day-table")),
        timeline("week", "The last 7 days", part("week"), part("week-table")),
        drill(),
        calls(part("calls")),
        "</main>\n</body>\n</html>\n"
    ];
    html.to_string()
}

fn warnings(warnings: &[Shown]) -> Html {
    html![warnings.iter().map(|warning| html!["<p class=\"notice\">", warning, "</p>"]).collect::<Vec<_>>()]
}

/// Its figures are those of the time until now, without what the picture shows of the future.
fn with_figures(timeline: &Timeline, entries: &[&Entry], now: Timestamp) -> Html {
    html![timeline.svg(), figures::figures(entries, timeline.begin(), now)]
}

fn switch(view: &View, badge: Option<&Html>) -> Html {
    let button = |backend: Backend, what: &'static str| {
        let pressed = if view.backend == backend { "true" } else { "false" };
        html![
            "<button data-action=\"switch\" data-backend-button value=\"",
            backend.word(),
            "\" aria-pressed=\"",
            pressed,
            "\" disabled title=\"",
            what,
            "\">",
            backend.word(),
            "</button>"
        ]
    };
    html![
        "<section class=\"card now\" aria-labelledby=\"h-now\"><h2 id=\"h-now\" class=\"unseen\">Who answers</h2><div id=\"badge\" aria-live=\"polite\" aria-atomic=\"true\">",
        badge,
        "</div><div class=\"controls\"><div class=\"switch\" role=\"group\" aria-label=\"Switch\">",
        button(Backend::Claude, "Claude answers all calls"),
        button(Backend::Auto, "Claude answers, and the local model while Claude is limited or down"),
        button(Backend::Local, "The local model answers all calls"),
        "</div></div>",
        output("switch-output"),
        "</section>\n"
    ]
}

fn server(server: Option<&Html>) -> Html {
    html![
        "<section class=\"card\" aria-labelledby=\"h-server\"><h2 id=\"h-server\">Local server</h2><div id=\"server\">",
        server,
        "</div><div class=\"controls\"><button data-action=\"server\" value=\"start\" disabled>Start</button>",
        "<button data-action=\"server\" value=\"stop\" disabled>Stop</button></div>",
        output("server-output"),
        "</section>\n"
    ]
}

fn timeline(id: &'static str, title: &'static str, picture: Option<&Html>, table: Option<&Html>) -> Html {
    html![
        "<section class=\"card wide\" aria-labelledby=\"h-",
        id,
        "\"><h2 id=\"h-",
        id,
        "\">",
        title,
        "</h2><div id=\"",
        id,
        "\">",
        picture,
        "</div><details><summary>As a table</summary><div class=\"tables\" id=\"",
        id,
        "-table\">",
        table,
        "</div></details></section>\n"
    ]
}

fn drill() -> Html {
    let options = SCENARIOS.iter().map(|(word, _, what)| html!["<option value=\"", word, "\">", word, ": ", what, "</option>"]);
    html![
        "<section class=\"card wide\" aria-labelledby=\"h-drill\"><h2 id=\"h-drill\">Drill</h2>",
        "<p>Plays a trouble of Claude's to one call of its own, and shows what becomes of it. Other calls notice nothing.</p>",
        "<div class=\"controls\"><label for=\"trouble\">Trouble</label> <select id=\"trouble\">",
        options.collect::<Vec<_>>(),
        "</select>",
        "<button data-action=\"drill\" value=\"drill\" disabled>Play</button><button id=\"drill-stop\" hidden>Stop the drill</button></div>",
        output("drill-output"),
        "</section>\n"
    ]
}

/// Where the lines of a program come.
fn output(id: &'static str) -> Html {
    html![
        "<div class=\"output\" id=\"",
        id,
        "\" hidden><p><span class=\"status\" role=\"status\"></span> <span class=\"timer\" aria-hidden=\"true\"></span></p>",
        "<pre class=\"lines\" role=\"log\" tabindex=\"0\" aria-label=\"What the command says\"></pre></div>"
    ]
}

fn calls(rows: Option<&Html>) -> Html {
    let list = |id: &'static str, filter: &'static str, label: &'static str| {
        html![
            "<label>",
            label,
            " <select id=\"filter-",
            id,
            "\" data-filter=\"",
            filter,
            "\"><option value=\"\">all</option></select></label>"
        ]
    };
    html![
        "<section class=\"card wide\" aria-labelledby=\"h-calls\"><h2 id=\"h-calls\">The last calls</h2>",
        "<form id=\"filters\" class=\"needs-script\" role=\"search\" aria-label=\"Filter the calls\" hidden>",
        list("backend", "backend", "Answered by"),
        list("route", "route", "Route"),
        list("cause", "cause", "Cause"),
        "<label>Text <input id=\"filter-text\" data-filter=\"text\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\"></label>",
        "<output id=\"filtered\"></output></form>",
        "<div class=\"scroll\" role=\"region\" aria-labelledby=\"h-calls\" tabindex=\"0\"><table class=\"calls\"><thead>",
        calls::head(),
        "</thead><tbody id=\"calls\">",
        rows,
        "</tbody></table></div></section>\n"
    ]
}

#[cfg(test)]
pub(in crate::dashboard) mod tests;
