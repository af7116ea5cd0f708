"""The start of the desktop bundle: the switch of its settings page becomes a setting, then it is the ordinary server.

A switch gives `true` or `false`; off means read-only, but for the sandbox, where there is nothing to protect. Of
several shops it is a bound: on, each shop allows what its own table says.
"""

import os
import sys

from kustom_mcp.__main__ import main


def given(name: str) -> str:
    """A value of the settings page; what was left empty may arrive as a literal `${...}`."""
    value = os.environ.get(name, "").strip()
    return "" if value.startswith("${") else value


if __name__ == "__main__":
    allowed = given("ALLOW_WRITES").lower() == "true"
    credentials = given("KUSTOM_API_KEY") and given("KUSTOM_ENVIRONMENT") != "sandbox"
    if credentials or given("KUSTOM_SHOPS_FILE"):
        os.environ["KUSTOM_WRITES"] = "allow" if allowed else "deny"
    sys.exit(main())
