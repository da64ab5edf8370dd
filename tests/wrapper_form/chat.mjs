// A chat as VS Code's extension has it: the Agent SDK runs the wrapper, with the path of its own Claude Code before all else.
// usage: chat.mjs SDK WRAPPER CLAUDE
const [sdk, wrapper, claude] = process.argv.slice(2);
const { query } = await import(sdk);

// With an id, as claude-agent-acp gives one: the Claude Code that goes on in the session must not take it for one that is done.
const uuid = crypto.randomUUID();
const seen = new Set();

async function* prompts() {
  yield { type: "user", uuid, session_id: "", parent_tool_use_id: null, message: { role: "user", content: [{ type: "text", text: "hello" }] } };
}

const options = {
  pathToClaudeCodeExecutable: wrapper,
  executableArgs: [claude],
  includePartialMessages: true,
  settingSources: ["user", "project", "local"],
  extraArgs: { "replay-user-messages": null },
  canUseTool: async () => ({ behavior: "deny", message: "no" }),
};
for await (const message of query({ prompt: prompts(), options })) {
  if (message.type === "user") seen.add(message.uuid);
  if (message.type === "result") console.log(`${message.subtype}: ${message.result}`);
}
console.log(seen.size === 1 && seen.has(uuid));
