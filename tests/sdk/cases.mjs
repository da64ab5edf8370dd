// Runs cases with the TypeScript Agent SDK, some at once, and prints what the SDK yielded in each of them.
//
// usage: node cases.mjs SDK CLAUDE [CASE...]        SDK: the SDK's sdk.mjs; all cases if none is named
//
// Each case works in a folder of its name below the working directory. Nothing that differs from run to run is printed.
// `cases.py` has the same cases for the Python SDK and prints them in the same words.

import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [sdkPath, claude, ...names] = process.argv.slice(2);
const sdk = await import(pathToFileURL(sdkPath));

const LIMIT = 100_000;
const AT_ONCE = 4;
const SESSION = "5d1f2c3b-0a69-4788-9c1e-2f3a4b5c6d7e";
const MESSAGE = "22222222-2222-4222-8222-222222222222";
const UNKNOWN_SESSION = "11111111-1111-4111-8111-111111111111";
const SCHEMA = {
  type: "object",
  properties: { answer: { type: "string" }, n: { type: "integer" } },
  required: ["answer", "n"],
  additionalProperties: false,
};
const STRUCTURED = { type: "json_schema", schema: SCHEMA };
const CONTEXT_USAGE =
  "categories totalTokens maxTokens rawMaxTokens percentage gridRows model memoryFiles mcpTools agents isAutoCompactEnabled";

