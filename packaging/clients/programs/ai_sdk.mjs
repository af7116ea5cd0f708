// AI SDK: generateText with a model that is a script, so that its whole loop runs.

import { generateText, isStepCount, stepCountIs } from "ai";
import * as mocks from "ai/test";
import { talkThrough } from "./bridge.mjs";

const Mock = mocks.MockLanguageModelV4 ?? mocks.MockLanguageModelV3;
const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };

await talkThrough(async (tools) => {
  async function call(name, given) {
    let schemas, handed;
    const model = new Mock({
      doGenerate: async ({ tools: offered, prompt }) => {
        schemas = Object.fromEntries(offered.map((tool) => [tool.name, tool.inputSchema]));
        const last = prompt.at(-1);
        if (last.role === "tool" || name === null) {
          handed = last;
          return { content: [{ type: "text", text: "Done." }], finishReason: { unified: "stop" }, usage, warnings: [] };
        }
        const asked = { type: "tool-call", toolCallId: "call_1", toolName: name, input: JSON.stringify(given) };
        return { content: [asked], finishReason: { unified: "tool-calls" }, usage, warnings: [] };
      },
    });
    await generateText({ model, tools, prompt: "Go on.", stopWhen: (isStepCount ?? stepCountIs)(2) });
    if (name === null) return schemas;
    const { output } = handed.content[0];
    const text = output.type === "content" ? output.value[0].text : (output.value.content?.[0].text ?? output.value);
    return { seen: text, text };
  }
  return { schemas: await call(null), call };
});
