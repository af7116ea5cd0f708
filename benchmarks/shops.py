"""Several shops in one server: what they add to its start, its memory and its list of tools, beside one shop.

    uv run python -m benchmarks.shops [--rounds 13]

One, three and twenty shops are started in turn over stdio, in alternating order, in an empty home; no shop is asked for
anything. The memory is read from /proc, so on Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.startup import HELLO, ROOT, Times, start

COMMAND = [sys.executable, "-m", "kustom_mcp"]
ERA = "2025-11-25"
NUMBERS = (1, 3, 20)
KEY = "kco_test_api_invented"


def settings(home: Path, number: int) -> dict[str, str]:
    """The settings of a server of so many shops, with invented credentials. One shop has no file of shops."""
    paths = {"HOME": str(home), "KUSTOM_STATE_DIR": str(home / "state")}
    if number == 1:
        return paths | {"KUSTOM_API_KEY": KEY, "KUSTOM_USERNAME": "PM00000_x", "KUSTOM_ENVIRONMENT": "playground"}
    rows: list[str] = []
    for shop in range(number):
        key = _private(home / f"{shop}.key", f"{KEY}{shop:03}")
        rows += [f"[shops.shop{shop}]", f'title = "Shop {shop}"', 'environment = "playground"']
        rows += [f"api_key_file = {json.dumps(str(key))}", f'username = "PM{shop:05}_x"']
    return paths | {"KUSTOM_SHOPS_FILE": str(_private(home / "shops.toml", "\n".join(rows)))}


def _private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def footprint(given: dict[str, str]) -> tuple[int, int]:
    """Bytes of the `tools/list` reply, and kB that the process holds after it."""
    process = subprocess.Popen(
        COMMAND, cwd=ROOT, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    answer = b""
    for number, (method, params) in enumerate(HELLO[ERA]):
        asked = {"jsonrpc": "2.0", "method": method, **({} if params is None else {"id": number, "params": params})}
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        answer = answer if params is None else process.stdout.readline()
    assert "tools" in json.loads(answer)["result"]
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    held = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    process.stdin.close()
    process.wait()
    return len(answer), int(held)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=13, help="starts of each, at least 2, default 13")
    rounds = max(2, parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as folder:
        servers: dict[int, dict[str, str]] = {}
        for number in NUMBERS:
            home = Path(folder) / str(number)
            home.mkdir(mode=0o700)
            servers[number] = settings(home, number)
        times = {number: Times() for number in NUMBERS}
        for turn in range(rounds + 1):
            for number in NUMBERS[:: 1 if turn % 2 else -1]:
                first, listed, processor = start(COMMAND, ERA, servers[number])
                if turn:
                    times[number].first.append(first)
                    times[number].listed.append(listed)
                    times[number].processor.append(processor)
        held = {number: [footprint(servers[number]) for _ in range(5)] for number in NUMBERS}
        one, (least, alone) = statistics.median(times[1].listed), _medians(held[1])
        titles = f"{'shops':>5}{'tools/list, ms':>16}{'ratio':>8}{'processor, ms':>15}"
        print(f"{titles}{'reply, bytes':>18}{'kB a shop':>11}")
        for number in NUMBERS:
            size, kilobytes = _medians(held[number])
            figures = times[number].figures()
            ratio, more = figures["tools/list"] / one, (kilobytes - alone) / max(1, number - 1)
            print(
                f"{number:>5}{figures['tools/list']:>16}{ratio:>8.2f}{figures['processor']:>15}"
                f"{f'{size:,} (+{size - least:,})':>18}{more:>11.0f}"
            )


def _medians(found: list[tuple[int, int]]) -> tuple[int, int]:
    sizes, kilobytes = zip(*found, strict=True)
    return int(statistics.median(sizes)), int(statistics.median(kilobytes))


if __name__ == "__main__":
    main()
