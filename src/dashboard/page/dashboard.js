// The page is complete as it comes: this keeps it up to date, filters the calls, and makes the buttons work.
"use strict";

const find = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const token = find("meta[name=token]").content;

// Without a sign of the server for so long, it is not there: it sends one every 15 seconds.
const SILENCE = 40_000;

let connected = false;
let busy = null;

// What is shown

function showConnection(is) {
    connected = is;
    document.body.classList.toggle("offline", !is);
    const text = is ? "Live" : "Not connected. What is shown may be old, and the buttons do not work.";
    if (find("#connection").textContent !== text) {
        find("#connection").textContent = text;
    }
    showButtons();
}

function showButtons() {
    const now = find("#badge [data-backend]").dataset;
    const server = find("#server [data-state]").dataset;
    for (const button of all("[data-backend-button]")) {
        button.setAttribute("aria-pressed", String(button.value === now.backend));
    }
    const isUp = ["up", "loading"].includes(server.state);
    const pointless = { start: isUp, stop: server.state === "down" };
    for (const button of all("button[data-action]")) {
        const isOurs = button.dataset.action !== "server" || server.ours === "true";
        button.disabled = !connected || busy !== null || !isOurs || (pointless[button.value] ?? false);
    }
    find("#drill-stop").hidden = busy?.action !== "drill";
    find("#drill-stop").disabled = !connected;
    document.title = find("#badge [data-title]").dataset.title;
}

// Only what has changed is touched: a screen reader would say the rest again, and a selection would be lost.
function showPart({ id, html }) {
    const part = document.getElementById(id);
    const next = document.createElement(part?.tagName ?? "div");
    next.innerHTML = html;
    if (part && part.innerHTML !== next.innerHTML) {
        part.replaceChildren(...next.childNodes);
    }
    if (id === "calls") {
        filter();
    }
    showButtons();
}

// The connection

let source = null;
let heard = 0;

function connect() {
    source?.close();
    source = new EventSource("/events");
    heard = Date.now();
    const hear = (event) => {
        heard = Date.now();
        showConnection(true);
        if (event.type === "part") {
            showPart(JSON.parse(event.data));
        }
    };
    for (const type of ["open", "part", "ping"]) {
        source.addEventListener(type, hear);
    }
    source.addEventListener("error", () => showConnection(false));
}

// After an error the browser tries again by itself, unless the server has answered with something else: then it gives up.
setInterval(() => {
    const isSilent = Date.now() - heard > SILENCE;
    if (isSilent || source.readyState === EventSource.CLOSED) {
        showConnection(false);
        connect();
    }
}, 3_000);

// The buttons

async function act(action, body, output) {
    const abort = new AbortController();
    busy = { action, abort };
    showButtons();
    const lines = output.querySelector(".lines");
    const status = output.querySelector(".status");
    const timer = output.querySelector(".timer");
    output.hidden = false;
    output.classList.remove("failed");
    lines.textContent = "";
    status.textContent = "Running";
    const begin = Date.now();
    const tick = setInterval(() => (timer.textContent = `${Math.round((Date.now() - begin) / 1000)} s`), 1_000);
    let end;
    try {
        end = await run(action, body, abort.signal, (line) => {
            lines.append(line + "\n");
            lines.scrollTop = lines.scrollHeight;
        });
    } catch (error) {
        end = abort.signal.aborted ? "Stopped" : `No answer: ${error.message}`;
    }
    clearInterval(tick);
    timer.textContent = "";
    status.textContent = end;
    output.classList.toggle("failed", end !== "Done" && end !== "Stopped");
    busy = null;
    showButtons();
    output.closest("section").querySelector("button:not(:disabled)")?.focus();
}

// The answer is a line of JSON for each line of the program, and its exit code in the last one.
async function run(action, body, signal, show) {
    const headers = { "Content-Type": "application/json", "X-Dashboard-Token": token };
    const answer = await fetch(`/api/${action}`, { method: "POST", headers, body: JSON.stringify(body), signal });
    if (!answer.ok) {
        const said = await answer.json().catch(() => ({}));
        return `Refused: ${said.error ?? answer.statusText}`;
    }
    let rest = "";
    let exit = null;
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
        const { done, value } = await reader.read();
        rest += decoder.decode(value, { stream: !done });
        const pieces = rest.split("\n");
        rest = pieces.pop();
        for (const said of pieces.filter(Boolean).map((piece) => JSON.parse(piece))) {
            if (said.line !== undefined) {
                show(said.line);
            }
            exit = said.exit ?? exit;
        }
        if (done) {
            return exit === 0 ? "Done" : exit === null ? "The answer was cut short" : `Failed with exit code ${exit}`;
        }
    }
}

const outputs = { switch: "#switch-output", server: "#server-output", drill: "#drill-output" };
const bodies = {
    switch: (button) => ({ backend: button.value }),
    server: (button) => ({ state: button.value }),
    drill: () => ({ trouble: find("#trouble").value }),
};
for (const button of all("button[data-action]")) {
    const { action } = button.dataset;
    button.addEventListener("click", () => act(action, bodies[action](button), find(outputs[action])));
}
find("#drill-stop").addEventListener("click", () => busy?.abort.abort());

// The filters

const filters = all("#filters [data-filter]");

// What no call has had is not offered. What has been offered stays, since it may be chosen.
function offer() {
    for (const list of filters.filter((filter) => filter.tagName === "SELECT")) {
        const known = new Set([...list.options].map((option) => option.value));
        const words = new Set(all("#calls tr[data-backend]").map((row) => row.dataset[list.dataset.filter]));
        for (const word of [...words].filter((word) => word && !known.has(word)).sort()) {
            list.add(new Option(word, word));
        }
    }
}

function filter() {
    offer();
    const rows = all("#calls tr[data-backend]");
    const text = find("#filter-text").value.trim().toLowerCase();
    const lists = filters.filter((filter) => filter.value && filter.id !== "filter-text");
    let shown = 0;
    for (const row of rows) {
        const fits = lists.every((list) => row.dataset[list.dataset.filter] === list.value);
        row.hidden = !fits || !row.textContent.toLowerCase().includes(text);
        shown += row.hidden ? 0 : 1;
    }
    const count = shown === rows.length ? "" : `${shown} of the last ${rows.length} calls`;
    if (find("#filtered").textContent !== count) {
        find("#filtered").textContent = count;
    }
}

filters.forEach((field) => field.addEventListener("input", filter));
find("#filters").addEventListener("submit", (event) => event.preventDefault());

all(".needs-script").forEach((element) => (element.hidden = false));
filter();
showButtons();
connect();
