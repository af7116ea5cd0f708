"""The command line: `kustom-mcp` serves MCP over stdio; the other commands are for people.

The cyclic garbage collector is off while the modules load: nothing that imports create is garbage, and looking for some
costs about an eighth of the time to the first answer. And where stdout will carry the protocol, nothing that a module
prints while it loads may reach it.
"""

import gc
import sys


def main() -> int:
    """Run the command that the arguments name; the exit code is 0, 1 (a problem was found) or 2 (usage, settings)."""
    gc.disable()
    from kustom_mcp.commands import stdout

    if stdout.serves_stdio(sys.argv[1:]):
        stdout.divert()
    from kustom_mcp.commands.line import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
