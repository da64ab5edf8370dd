// Has an agent of the TypeScript Agent SDK work under its eyes, and prints what the agent asks.
//
// usage: agent.mjs MODULE CLAUDE
//
// `agent.py` does the same with the Python SDK and prints the same.

import { createRequire } from "node:module";

const [module, claude] = process.argv.slice(2);
const { query, tool, createSdkMcpServer } = await import(module);
const { z } = createRequire(module)("zod");

const say = (line) => console.log(line);

const note = async (given) => {
  say(["hook", given.hook_event_name, given.tool_name].filter(Boolean).join(" "));
  return {};
};

const hold = async (given) => {
  await note(given);
  const permissionDecisionReason = "held by the hook";
  return { hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision: "deny", permissionDecisionReason } };
};

const mayUse = async (name, given) => {
  say(`may it use ${name}: ${given.command ?? null}`);
  if (given.command === "touch forbidden") return { behavior: "deny", message: "not this one" };
  return { behavior: "allow", updatedInput: given };
};

const add = tool("add", "Adds two numbers", { a: z.number(), b: z.number() }, async ({ a, b }) => {
  say(`add ${a} and ${b}`);
  return { content: [{ type: "text", text: String(a + b) }] };
});

async function lead(prompt, more) {
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  // Whoever asks for permission must listen until the end.
  async function* prompts() {
    yield { type: "user", message: { role: "user", content: prompt }, parent_tool_use_id: null, session_id: "" };
    await ended;
  }
  const stderr = (text) => process.stderr.write(text);
  const options = { pathToClaudeCodeExecutable: claude, stderr, ...more };
  for await (const message of query({ prompt: prompts(), options })) {
    if (message.type !== "result") continue;
    say(`result ${message.subtype}: ${message.result}`);
    end();
  }
}

const noted = { hooks: [note] };
const calculator = createSdkMcpServer({ name: "calculator", tools: [add] });
await lead("do it", { hooks: { PreToolUse: [noted] }, canUseTool: mayUse, mcpServers: { calculator } });
const hooks = { UserPromptSubmit: [noted], PreToolUse: [{ matcher: "Bash", hooks: [hold] }], Stop: [noted] };
await lead("do it again", { hooks });
