"""Requests generated from the published descriptions, against `simulate` in a process of its own: no server error.

schemathesis makes them, valid ones and broken ones, in an environment of its own that uv makes, for orders, captures,
refunds and payouts that exist. What was asked and answered is counted on both sides. Skipped where the descriptions
are not at hand, and outside CI where uv cannot get schemathesis.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from kustom_mcp.simulator.app import API_KEY
from tests.support import settlements
from tests.support.description import description, put_right
from tests.support.unhurried import PATIENCE

pytestmark = [pytest.mark.exam, pytest.mark.real_clock]

UV = os.environ.get("UV") or shutil.which("uv") or "uv"
SCHEMATHESIS = [UV, "tool", "run", "--quiet", "--from", "schemathesis==4.32.5", "--exclude-newer", "2026-11-29"]
"""Not among what the repository needs: as with the clients in packaging/, one version, its packages as of one day."""
LIMIT = 600  # seconds; against a hang

MOST = 200_000_000
"""The largest amount of the description, so that most of the amounts that are tried fit."""
CAPTURE, REFUND = "capture-1", "refund-1"
"""The same in every order, so that any two ids that are tried belong together."""
ENTRIES: dict[str, dict[str, Any]] = {
    "AUTHORIZED": {},
    "PART_CAPTURED": {"captures": [{"capture_id": CAPTURE, "captured_amount": MOST // 2}]},
    "CAPTURED": {
        "captures": [{"capture_id": CAPTURE, "captured_amount": MOST}],
        "refunds": [{"refund_id": REFUND, "refunded_amount": 100}],
    },
}
EACH = 2  # orders of each status for every path: a cancellation is the end of one


@pytest.fixture
def sandbox(tmp_path: Path) -> Generator[httpx.Client]:
    """A client of a sandbox in a process of its own. It wrote nothing about an error when it ends."""
    with (tmp_path / "stderr").open("w") as told:
        command = [sys.executable, "-m", "kustom_mcp", "simulate", "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with httpx.Client(base_url=url, auth=("demo", API_KEY), timeout=PATIENCE) as http:
            yield http
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def generated(url: str, document: Mapping[str, Any], examples: int, folder: Path) -> dict[str, Any]:
    """Let schemathesis send what it makes of a description: its report."""
    if shutil.which(UV) is None or subprocess.run([*SCHEMATHESIS, "schemathesis", "--version"], check=False).returncode:
        if "CI" not in os.environ:
            pytest.skip("uv cannot get schemathesis here")
        pytest.fail("uv cannot get schemathesis")
    (folder / "description.json").write_text(json.dumps(document), encoding="utf-8")
    options = {
        "--url": url,
        "--auth": f"demo:{API_KEY}",
        "--checks": "not_a_server_error",
        "--phases": "examples,coverage,fuzzing",
        "--mode": "all",
        "--max-examples": str(examples),
        "--seed": "16",
        "--workers": "1",
        "--report": "json",
        "--report-json-path": "report.json",
        "--warnings": "off",
        "--suppress-health-check": "all",
    }
    words = [word for option in options.items() for word in option]
    done = subprocess.run(
        [*SCHEMATHESIS, "schemathesis", "run", "description.json", *words, "--continue-on-failure"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def narrowed(paths: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The paths of a description whose parameters of these names have one of these values."""
    copy = json.loads(json.dumps(paths))
    for call in (call for item in copy.values() for call in item.values()):
        for parameter in call.get("parameters", []):
            if parameter["name"] in known:
                parameter["schema"] = {"type": "string", "enum": list(known[parameter["name"]])}
    return copy


def possible(paths: dict[str, Any]) -> dict[str, Any]:
    """The same where what the sandbox refuses before it looks at anything else counts as broken."""
    for path, name, more in (
        ("post /captures", "captured_amount", {"minimum": 1}),
        ("post /refunds", "refunded_amount", {"minimum": 1}),
        ("patch /captures/{capture_id}/extend-due-date", "number_of_days", {"enum": [14, 30, 60]}),
    ):
        method, _, end = path.partition(" ")
        body = paths[f"/ordermanagement/v1/orders/{{order_id}}{end}"][method]["requestBody"]
        body["content"]["application/json"]["schema"]["properties"][name] |= more
    return paths


def added(sandbox: httpx.Client) -> list[str]:
    """The ids of new orders of each status."""
    given = [{"status": status, "order_amount": MOST, **entries} for status, entries in ENTRIES.items()] * EACH
    return [sandbox.post("/sandbox/orders", json=each).raise_for_status().json()["order_id"] for each in given]


def told(sandbox: httpx.Client, prefix: str, paths: Mapping[str, Any], report: Mapping[str, Any]) -> int:
    """Hold both sides' account to the promise; the number of requests. Every call must have succeeded at least once."""
    log = [seen for seen in sandbox.get("/sandbox/requests").json() if seen["path"].startswith(prefix)]
    cases, operations = report["test_cases"], report["operations"]
    assert (report["complete"], report["failures"], report["errors"], cases["errored"]) == (True, [], [], 0)
    assert operations["tested"] == operations["total"] == sum(map(len, paths.values()))
    answers = Counter(seen["status"] for seen in log)
    assert {status for status in answers if status is None or status >= 500} == set(), answers
    good = [(seen["method"], seen["path"].split("?")[0]) for seen in log if seen["status"] < 300]
    for path, item in paths.items():
        form = re.compile(re.escape(prefix) + re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
        for method in item:
            assert any(done == method.upper() and form.fullmatch(where) for done, where in good), (
                method,
                path,
                answers,
            )
    assert answers[400] > 0, answers
    return min(cases["generated"], len(log))


def test_no_generated_request_about_orders_is_a_server_error(sandbox: httpx.Client, tmp_path: Path) -> None:
    paths = possible(put_right(description()["paths"]))
    known = {"capture_id": [CAPTURE], "refund_id": [REFUND]}
    for path, item in list(paths.items()):
        paths |= narrowed({path: item}, known | {"order_id": added(sandbox)})
    report = generated(str(sandbox.base_url), {**description(), "paths": paths}, 40, tmp_path)
    assert told(sandbox, "", paths, report) >= 2000


def test_no_generated_request_about_settlements_is_a_server_error(sandbox: httpx.Client, tmp_path: Path) -> None:
    document = settlements.described()
    payouts = sandbox.get("/settlements/v1/payouts").raise_for_status().json()["payouts"]
    orders = [order["order_id"] for order in sandbox.get("/sandbox/orders").json()]
    known = {"payment_reference": [each["payment_reference"] for each in payouts], "order_id": orders}
    served = {path: item for path, item in document["paths"].items() if not path.startswith("/reports/")}
    paths = narrowed(served, known)
    url = f"{sandbox.base_url}/settlements/v1"
    report = generated(url, {**document, "paths": paths, "servers": [{"url": url}]}, 60, tmp_path)
    assert told(sandbox, "/settlements/v1", paths, report) >= 400
