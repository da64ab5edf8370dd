// Asks a gateway with the official TypeScript client and prints what the client makes of the answers: see cases.py.
//
// usage: node cases.mjs SDK URL TOKEN

import { pathToFileURL } from "node:url";

const [folder, baseURL, apiKey] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(`${folder}/${file}`));
const { default: Anthropic, ...sdk } = await load("index.mjs");
const { betaTool } = await load("helpers/beta/json-schema.mjs");

const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const TOOL = {
  name: "add",
  description: "Adds two numbers.",
  input_schema: {
    type: "object",
    properties: { a: { type: "integer" }, b: { type: "integer" } },
    required: ["a", "b"],
  },
};
// From the more special to the more general.
const CLASSES = ["BadRequestError", "AuthenticationError", "NotFoundError", "InternalServerError", "APIConnectionError", "APIError"];

const ask = (text, more = {}) => ({ model: "any", max_tokens: 100, messages: [{ role: "user", content: text }], ...more });
const say = (...words) => console.log(words.join(" "));

function compact(value) {
  const sorted = (_, value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return JSON.stringify(value, sorted);
}

function show(name, message) {
  const blocks = message.content.map(({ id, parsed, ...block }) => block);
  const usage = message.usage;
  say(`${name}: ${compact(blocks)} ${message.stop_reason} ${message.stop_sequence ?? "-"}`);
  // What an answer that was stopped took is estimated.
  if (message.stop_sequence) return;
  say(`  ${message.model}, ${usage.input_tokens} + ${usage.cache_read_input_tokens} in, ${usage.output_tokens} out`);
}

async function onePiece() {
  show("create", await client.messages.create(ask("count")));
  show("create and stop", await client.messages.create(ask("count", { stop_sequences: ["three"] })));
}

async function helpers() {
  const texts = [];
  const stream = client.messages.stream(ask("count")).on("text", (text) => texts.push(text));
  const message = await stream.finalMessage();
  say("text:", compact(texts));
  show("final message", message);
  const kinds = [];
  for await (const event of await client.messages.create(ask("count", { stream: true }))) {
    if (kinds.at(-1) !== event.type) kinds.push(event.type);
  }
  say("events:", kinds.join(", "));
}

async function thinking() {
  const thoughts = [];
  const stream = client.messages.stream(ask("think", { thinking: { type: "adaptive" } }));
  stream.on("thinking", (thought) => thoughts.push(thought));
  const message = await stream.finalMessage();
  say("thinking:", compact(thoughts));
  show("after thinking", message);
}

async function toolsByHand() {
  const request = ask("add", { tools: [TOOL] });
  let pieces = "";
  const stream = client.messages.stream(request).on("inputJson", (piece) => (pieces += piece));
  const message = await stream.finalMessage();
  say("arguments:", compact(JSON.parse(pieces)));
  show("call", message);
  const call = message.content.at(-1);
  const result = { type: "tool_result", tool_use_id: call.id, content: String(call.input.a + call.input.b) };
  request.messages.push({ role: "assistant", content: message.content }, { role: "user", content: [result] });
  show("result", await client.messages.create(request));
}

async function toolRunner() {
  const run = ({ a, b }) => {
    say(`add is called with ${a} and ${b}`);
    return String(a + b);
  };
  const add = betaTool({ name: TOOL.name, description: TOOL.description, inputSchema: TOOL.input_schema, run });
  show("tool runner", await client.beta.messages.toolRunner(ask("add", { tools: [add] })).runUntilDone());
}

async function models() {
  const { input_tokens } = await client.messages.countTokens({ model: "any", messages: ask("How many tokens is this?").messages });
  const name = (answer) => (answer ? "True" : "False");
  say("tokens are counted:", name(input_tokens > 4 && input_tokens < 20));
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  say("models:", ids.join(", "));
  say("model:", (await client.models.retrieve("any")).display_name);
}

async function errors() {
  const read = (text) => client.messages.stream(ask(text)).finalMessage();
  const failing = {
    "too long": () => client.messages.create(ask("overflow")),
    refused: () => client.messages.create(ask("refuse")),
    empty: () => client.messages.create(ask("nothing")),
    "too long, streamed": () => read("overflow"),
    "cut off": () => read("break"),
    "unknown path": () => client.get("/v1/nothing"),
    "wrong token": () => client.withOptions({ apiKey: "wrong" }).messages.create(ask("count")),
  };
  for (const [name, call] of Object.entries(failing)) {
    try {
      say(`${name}: no error but ${await call()}`);
    } catch (error) {
      const kind = CLASSES.find((kind) => error instanceof sdk[kind]);
      const said = error.error.error;
      say(`${name}: ${kind} ${error.status ?? "-"} ${said.type}: ${said.message}`);
    }
  }
  const patient = client.withOptions({ maxRetries: 2 });
  show("asked again", await patient.messages.create(ask("nothing at first")));
}

async function atOnce() {
  const numbers = [...Array(8).keys()];
  const messages = await Promise.all(numbers.map((number) => client.messages.create(ask(`echo ${number}`))));
  say("at once:", messages.map((message) => message.content[0].text).join(" "));
  const stream = client.messages.stream(ask("never end"));
  stream.on("text", () => stream.abort());
  const outcome = await stream.done().then(
    () => "False",
    (error) => (error instanceof sdk.APIUserAbortError ? "True" : error),
  );
  say("cancelled:", outcome);
  show("after that", await client.messages.create(ask("count")));
}

for (const part of [onePiece, helpers, thinking, toolsByHand, toolRunner, models, errors, atOnce]) await part();
