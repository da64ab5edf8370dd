// Asks a gateway through the Vercel AI SDK, with tools that Anthropic defines, and prints what comes of it: see frameworks.py.
//
// usage: node frameworks.mjs PACKAGES URL TOKEN

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, url, apiKey] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { createAnthropic } = await load("@ai-sdk/anthropic");
const { generateText, streamText, tool, stepCountIs, Output } = await load("ai");
const { z } = await load("zod");

const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey });
const model = anthropic("claude-sonnet-4-5");
const LS = { name: "bash", arguments: { command: "ls" } };
const PWD = { name: "bash", arguments: { command: "pwd" } };
const INSERT = {
  name: "str_replace_based_edit_tool",
  arguments: { command: "insert", path: "/a", insert_line: 0, insert_text: "b" },
};
const LOOK = { name: "memory", arguments: { command: "view", path: "/memories" } };
const PERSON = { name: "person", arguments: { name: "Ada", age: 36 } };
const execute = async (input) => `result of ${JSON.stringify(input)}`;
const typed = {
  bash: anthropic.tools.bash_20250124({ execute }),
  str_replace_based_edit_tool: anthropic.tools.textEditor_20250728({ execute }),
  memory: anthropic.tools.memory_20250818({ execute }),
};
const person = tool({ description: "A person.", inputSchema: z.object({ name: z.string(), age: z.number() }) });

const say = (...words) => console.log(words.join(" "));
const shown = (calls) => calls.map((call) => `${call.toolName} ${JSON.stringify(call.input)}`).join("; ");

async function bothWays(name, calls, more = {}) {
  const request = { model, tools: typed, maxOutputTokens: 100, maxRetries: 0, prompt: JSON.stringify(calls), ...more };
  const whole = await generateText(request);
  const streamed = streamText({ ...request, onError: ({ error }) => say("error:", error.message) });
  for (const answer of [whole, streamed]) {
    const steps = await answer.steps;
    say(`ai, ${name}: ${steps.map((step) => `${shown(step.toolCalls)} (${step.finishReason})`).join(" -> ")}`);
    say(" ", JSON.stringify(await answer.text));
  }
}

await bothWays("typed tools", [LS, INSERT, LOOK]);
await bothWays("two steps", [LS], { stopWhen: stepCountIs(2) });
await bothWays("forced", [LOOK], { toolChoice: { type: "tool", toolName: "memory" } });
await bothWays("forced at last", ["at last", LS], { toolChoice: { type: "tool", toolName: "bash" } });
const oneAtATime = { anthropic: { disableParallelToolUse: true } };
await bothWays("one at a time", [LS, PWD], { providerOptions: oneAtATime });
await bothWays("required", ["at last", PERSON], { tools: { person }, toolChoice: "required" });
const output = Output.object({ schema: z.object({ name: z.string(), age: z.number() }) });
const prompt = JSON.stringify(["at last", { ...PERSON, name: "json" }]);
const asTool = { anthropic: { structuredOutputMode: "jsonTool" } };
const answer = await generateText({ model, output, prompt, providerOptions: asTool, maxOutputTokens: 100, maxRetries: 0 });
say("ai, structured:", JSON.stringify(answer.output));