const CASES = {
  async one_shot(run) {
    const result = await run.ask("hello");
    run.say(`turns ${result.num_turns}, cost ${result.total_cost_usd.toFixed(0)}, model of the session: ${run.model}`);
    run.say(`tokens are counted: ${truth(result.usage.input_tokens > 0 && result.usage.output_tokens > 0)}`);
  },

  async unusual_text(run) {
    await run.ask('é 漢 🦀 "quoted" \\n \u2028 <b>\ttab</b>\r\nlast');
  },

  async separators(run) {
    await run.ask("say separators");
  },

  async large_answer(run) {
    await run.ask("say much");
  },

  async iterable(run) {
    await run.ask(prompts("hello"));
  },

  async blocks(run) {
    await run.ask(prompts([{ type: "text", text: "first" }, { type: "text", text: "second" }]));
  },

  async two_prompts(run) {
    await run.ask(prompts("one", "two"));
  },

  async message_id(run) {
    await run.ask(prompts({ content: "one", uuid: MESSAGE }));
  },

  async replays(run) {
    await run.ask(prompts("one"), { extraArgs: { "replay-user-messages": null } });
  },

  async large_prompt(run) {
    await run.ask(Array.from({ length: 50_000 }, (_, number) => `${String(number).padStart(6, "0")}漢`).join(""));
  },

  async partials(run) {
    await run.ask("three words here", { includePartialMessages: true });
  },

  async remembers(run) {
    const client = run.client();
    for (const prompt of ["one", "two", "three"]) await client.turn(prompt);
    await client.end();
  },

  async system_string(run) {
    await run.ask("hello", { systemPrompt: "<<be brief>>" });
  },

  async system_append(run) {
    await run.ask("hello", { systemPrompt: { type: "preset", preset: "claude_code", append: "<<be kind>>" } });
  },

  async system_preset(run) {
    await run.ask("hello", { systemPrompt: { type: "preset", preset: "claude_code" } });
  },

  async structured(run) {
    await run.result('json {"answer":"forty two","n":42}', { outputFormat: STRUCTURED });
  },

  async structured_wrong_first(run) {
    await run.result('wrong first, json {"answer":"forty three","n":43}', { outputFormat: STRUCTURED });
  },

  async structured_never(run) {
    await run.result('json {"n":"no number"}', { outputFormat: STRUCTURED });
  },

  async interrupt(run) {
    const client = run.client({ includePartialMessages: true });
    client.send("never end");
    await client.untilText();
    await client.query.interrupt();
    await client.untilResult();
    await client.turn("go on");
    await client.end();
  },

  async interrupt_idle(run) {
    const client = run.client();
    await client.query.interrupt();
    await client.turn("one");
    await client.query.interrupt();
    await client.turn("two");
    await client.end();
  },

  async controls(run) {
    const client = run.client();
    const query = client.query;
    const [commands, models] = [kind(await query.supportedCommands()), kind(await query.supportedModels())];
    const [agents, account] = [kind(await query.supportedAgents()), kind(await query.accountInfo())];
    run.say(`commands ${commands}, models ${models}, agents ${agents}, account ${account}`);
    const usage = await query.getContextUsage();
    run.say(CONTEXT_USAGE.split(" ").map((key) => `${key} ${kind(usage[key])}`).join(", "));
    run.say(`servers: ${JSON.stringify(await query.mcpServerStatus())}`);
    await query.setModel("haiku");
    await query.setModel(undefined);
    await query.setPermissionMode("acceptEdits");
    await query.setMaxThinkingTokens(1000);
    await query.applyFlagSettings({});
    await run.attempt(query.setPermissionMode("nonsense"));
    await run.attempt(query.rewindFiles(SESSION));
    await run.attempt(query.reconnectMcpServer("nowhere"));
    await client.turn("hello");
    await client.end();
  },

  async controls_in_the_answer(run) {
    const client = run.client({ includePartialMessages: true });
    client.send("never end");
    await client.untilText();
    run.say(`servers: ${JSON.stringify(await client.query.mcpServerStatus())}`);
    await client.query.setModel("haiku");
    await client.query.interrupt();
    await client.untilResult();
    await client.query.return();
  },

  async resume(run) {
    const first = await run.ask("one");
    const second = await run.ask("two", { resume: first.session_id });
    run.say(`same session: ${truth(first.session_id === second.session_id)}`);
    await run.ask("three", { resume: first.session_id });
  },

  async resume_unknown(run) {
    await run.ask("one", { resume: UNKNOWN_SESSION });
  },

  async continue_last(run) {
    const first = await run.ask("one");
    const second = await run.ask("two", { continue: true });
    run.say(`same session: ${truth(first.session_id === second.session_id)}`);
  },

  async fork(run) {
    const first = await run.ask("one");
    const second = await run.ask("two", { resume: first.session_id, forkSession: true });
    run.say(`same session: ${truth(first.session_id === second.session_id)}`);
    await run.ask("three", { resume: first.session_id });
  },

  async session_id(run) {
    const first = await run.ask("one", { sessionId: SESSION });
    run.say(`as asked: ${truth(first.session_id === SESSION)}`);
    await run.ask("two", { resume: SESSION });
  },

  async hooks(run) {
    const hook = async (given) => {
      run.say(`hook ${given.hook_event_name}`);
      return {};
    };
    const matcher = [{ hooks: [hook] }];
    await run.ask("hello", { hooks: { PreToolUse: matcher, UserPromptSubmit: matcher, Stop: matcher } });
  },

  async mcp_server(run) {
    const { z } = createRequire(sdkPath)("zod");
    const add = sdk.tool("add", "Adds two numbers", { a: z.number(), b: z.number() }, async ({ a, b }) => ({
      content: [{ type: "text", text: String(a + b) }],
    }));
    const server = sdk.createSdkMcpServer({ name: "calculator", tools: [add] });
    await run.ask("hello", { mcpServers: { calculator: server }, allowedTools: ["mcp__calculator__add"] });
  },

  async can_use_tool(run) {
    const canUseTool = async (name, input) => {
      run.say(`may it use ${name}?`);
      return { behavior: "allow", updatedInput: input };
    };
    await run.ask(prompts("hello"), { canUseTool });
  },

  async many_options(run) {
    await run.ask("hello", {
      additionalDirectories: ["."],
      agents: { helper: { description: "helps", prompt: "Help." } },
      allowedTools: ["Read", "Bash(ls:*)"],
      disallowedTools: ["Write"],
      fallbackModel: "haiku",
      maxBudgetUsd: 10,
      maxThinkingTokens: 2000,
      maxTurns: 3,
      mcpServers: {},
      model: "sonnet",
      permissionMode: "plan",
      settingSources: ["user", "project", "local"],
      settings: '{"includeCoAuthoredBy":false}',
    });
  },

  async api_error(run) {
    await run.ask("refuse this");
  },

  async api_error_and_on(run) {
    const client = run.client();
    await client.turn("refuse this");
    await client.turn("hello");
    await client.end();
  },

  async break_off(run) {
    const client = run.client({ includePartialMessages: true });
    client.send("never end");
    await client.untilText();
    await client.query.return();
    run.say("closed");
  },

  async abort(run) {
    const abortController = new AbortController();
    const client = run.client({ abortController, includePartialMessages: true });
    client.send("never end");
    await client.untilText();
    abortController.abort();
    await client.untilResult();
  },
};

/** A case: its folder, and the lines to print. */
class Run {
  lines = [];
  stderr = "";
  text = "";

  constructor(name) {
    this.name = name;
    this.folder = resolve(name);
    mkdirSync(this.folder);
  }

