// What the clients in JavaScript share: they take calls from javascript.py, a line each, and tell what came of them.

import { createInterface } from "node:readline";
import { main } from "./snippet.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const hear = async () => JSON.parse((await lines.next()).value ?? "null");

globalThis.agrees = async (question) => {
  say({ question });
  return (await hear()).agrees;
};

// `adapt` makes of what a snippet gives to `talk` the schemas, and a function that calls a tool.
export async function talkThrough(adapt) {
  await main(async (offered) => {
    const { schemas, call } = await adapt(offered);
    say({ schemas });
    for (let next = await hear(); next !== null; next = await hear()) {
      try {
        say(await call(next.name, next.arguments));
      } catch (error) {
        say({ error: String(error) });
      }
    }
  });
}
