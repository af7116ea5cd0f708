"""The command line: `kustom-mcp` serves MCP over stdio; the other commands are for people.

The cyclic garbage collector is off while the modules load: nothing that imports create is garbage, and looking for some
costs about an eighth of the time to the first answer. And where stdout will carry the protocol, nothing that a module
prints while it loads may reach it.
"""

import gc
import sys


def main() -> int:
    """Run the command that the arguments name; the exit code is 0, 1 (a problem was found, or the output cannot be
    written) or 2 (usage, settings), and 141 where whoever read the output has left, as `head` does."""
    gc.disable()
    from kustom_mcp.cli import stdout

    words = sys.argv[1:]
    over_stdio = stdout.serves_stdio(words)
    if over_stdio:
        stdout.divert()
    from kustom_mcp.cli.parser import run

    if over_stdio or "serve" in words:
        return run(words)
    try:
        try:
            return run(words)
        finally:
            stdout.flush()
    except BaseException as error:
        if stdout.is_broken_pipe(error):
            return stdout.unheard()
        if stdout.is_unwritten(error):
            return stdout.unwritten(error)
        raise


if __name__ == "__main__":
    sys.exit(main())