  options(more) {
    const stderr = (data) => (this.stderr += data);
    return { pathToClaudeCodeExecutable: claude, cwd: this.folder, stderr, ...more };
  }

  client(more = {}) {
    return new Client(this, this.options(more));
  }

  async ask(prompt, options = {}) {
    let last;
    for await (const message of sdk.query({ prompt, options: this.options(options) })) {
      this.note(message);
      last = message;
    }
    return last;
  }

  /** Like `ask`, for what is reached in different ways: only the end is noted. */
  async result(prompt, options) {
    for await (const message of sdk.query({ prompt, options: this.options(options) })) {
      if (message.type === "result") this.note(message);
    }
  }

  async attempt(request) {
    try {
      return await request;
    } catch (error) {
      this.say(`raised: ${shown(error.message)}`);
    }
  }

  note(message) {
    if (message.type === "stream_event" && message.event.type === "content_block_delta") {
      this.text += message.event.delta.text;
    } else if (message.type === "stream_event") {
      this.say(`event ${message.event.type}`);
    } else if (message.type === "system") {
      this.model = message.model ?? this.model;
      this.say(`system ${message.subtype}`);
    } else if (message.type === "assistant") {
      const error = message.error ? ` (${message.error}): ` : ": ";
      for (const block of message.message.content) this.say(`assistant${error}${shown(block.text)}`);
    } else if (message.type === "user") {
      const content = message.message.content;
      const texts = typeof content === "string" ? [content] : content.map((block) => block.text);
      for (const text of texts) this.say(`user: ${shown(text)}`);
    } else if (message.type === "result") {
      const error = message.is_error ? ", error" : "";
      this.say(`result ${message.subtype}${error}: ${shown(message.result ?? null)}`);
      if (message.structured_output !== undefined) this.say(`  structured ${shown(message.structured_output)}`);
    } else {
      this.say(message.type);
    }
  }

  say(line) {
    // In how many pieces the text comes is not the same everywhere.
    if (this.text) this.lines.push(`event content_block_delta: ${shown(this.text)}`);
    this.text = "";
    this.lines.push(line);
  }

  async lead() {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`more than ${LIMIT} ms`)), LIMIT);
    });
    await this.attempt(Promise.race([CASES[this.name](this), late]));
    clearTimeout(timer);
    // The old SDK writes there, too.
    const isOurs = (line) => line && !line.startsWith("Spawning Claude Code ");
    for (const line of this.stderr.split("\n").filter(isOurs)) this.lines.push(`stderr: ${line}`);
  }
}

/** A conversation whose prompts come one after the other. */
class Client {
  #waiting = [];
  #wake = () => {};
  #isOver = false;

  constructor(run, options) {
    this.run = run;
    this.query = sdk.query({ prompt: this.#prompts(), options });
  }

  async *#prompts() {
    for (;;) {
      while (this.#waiting.length > 0) yield this.#waiting.shift();
      if (this.#isOver) return;
      await new Promise((wake) => (this.#wake = wake));
    }
  }

  send(content) {
    this.#waiting.push(prompt(content));
    this.#wake();
  }

  async turn(content) {
    this.send(content);
    await this.untilResult();
  }

  async untilResult() {
    await this.#until((message) => message.type === "result");
  }

  async untilText() {
    await this.#until(() => this.run.text);
  }

  async end() {
    this.#isOver = true;
    this.#wake();
    await this.#until(() => false);
  }

  async #until(isLast) {
    for (;;) {
      const { done, value } = await this.query.next();
      if (done) return;
      this.run.note(value);
      if (isLast(value)) return;
    }
  }
}

function shown(value) {
  const hex = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const text = JSON.stringify(value).replace(/[^ -~]/g, hex);
  if (text.length < 2000) return text;
  return `${value.length} characters, ${createHash("sha256").update(value).digest("hex").slice(0, 16)}`;
}

function kind(value) {
  return Array.isArray(value) ? "array" : typeof value;
}

function truth(value) {
  return value ? "True" : "False";
}

function prompt(said) {
  const { content, ...more } = said.content ? said : { content: said };
  return { type: "user", message: { role: "user", content }, parent_tool_use_id: null, session_id: "", ...more };
}

async function* prompts(...contents) {
  for (const content of contents) yield prompt(content);
}

const runs = (names.length ? names : Object.keys(CASES)).map((name) => new Run(name));
const waiting = runs.values();
const work = async () => {
  for (const run of waiting) await run.lead();
};
await Promise.all(Array.from({ length: AT_ONCE }, work));
for (const run of runs) console.log([`== ${run.name}`, ...run.lines].join("\n"));
