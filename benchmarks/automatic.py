"""What FastMCP makes by itself from an OpenAPI description: a tool for every call.

    python automatic.py URL DESCRIPTION          over stdio
    python automatic.py URL DESCRIPTION PORT     over Streamable HTTP

Run by path, in an environment that holds FastMCP only; this project does not depend on it.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import httpx2 as httpx

FastMCP: Any = importlib.import_module("fastmcp").FastMCP
URL, DESCRIPTION, *PORT = sys.argv[1:]

if __name__ == "__main__":
    description: dict[str, Any] = json.loads(Path(DESCRIPTION).read_text(encoding="utf-8"))
    client = httpx.AsyncClient(base_url=URL, auth=("user", "kco_test_api_sandbox"), trust_env=False)
    server = FastMCP.from_openapi(openapi_spec=description, client=client, name="automatic")
    if PORT:
        quiet = {"log_level": "error", "access_log": False}
        server.run(transport="http", port=int(PORT[0]), show_banner=False, uvicorn_config=quiet)
    else:
        server.run(show_banner=False)
