//! The last calls, as a table.

use crate::dashboard::html::{Html, html};
use crate::dashboard::page::figures::grouped;
use crate::dashboard::view::{View, clock};
use crate::state::ledger::{Entry, RouteName};

/// How many there are.
const MOST: usize = 200;

const COLUMNS: [&str; 10] = ["Time", "Answered by", "Route", "Cause", "Model", "Tokens in", "out", "Seconds", "Exit", "Notes"];

pub(super) fn head() -> Html {
    let column = |name: &&'static str| {
        let class = if ["Tokens in", "out", "Seconds", "Exit"].contains(name) { " class=\"number\"" } else { "" };
        let mut html = html!["<th scope=\"col\""];
        html.markup(class);
        html![html, ">", *name, "</th>"]
    };
    html!["<tr>", COLUMNS.iter().map(column).collect::<Vec<_>>(), "</tr>"]
}

/// The last one first.
pub(super) fn rows(entries: &[&Entry], view: &View) -> Html {
    if entries.is_empty() {
        return html![
            "<tr><td colspan=\"",
            COLUMNS.len(),
            "\" class=\"kind\">No calls yet. The ledger has a line for each call that was watched or answered locally.</td></tr>"
        ];
    }
    html![entries.iter().rev().take(MOST).map(|entry| row(entry, view)).collect::<Vec<_>>()]
}

fn row(entry: &Entry, view: &View) -> Html {
    let (backend, route, cause) = (entry.answered_by.word(), route(entry.route), entry.verdict.as_deref().unwrap_or_default());
    let until = entry.until.map(|until| html!["<span class=\"more\">until ", clock(until, entry.time, &view.zone), "</span>"]);
    let number = |number: Option<u64>| html!["<td class=\"number\">", number.map(grouped), "</td>"];
    let exit = entry.exit.filter(|code| *code != 0).map(|code| html!["<span class=\"bad\">", code, "</span>"]);
    let (applet, time) = (&entry.applet, entry.time.to_zoned(view.zone.clone()));
    html![
        "<tr data-backend=\"",
        backend,
        "\" data-route=\"",
        route,
        "\" data-cause=\"",
        cause,
        "\"><td class=\"time\"><time datetime=\"",
        format!("{:.0}", entry.time),
        "\">",
        time.strftime("%a %-d %b").to_string(),
        " <b>",
        time.strftime("%H:%M:%S").to_string(),
        "</b></time></td>",
        "<td><span class=\"by ",
        backend,
        "\">",
        backend,
        "</span></td><td>",
        route,
        "<span class=\"more\">",
        applet,
        "</span></td>",
        "<td>",
        cause,
        until,
        "</td><td class=\"name\">",
        entry.model,
        "</td>",
        number(entry.input_tokens),
        number(entry.output_tokens),
        "<td class=\"number\">",
        format!("{:.1}", entry.seconds),
        "</td>",
        "<td class=\"number\">",
        exit,
        "</td><td class=\"name\">",
        notes(entry),
        "</td></tr>"
    ]
}

fn route(route: RouteName) -> &'static str {
    match route {
        RouteName::Watch => "watch",
        RouteName::Answer => "answer",
        RouteName::Agent => "agent",
        RouteName::Resume => "resume",
        RouteName::Terminal => "terminal",
        RouteName::Gateway => "gateway",
        RouteName::Unknown => "unknown",
    }
}

fn notes(entry: &Entry) -> Html {
    let server = entry.server.as_ref().map(|server| format!("at {server}"));
    let truncated = entry.truncated.then(|| "truncated".to_string());
    let markup = entry.unknown_markup.as_ref().map(|markup| format!("unknown markup {markup}"));
    html![[server, truncated, markup].into_iter().flatten().collect::<Vec<_>>().join(", ")]
}
