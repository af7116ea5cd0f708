"""The Inspector's command line: a process of it, and so one of the server, for each request."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path

from story import Tools, parsed, tell

PACKAGE = Path("node_modules/@modelcontextprotocol/inspector")
BINS = json.loads((PACKAGE / "package.json").read_text())["bin"]
SCRIPT = str(PACKAGE / (BINS if isinstance(BINS, str) else next(iter(BINS.values()))))
(LINE,) = Path("snippet.sh").read_text().splitlines()
PRINTED = shlex.split(LINE)


async def ask(*words):
    """What the printed command answers with other words in the place of its request."""
    command = [*PRINTED[2 : PRINTED.index("--method")], *words]
    process = await asyncio.create_subprocess_exec(sys.argv[1], SCRIPT, *command, stdout=-1, stderr=-1)
    out, complaints = await process.communicate()
    assert out, complaints.decode()
    return json.loads(out)


async def main(talk):
    await talk(await ask(*PRINTED[PRINTED.index("--method") :]))


async def adapt(listed):
    async def call(name, arguments):
        answer = await ask("--method", "tools/call", "--tool-name", name, "--tool-args-json", json.dumps(arguments))
        text = answer["content"][0]["text"]
        return text, parsed(text)

    return Tools({tool["name"]: tool["inputSchema"] for tool in listed["tools"]}, call)


asyncio.run(tell(main, adapt))
