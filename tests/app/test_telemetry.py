"""Telemetry of a call for an operator: whole trees of spans, whole metrics; and the secrets that never get there.

The SDK's in-memory exporter and reader are given to the server at its seam, so that no provider is global. Two tests
start a real process with a collector on loopback.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from mcp.client import Client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.endpoint import Read
from kustom_mcp.api.retry import RetryBudget
from kustom_mcp.app.app import SANDBOX_URL, App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.app.telemetry import SILENT, Telemetry
from kustom_mcp.app.telemetry.exporting import wanted
from kustom_mcp.app.telemetry.opentelemetry import OpenTelemetry
from kustom_mcp.calls.policy import Principal
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.quick import quickly
from tests.exams.hostile.test_hostile_text import calls
from tests.exams.hostile.test_personal_data import CAPTURE, KEY, MARK, ORDER, ORDER_PART
from tests.support.conversation import MODES, Mode, conversation, demo, no, yes
from tests.support.sample import sampled
from tests.transport.http.callers import callers
from tests.transport.kustom import Kustom, simulating
from tests.transport.pipe import HANDSHAKE, call, spawned
from tests.transport.pipe import request as request_line
from tests.transport.serving_stdio import serving

API = "/ordermanagement/v1"
ORDER_PATH = f"{API}/orders/{{order_id}}"
OPEN, CAPTURED = "authorized-sek", "captured-sek"
NO_SUCH = "00000000-0000-4000-8000-000000000000"
Tree = tuple[Any, ...]


@dataclass
class Watcher:
    """Somebody who looks: everything that a server exports, in memory."""

    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        resource = Resource.create({"service.name": "kustom-mcp"})
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.telemetry = OpenTelemetry(tracers, MeterProvider([self.reader], resource, shutdown_on_exit=False))

    @property
    def seen(self) -> list[ReadableSpan]:
        return sorted(self.spans.get_finished_spans(), key=lambda span: span.start_time or 0)

    def trees(self) -> list[Tree]:
        """Every trace since the last look as (kind, name, attributes, failed, *children), in the order of beginning.

        What is the same for every span of its kind is checked and left out.
        """
        spans = self.seen
        self.spans.clear()
        known = {span.context.span_id for span in spans if span.context}
        return [tree(span, spans) for span in spans if span.parent is None or span.parent.span_id not in known]

    def metrics(self) -> dict[str, dict[str, float]]:
        """Every metric: its points, by their attributes in one line; of a histogram, how many measurements."""
        found: dict[str, dict[str, float]] = {}
        data = self.reader.get_metrics_data()
        assert data is not None
        for metric in (m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics):
            points = found.setdefault(metric.name, {})
            for point in metric.data.data_points:
                label = " ".join(str(value) for _, value in sorted((point.attributes or {}).items()))
                assert isinstance(point, HistogramDataPoint | NumberDataPoint)
                points[label] = point.count if isinstance(point, HistogramDataPoint) else point.value
        return found


def tree(span: ReadableSpan, spans: list[ReadableSpan]) -> Tree:
    """A span and what is below it."""
    attributes = dict(span.attributes or {})
    assert (list(span.events), list(span.links), span.status.description) == ([], [], None)
    assert span.status.is_unset is ("error.type" not in attributes)
    if span.kind.name == "CLIENT":
        assert (attributes.pop("server.address"), attributes.pop("server.port")) == ("sandbox.invalid", 80)
        assert span.name == f"{attributes.pop('http.request.method')} {attributes.pop('url.template')}"
    if span.kind.name == "SERVER":
        assert attributes.pop("mcp.method.name") == span.name.partition(" ")[0]
        assert attributes.pop("mcp.protocol.version") in ("2025-11-25", "2026-07-28")
        if "gen_ai.tool.name" in attributes:
            assert attributes.pop("gen_ai.operation.name") == "execute_tool"
            assert attributes.pop("gen_ai.tool.name") == span.name.partition(" ")[2]
    assert span.context
    below = [one for one in spans if one.parent is not None and one.parent.span_id == span.context.span_id]
    return (span.name, attributes, *(tree(one, spans) for one in below))


def request(method: str, path: str, status: int | None, error: str = "", proves: str = "", again: int = 0) -> Tree:
    """An attempt, as a tree without branches."""
    attributes: dict[str, Any] = {} if status is None else {"http.response.status_code": status}
    if error:
        attributes |= {"error.type": error, "kustom.attempt.proves": proves}
    if again:
        attributes["http.request.resend_count"] = again
    return (f"{method} {path}", attributes)


def tool(name: str, outcome: str, *below: Tree, error: str = "", **more: Any) -> Tree:
    """A tool call."""
    attributes: dict[str, Any] = {"kustom.outcome": outcome} | more
    if error:
        attributes |= {"kustom.error.code": error, "error.type": "tool_error"}
    return (f"tools/call kustom_{name}", attributes, *below)


READ = request("GET", ORDER_PATH, 200)
CANCEL = f"{ORDER_PATH}/cancel"
DUE_DATE = f"{ORDER_PATH}/captures/{{capture_id}}/extend-due-date"


@pytest.fixture(scope="module")
def kustom() -> Iterator[Kustom]:
    with simulating() as simulator:
        yield simulator


@pytest.mark.parametrize("mode", MODES)
async def test_a_read_is_an_operation_with_one_request(mode: Mode) -> None:
    watcher = Watcher()
    async with conversation(mode, telemetry=watcher.telemetry) as talk:
        watcher.trees()
        await talk.call("get_order", order_id=demo(OPEN))
        assert watcher.trees() == [tool("get_order", "ok", READ)]


async def test_every_message_of_a_connection_is_an_operation() -> None:
    watcher = Watcher()
    async with conversation("legacy", telemetry=watcher.telemetry) as talk:
        await talk.client.get_prompt("explain-error", {"error": "BUSY"})
        await talk.client.read_resource("kustom://reference/money")
        await talk.client.read_resource(f"kustom://orders/{demo(OPEN)}")
    prompt: dict[str, Any] = {"gen_ai.prompt.name": "explain-error"}
    assert watcher.trees() == [
        ("initialize", {}),
        ("notifications/initialized", {}),
        ("tools/list", {}),
        ("prompts/get explain-error", prompt),
        ("resources/read", {}),
        ("resources/read", {}, READ),
    ]


async def test_a_preview_and_its_commit_are_two_operations_with_their_steps() -> None:
    watcher = Watcher()
    async with conversation(telemetry=watcher.telemetry) as talk:
        watcher.trees()
        await talk.confirmed("cancel_order", order_id=demo(OPEN))
    assert watcher.trees() == [
        tool(
            "cancel_order",
            "confirmation_required",
            READ,
            ("kustom.preview", {"kustom.outcome": "confirmation_required"}),
        ),
        tool(
            "cancel_order",
            "applied",
            READ,
            ("kustom.commit", {"kustom.outcome": "applied"}, request("POST", CANCEL, 204), READ),
        ),
    ]
    metrics = watcher.metrics()
    operation, version = "tools/call 2026-07-28", "kustom_cancel_order execute_tool"
    assert {name: points for name, points in metrics.items() if name.startswith("kustom.")} == {
        "kustom.writes": {"kustom_cancel_order applied": 1},
        "kustom.confirmations": {"kustom_cancel_order auto asked": 1, "kustom_cancel_order code given": 1},
        "kustom.writes.in_flight": {"": 0},
        "kustom.retry_budget.remaining": {"": 30.0},
    }
    assert metrics["http.client.request.duration"] == {
        f"GET 200 sandbox.invalid 80 {ORDER_PATH}": 3,
        f"POST 204 sandbox.invalid 80 {CANCEL}": 1,
    }
    operations = metrics["mcp.server.operation.duration"]
    for outcome in ("applied", "confirmation_required"):
        (label,) = [label for label in operations if outcome in label]
        assert set(label.split()) == {*operation.split(), *version.split(), outcome}
        assert operations[label] == 1


@pytest.mark.parametrize("answer", [yes, no])
async def test_a_form_is_a_preview_that_waits_for_the_person(answer: Any) -> None:
    watcher = Watcher()
    async with conversation("legacy", answer, telemetry=watcher.telemetry) as talk:
        watcher.trees()
        await talk.call("cancel_order", order_id=demo(OPEN))
    confirmations = watcher.metrics()["kustom.confirmations"]
    if answer is yes:
        commit: Tree = ("kustom.commit", {"kustom.outcome": "applied"}, request("POST", CANCEL, 204), READ)
        assert watcher.trees() == [tool("cancel_order", "applied", READ, ("kustom.preview", {}, READ), commit)]
        assert confirmations == {"kustom_cancel_order form asked": 1, "kustom_cancel_order form given": 1}
    else:
        step: Tree = ("kustom.preview", {"kustom.outcome": "declined"})
        assert watcher.trees() == [tool("cancel_order", "declined", READ, step)]
        assert confirmations == {"kustom_cancel_order form asked": 1, "kustom_cancel_order form declined": 1}


async def test_a_form_of_2026_is_asked_in_one_operation_and_answered_in_the_next() -> None:
    watcher = Watcher()
    async with conversation("auto", yes, telemetry=watcher.telemetry) as talk:
        watcher.trees()
        await talk.call("cancel_order", order_id=demo(OPEN))
    commit: Tree = ("kustom.commit", {"kustom.outcome": "applied"}, request("POST", CANCEL, 204), READ)
    assert watcher.trees() == [
        tool("cancel_order", "asked", READ, ("kustom.preview", {"kustom.outcome": "asked"})),
        tool("cancel_order", "applied", READ, commit),
    ]


async def test_a_write_whose_answer_was_lost_shows_how_it_was_settled() -> None:
    watcher = Watcher()
    async with conversation(host=quickly, telemetry=watcher.telemetry) as talk:
        preview = await talk.call("cancel_order", order_id=demo(OPEN))
        watcher.trees()
        talk.simulator.faults.add(Fault("POST", "/orders/{order_id}/cancel", "lose_response"))
        await talk.call("cancel_order", order_id=demo(OPEN), confirm=preview["confirm"]["code"])
    commit: Tree = (
        "kustom.commit",
        {"kustom.outcome": "applied"},
        request("POST", CANCEL, None, "ReadError", "ambiguous"),
        ("kustom.settle", {"kustom.landed": "present"}, READ),
    )
    assert watcher.trees() == [tool("cancel_order", "applied", READ, commit, READ)]
    assert watcher.metrics()["kustom.writes"] == {"kustom_cancel_order applied": 1}


async def test_a_write_that_nothing_can_settle_is_unknown_and_stays_so() -> None:
    watcher = Watcher()
    async with conversation(host=quickly, telemetry=watcher.telemetry, KUSTOM_TOOLS="all") as talk:
        order = talk.stored(demo("business-sek"))
        own: dict[str, Any] = {"order_id": order["order_id"], "capture_id": order["captures"][0]["capture_id"]}
        own["number_of_days"] = 14
        preview = await talk.call("extend_due_date", own)
        watcher.trees()
        talk.simulator.faults.add(Fault("PATCH", DUE_DATE, "lose_response"))
        doubt = await talk.call("extend_due_date", own, confirm=preview["confirm"]["code"])
        unknown = {"kustom.outcome": "unknown", "kustom.error.code": "OUTCOME_UNKNOWN", "error.type": "tool_error"}
        options = request("GET", f"{DUE_DATE}-options", 200)
        lost = request("PATCH", DUE_DATE, None, "ReadError", "ambiguous")
        assert watcher.trees() == [
            tool("extend_due_date", "unknown", READ, options, ("kustom.commit", unknown, lost), error="OUTCOME_UNKNOWN")
        ]
        assert "confirm" not in doubt
        await talk.call("extend_due_date", own, confirm=preview["confirm"]["code"])
    again = tool("extend_due_date", "unknown", READ, error="OUTCOME_UNKNOWN", **{"kustom.landed": "unclear"})
    assert watcher.trees() == [again]
    assert watcher.metrics()["kustom.writes"] == {"kustom_extend_due_date unknown": 2}


async def test_a_write_in_doubt_is_settled_by_a_later_call() -> None:
    watcher = Watcher()
    async with conversation(host=quickly, telemetry=watcher.telemetry) as talk:
        preview = await talk.call("cancel_order", order_id=demo(OPEN))
        in_doubt(talk, "lose_response")
        doubt = await talk.call("cancel_order", order_id=demo(OPEN), confirm=preview["confirm"]["code"])
        line_mended(talk)
        watcher.trees()
        await talk.call("cancel_order", order_id=demo(OPEN), confirm=doubt["confirm"]["code"])
    settled = {"kustom.landed": "present"}
    assert watcher.trees() == [tool("cancel_order", "already_applied", READ, **settled)]
    assert watcher.metrics()["kustom.writes"] == {
        "kustom_cancel_order unknown": 1,
        "kustom_cancel_order applied": 1,
    }


async def test_a_read_that_is_asked_again_shows_both_attempts() -> None:
    watcher = Watcher()
    async with conversation(host=quickly, telemetry=watcher.telemetry) as talk:
        watcher.trees()
        talk.simulator.faults.add(Fault("GET", "/orders/{order_id}", "status", status=503))
        await talk.call("get_order", order_id=demo(OPEN))
    first = request("GET", ORDER_PATH, 503, "503", "ambiguous")
    assert watcher.trees() == [tool("get_order", "ok", first, request("GET", ORDER_PATH, 200, again=1))]
    assert watcher.metrics()["kustom.retry_budget.remaining"] == {"": 29.25}


def test_what_ends_by_an_exception_that_nobody_explained_is_an_error_of_its_class_without_its_words() -> None:
    watcher = Watcher()
    telemetry = watcher.telemetry
    for ends in (
        telemetry.operation("tools/call", None, tool="kustom_get_order"),
        telemetry.write_part("commit"),
        telemetry.attempt("GET", "/orders/{order_id}", ("127.0.0.1", 80), 0),
    ):
        with pytest.raises(RuntimeError), ends:
            raise RuntimeError("Canary")
    seen = [(span.status.status_code.name, (span.attributes or {})["error.type"], span.events) for span in watcher.seen]
    assert seen == [("ERROR", "RuntimeError", ())] * 3


async def test_a_request_that_fails_for_good_is_an_error_without_words() -> None:
    watcher = Watcher()
    async with conversation(host=quickly, telemetry=watcher.telemetry) as talk:
        watcher.trees()
        await talk.call("get_order", order_id=NO_SUCH)
        talk.simulator.faults.add(Fault("GET", "/orders/{order_id}", "reset", times=9))
        await talk.call("get_order", order_id=demo(OPEN))
    resets = [request("GET", ORDER_PATH, None, "ReadError", "ambiguous", again=number) for number in range(3)]
    assert watcher.trees() == [
        tool("get_order", "rejected", request("GET", ORDER_PATH, 404, "404", "refused"), error="NOT_FOUND"),
        tool("get_order", "not_sent", *resets, error="UPSTREAM_UNAVAILABLE"),
    ]


def without_retries(app: App) -> None:
    assert app.simulator is not None
    app.client = KustomClient(
        SANDBOX_URL,
        "sandbox",
        app.settings.effective_api_key,
        transport=SandboxTransport(app.simulator),
        budget=RetryBudget(time.monotonic, capacity=0.0),
        observer=app.telemetry,
    )


async def test_retries_that_the_budget_does_not_allow_are_counted() -> None:
    watcher = Watcher()
    async with conversation(host=without_retries, telemetry=watcher.telemetry) as talk:
        talk.simulator.faults.add(Fault("GET", "/orders/{order_id}", "status", status=503))
        await talk.call("get_order", order_id=demo(OPEN))
    assert watcher.metrics()["kustom.retry_budget.exhausted"] == {"": 1}


REFUSED: list[tuple[str, dict[str, str], str, dict[str, Any]]] = [
    ("KUSTOM_WRITES", {"KUSTOM_WRITES": "deny"}, "cancel_order", {}),
    ("KUSTOM_TOOLS", {"KUSTOM_TOOLS": "orders"}, "refund_order", {"refunded_amount": 100}),
    ("KUSTOM_ORDER_SCOPE", {"KUSTOM_ORDER_SCOPE": NO_SUCH}, "get_order", {}),
    ("KUSTOM_MAX_AMOUNT", {"KUSTOM_MAX_AMOUNT": "*:1"}, "refund_order", {"refunded_amount": 100}),
    ("KUSTOM_MAX_DAILY", {"KUSTOM_MAX_DAILY": "*:1"}, "refund_order", {"refunded_amount": 100}),
    ("KUSTOM_CONFIRM", {"KUSTOM_CONFIRM": "form"}, "refund_order", {"refunded_amount": 100}),
    (
        "KUSTOM_TRACKING_HOSTS",
        {"KUSTOM_TRACKING_HOSTS": "example.com"},
        "add_shipping_info",
        {"shipping_info": [{"tracking_number": "1", "tracking_uri": "https://example.org/1"}]},
    ),
]


@pytest.mark.parametrize(("setting", "settings", "name", "arguments"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_a_refusal_of_the_operator_is_counted_by_its_setting(
    setting: str, settings: dict[str, Any], name: str, arguments: dict[str, Any]
) -> None:
    watcher = Watcher()
    async with conversation(telemetry=watcher.telemetry, **settings) as talk:
        await talk.call(name, arguments, order_id=demo(CAPTURED))
    assert watcher.metrics()["kustom.policy.refusals"] == {f"kustom_{name} {setting}": 1}


async def test_the_rate_of_writes_is_a_refusal_too() -> None:
    watcher = Watcher()
    async with conversation(telemetry=watcher.telemetry, KUSTOM_WRITES_PER_MINUTE="1") as talk:
        for reference in ("first", "second"):
            await talk.call("update_merchant_references", order_id=demo(OPEN), merchant_reference1=reference)
    metrics = watcher.metrics()
    assert metrics["kustom.policy.refusals"] == {"kustom_update_merchant_references KUSTOM_WRITES_PER_MINUTE": 1}
    assert metrics["kustom.writes"] == {"kustom_update_merchant_references applied": 1}


@pytest.mark.parametrize("mode", MODES)
async def test_the_trace_of_the_caller_is_continued(mode: Mode) -> None:
    watcher = Watcher()
    meta: Any = {"traceparent": PARENT, "tracestate": "vendor=CanaryState", "baggage": "order=CanaryBaggage"}
    async with conversation(mode, telemetry=watcher.telemetry) as talk:
        watcher.spans.clear()
        await talk.client.call_tool("kustom_get_order", {"order_id": demo(OPEN)}, meta=meta)
        await talk.client.call_tool("kustom_get_order", {"order_id": demo(OPEN)}, meta={"traceparent": "nonsense"})
    operation, attempt, other, _ = watcher.seen
    assert operation.context
    assert operation.parent
    assert f"00-{operation.context.trace_id:032x}-{operation.parent.span_id:016x}-01" == PARENT
    assert attempt.context
    assert attempt.context.trace_id == operation.context.trace_id
    assert (other.parent, dict(operation.context.trace_state)) == (None, {})


async def test_callers_over_http_are_told_apart_by_a_digest_and_not_by_name() -> None:
    watcher = Watcher()
    async with callers(None, watcher.telemetry, KUSTOM_KEYS="k" * 32) as these:
        these.admit("second", Principal("Anna", identity="person:anna", source="people"))
        these.admit("first", Principal("Anna", identity="person:anna", source="people"))
        these.admit("other", Principal("Ben", identity="person:ben", source="people"))
        these.admit("local", Principal("root"))
        for who in ("first", "second", "other", "local"):
            await these.call(who, "get_order", {"order_id": demo(OPEN)})
    told = [
        (span.attributes or {}).get("enduser.pseudo.id") for span in watcher.seen if span.name.startswith("tools/call")
    ]
    first, second, other, local = told
    assert isinstance(first, str)
    assert len(first) == 16
    assert (second, local) == (first, None)
    assert other not in (first, None)
    everything = str([(span.name, dict(span.attributes or {})) for span in watcher.seen]) + str(watcher.metrics())
    assert [each for each in ("Anna", "anna", "Ben", "ben") if each in everything] == []
    assert first not in str(watcher.metrics())


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Crashing(KustomClient):
    """A client with a mistake in it, which says more than it should."""

    async def read(self, endpoint: Read[Any], *, deadline: float, **path: str) -> Any:
        raise RuntimeError(f"PiiCrash {path} {MARK}")


def crashing(app: App) -> None:
    app.client = Crashing("https://example.com", "", app.settings.effective_api_key)


async def test_no_id_and_no_text_is_ever_exported() -> None:
    """Every tool on an order whose every personal field is marked, with mishaps, refusals and made-up names."""
    watcher = Watcher()
    simulator = Simulator(seeds=())
    simulator.add_order(ORDER_PART)
    settings: dict[str, Any] = {"KUSTOM_TOOLS": "all", "KUSTOM_WRITES_PER_MINUTE": "1000", "KUSTOM_USERNAME": "PiiUser"}
    settings["KUSTOM_API_KEY"] = KEY
    secrets = {ORDER, ORDER.replace("-", ""), ORDER[:8], CAPTURE, MARK, "Canary", KEY, "T-1", "Exempelby", "NEW"}
    meta: Any = {"traceparent": PARENT, "tracestate": "vendor=CanaryState", "baggage": "order=CanaryBaggage"}
    async with conversation(simulator=simulator, host=quickly, telemetry=watcher.telemetry, **settings) as talk:
        for name, arguments in calls(talk.stored(ORDER)):
            answer = await talk.call(name, arguments)
            if "confirm" in answer:
                secrets.add(answer["confirm"]["code"])
                await talk.call(name, arguments, confirm=answer["confirm"]["code"])
                await talk.call(name, arguments, confirm="CanaryCode")
            simulator.faults.add(Fault("*", "/orders/{order_id}", "status", status=403, code="CanaryCode", body=None))
            await talk.client.call_tool(f"kustom_{name}", arguments, meta=meta)
            simulator.faults.clear()
        for name in ("Canary", f"kustom_{ORDER}", ORDER):
            with pytest.raises(MCPError):
                await talk.client.call_tool(name, {})
            with pytest.raises(MCPError):
                await talk.client.get_prompt(name)
            with pytest.raises(MCPError):
                await talk.client.read_resource(f"kustom://{name}")
        await talk.call("get_order", order_id=f"{ORDER}/Canary")
        await talk.call("get_order", {"order_id": ORDER, "Canary": 1})
        await talk.client.read_resource(f"kustom://orders/{ORDER}")
        secrets |= {str(seen.key) for seen in simulator.requests if seen.key}
        secrets |= {entry["refund_id"] for entry in talk.stored(ORDER)["refunds"]}
        secrets |= {entry["capture_id"] for entry in talk.stored(ORDER)["captures"]}
    async with conversation(host=crashing, telemetry=watcher.telemetry) as talk:
        assert (await talk.call("get_order", order_id=ORDER))["error"]["code"] == "INTERNAL"
    metrics = watcher.reader.get_metrics_data()
    assert metrics is not None
    exported = [*(span.to_json() for span in watcher.seen), metrics.to_json()]
    assert len(exported) > 150
    assert {text for text in secrets for document in exported if text in document} == set()


@contextmanager
def collecting() -> Generator[tuple[str, list[tuple[str, bytes]]]]:
    """An OTLP receiver on loopback: its URL, and what it has been sent."""
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.real_clock
@pytest.mark.parametrize("how", sampled([None, signal.SIGTERM], 2))
async def test_spans_and_metrics_have_arrived_when_the_process_has_ended(
    how: signal.Signals | None, kustom: Kustom, tmp_path: Path
) -> None:
    """And nothing of what a client makes up is in them."""
    made_up = [
        request_line("CanaryId", "canary/method"),
        request_line(f"Canary{ORDER}", "prompts/get", {"name": "Canary"}),
    ]
    with collecting() as (url, received):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=desk"}
        async with spawned(kustom, tmp_path, **settings) as pipe:
            await pipe.send(*HANDSHAKE, *made_up)
            await pipe.result(call("CanaryCall", "get_order", {"order_id": demo(OPEN)}))
            pipe.end(how)
            code = await pipe.ended()
    assert (code, pipe.stderr) == (0, "")
    assert {path for path, _ in received} == {"/v1/traces", "/v1/metrics"}
    sent = {path: b"".join(body for at, body in received if at == path) for path, _ in received}
    names = (b"tools/call kustom_get_order", b"_OTHER", b"deployment.environment.name", b"kustom-mcp")
    assert [name for name in names if name not in sent["/v1/traces"]] == []
    assert b"mcp.server.operation.duration" in sent["/v1/metrics"]
    secrets = (b"anary", demo(OPEN).encode(), ORDER.encode(), b"TWX")
    assert [secret for secret in secrets if any(secret in body for body in sent.values())] == []


@pytest.mark.real_clock
async def test_over_http_they_have_arrived_at_the_end_as_well(kustom: Kustom, tmp_path: Path) -> None:
    with collecting() as (url, received):
        with serving(kustom, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url) as served:
            async with Client(served.url) as client:
                await client.call_tool("kustom_get_order", {"order_id": demo(OPEN)})
        sent = b"".join(body for path, body in received if path == "/v1/traces")
    assert b"tools/call kustom_get_order" in sent
    assert b"/ordermanagement/v1/orders/{order_id}" in sent
    assert demo(OPEN).encode() not in sent


@pytest.mark.real_clock
async def test_a_collector_that_is_down_costs_one_line(kustom: Kustom, tmp_path: Path) -> None:
    with collecting() as (url, _):
        pass  # nobody listens there any more
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_METRIC_EXPORT_INTERVAL": "10",
    }
    async with spawned(kustom, tmp_path, **settings) as pipe:
        await pipe.send(*HANDSHAKE)
        for number in range(20):
            assert (await pipe.result(call(number, "get_order", {"order_id": demo(OPEN)})))["outcome"] == "ok"
        pipe.close()
        code = await pipe.ended()
    assert code == 0
    (line,) = pipe.stderr.splitlines()
    assert line.startswith("kustom-mcp: WARNING kustom_mcp.telemetry: telemetry does not get through to its collector")


OFF: list[dict[str, str]] = [
    {},
    {"OTEL_SERVICE_NAME": "desk"},
    {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "${COLLECTOR}"},
]


def test_without_an_exporter_nothing_starts_and_the_sdk_is_not_imported() -> None:
    program = (
        "import json, sys, kustom_mcp.cli.serve\n"
        "from kustom_mcp.settings.environment import load\n"
        "from kustom_mcp.app.telemetry import SILENT, start\n"
        "assert all(start(load(given).telemetry) is SILENT for given in json.loads(sys.argv[1]))\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", program, json.dumps(OFF)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


BOTH = frozenset({"TRACES", "METRICS"})
ASKED: list[tuple[dict[str, str], frozenset[str], str]] = [
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, BOTH, ""),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, frozenset({"TRACES"}), ""),
    ({"OTEL_METRICS_EXPORTER": "otlp"}, frozenset({"METRICS"}), ""),
    ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, frozenset({"METRICS"}), ""),
    ({"OTEL_TRACES_EXPORTER": "console"}, frozenset(), "OTEL_TRACES_EXPORTER: only otlp and none are possible here"),
    ({"OTEL_TRACES_EXPORTER": "jaeger"}, frozenset(), "OTEL_TRACES_EXPORTER: only otlp and none are possible here"),
    ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, frozenset({"TRACES"}), ""),
    (
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        frozenset(),
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ),
    ({"OTEL_SDK_DISABLED": "True", "OTEL_TRACES_EXPORTER": "otlp"}, frozenset(), ""),
]


@pytest.mark.parametrize(("settings", "signals", "said"), ASKED)
def test_what_is_exported_is_what_the_variables_ask_for(
    settings: dict[str, str], signals: frozenset[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert wanted(settings) == signals
    assert said in caplog.text
    assert bool(said) is bool(caplog.text)


def test_an_env_file_may_hold_the_variables_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("OTEL_SERVICE_NAME=file\nOTEL_TRACES_EXPORTER=otlp\nPATH=elsewhere\n")
    environ = {"OTEL_SERVICE_NAME": "desk", "OTEL_TRACES_EXPORTER": "${TRACES}", "OTEL_METRICS_EXPORTER": ""}
    assert load(environ, file).telemetry == {"OTEL_SERVICE_NAME": "desk", "OTEL_TRACES_EXPORTER": "otlp"}


def middleware(telemetry: Telemetry) -> list[str]:
    app = App.of(load({}).settings, telemetry=telemetry)
    return [type(one).__name__ for one in build_server(app).middleware]


def test_the_sdk_makes_no_spans_of_its_own_of_what_a_client_sends() -> None:
    """It would, wherever somebody sets a global provider."""
    assert middleware(SILENT) == ["RequestStateBoundary"]
    assert middleware(Watcher().telemetry) == ["Tracing", "RequestStateBoundary"]
