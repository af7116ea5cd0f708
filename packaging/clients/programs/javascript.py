"""A client in JavaScript: node runs it, and takes the calls of the story from here, a line each (bridge.mjs)."""

from __future__ import annotations

import asyncio
import json
import sys

from story import PERSON, Tools, parsed, tell

NODE, PROGRAM = sys.argv[1:]


async def main(talk):
    pipe = asyncio.subprocess.PIPE
    node = await asyncio.create_subprocess_exec(NODE, PROGRAM, stdin=pipe, stdout=pipe, limit=2**20)
    try:
        await talk(node)
    finally:
        node.stdin.close()
        await node.wait()
    assert node.returncode == 0, f"node ended with {node.returncode}"


async def adapt(node):
    async def hear():
        line = await node.stdout.readline()
        assert line, "the client has ended"
        return json.loads(line)

    def say(message):
        node.stdin.write(json.dumps(message).encode() + b"\n")

    async def call(name, arguments):
        say({"name": name, "arguments": arguments})
        told = await hear()
        while "question" in told:
            say({"agrees": PERSON.agrees(told["question"])})
            told = await hear()
        if "error" in told:
            raise RuntimeError(told["error"])
        return told["seen"], parsed(told["text"])

    return Tools((await hear())["schemas"], call)


asyncio.run(tell(main, adapt))
