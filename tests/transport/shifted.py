"""The server as a program on a machine whose clock is wrong, by the seconds that the environment says in `AHEAD`."""

from __future__ import annotations

import os
import sys
import time

from kustom_mcp.__main__ import main

now, ahead = time.time, float(os.environ["AHEAD"])

if __name__ == "__main__":
    time.time = lambda: now() + ahead
    sys.exit(main())
