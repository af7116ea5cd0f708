"""What FastMCP makes by itself from an OpenAPI description: a tool for every call.

    python automatic.py URL DESCRIPTION

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
URL, DESCRIPTION = sys.argv[1:]

if __name__ == "__main__":
    description: dict[str, Any] = json.loads(Path(DESCRIPTION).read_text(encoding="utf-8"))
    client = httpx.AsyncClient(base_url=URL, auth=("user", "kco_test_api_example"), trust_env=False)
    FastMCP.from_openapi(openapi_spec=description, client=client, name="automatic").run(show_banner=False)
