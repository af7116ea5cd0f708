// The TypeScript SDK, in the old and in the new packages: a client, as a host has it.

import { talkThrough } from "./bridge.mjs";

await talkThrough(async (client) => {
  const { tools } = await client.listTools();
  return {
    schemas: Object.fromEntries(tools.map((tool) => [tool.name, tool.inputSchema])),
    call: async (name, given) => {
      const { content } = await client.callTool({ name, arguments: given });
      return { seen: content[0].text, text: content[0].text };
    },
  };
});
