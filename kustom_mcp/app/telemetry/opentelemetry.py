"""Spans and metrics from the code's reports, by OpenTelemetry's API. Names are those of its conventions where it has
some; ours begin with `kustom.`.

Providers are given, never global: the OpenTelemetry of other code in the process stays apart, and a
test has its own. Three things that the conventions ask for are left out on purpose, since they would carry ids or text
of a caller: the full URL of a request, the URI of a resource, the request's id. For the same reason no exception is
recorded with its message, and of the caller's context only `traceparent` is taken, not `tracestate` or `baggage`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from copy import copy
from time import perf_counter
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kustom_mcp import __version__
from kustom_mcp.app.telemetry import Activity, Telemetry, WritePart

SCOPE: Final = "kustom-mcp"
FAILED: Final = frozenset({"not_sent", "rejected", "unknown"})
QUESTIONS: Final = frozenset({"question", "preview"})
BAD_CONFIRMATIONS: Final = frozenset(
    {"CONFIRMATION_INVALID", "CONFIRMATION_EXPIRED", "CONFIRMATION_MISMATCH", "STATE_CHANGED"}
)
OPERATION_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

Attributes = dict[str, Any]


class _OpenSpan(Activity):
    """An open span. `facts` are the attributes that its metric gets as well."""

    def __init__(self, span: Span, facts: Attributes) -> None:
        self._span = span
        self.facts = facts
        self.open = True
        """True if nothing has been said about its end."""

    def ended(self, outcome: str, code: str | None = None) -> None:
        facts: Attributes = {"kustom.outcome": outcome}
        if code is not None:
            facts["kustom.error.code"] = code
        self._end(facts, "tool_error" if outcome in FAILED else None)

    def failed(self, code: int) -> None:
        self._end({"rpc.response.status_code": str(code)}, str(code))

    def answered(self, outcome: str, status: int | None, error: str | None) -> None:
        if status is not None:
            self._end({"http.response.status_code": status}, error)
        else:
            self._end({}, error)
        if error is not None:
            self._span.set_attribute("kustom.attempt.proves", outcome)

    def raised(self, error: BaseException) -> None:
        """Note an exception that was not reported: its class, and nothing of its text."""
        if self.open:
            self._end({}, type(error).__qualname__)

    def _end(self, facts: Attributes, error: str | None) -> None:
        self.open = False
        if error is not None:
            facts["error.type"] = error
            self._span.set_status(StatusCode.ERROR)
        self.facts.update(facts)
        self._span.set_attributes(facts)


class OpenTelemetry(Telemetry):
    """Telemetry in which every report becomes a span, a measurement, or both. `finish` does the same as
    `Telemetry.finish`."""

    on = True

    def __init__(
        self, tracers: TracerProvider, meters: MeterProvider, finish: Callable[[float], None] | None = None
    ) -> None:
        self._shop: Attributes = {}
        """The name of the shop that the reports are about, of several."""
        self._budgets: dict[str, Callable[[], float]] = {}
        """The functions that count the retries left, by shop."""
        self._tracer = tracers.get_tracer(SCOPE, __version__)
        self._finish = finish
        self._meter = meter = meters.get_meter(SCOPE, __version__)
        self._operations = meter.create_histogram(
            "mcp.server.operation.duration",
            "s",
            "Duration of a message of the protocol, from its arrival to its answer.",
            explicit_bucket_boundaries_advisory=OPERATION_SECONDS,
        )
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of a request to Kustom; each attempt counts.",
            explicit_bucket_boundaries_advisory=REQUEST_SECONDS,
        )
        self._writes = meter.create_counter("kustom.writes", "{write}", "Writes by their outcome, as in the audit.")
        self._confirmations = meter.create_counter(
            "kustom.confirmations", "{confirmation}", "Confirmations asked, given, declined and refused."
        )
        self._refusals = meter.create_counter(
            "kustom.policy.refusals", "{refusal}", "Calls refused by a setting of the operator."
        )
        self._hooks = meter.create_counter(
            "kustom.hooks", "{hook}", "Webhooks and push callbacks, by what became of them."
        )
        self._flying = meter.create_up_down_counter("kustom.writes.in_flight", "{write}", "Writes that have left.")
        self._exhausted = meter.create_counter(
            "kustom.retry_budget.exhausted", "{retry}", "Retries that were due and not made."
        )

    def for_shop(self, name: str) -> OpenTelemetry:
        of_shop = copy(self)
        of_shop._shop = {"kustom.shop": name}
        return of_shop

    def in_shop(self) -> None:
        get_current_span().set_attributes(self._shop)

    @contextmanager
    def operation(
        self,
        method: str,
        meta: Mapping[str, object] | None,
        *,
        tool: str = "",
        prompt: str = "",
        version: str = "",
        caller: str = "",
    ) -> Generator[Activity]:
        facts: Attributes = {"mcp.method.name": method}
        if version:
            facts["mcp.protocol.version"] = version
        if tool:
            facts |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        if prompt:
            facts["gen_ai.prompt.name"] = prompt
        name = " ".join(filter(None, (method, tool or prompt)))
        who: Attributes = {"enduser.pseudo.id": caller} if caller else {}  # of the span alone: metrics stay few
        opened = self._span(name, SpanKind.SERVER, facts, who, context=_continued(meta), timed=self._operations)
        with opened as recording:
            yield recording

    @contextmanager
    def write_part(self, name: WritePart) -> Generator[Activity]:
        with self._span(f"kustom.{name}", SpanKind.INTERNAL, dict(self._shop)) as recording:
            yield recording

    @contextmanager
    def attempt(self, method: str, template: str, server: tuple[str, int], resends: int) -> Generator[Activity]:
        facts: Attributes = {
            "http.request.method": method,
            "url.template": template,
            "server.address": server[0],
            "server.port": server[1],
            **self._shop,
        }
        again = {"http.request.resend_count": resends} if resends else {}
        with self._span(f"{method} {template}", SpanKind.CLIENT, facts, again, timed=self._requests) as recording:
            yield recording

    def event(self, tool: str, event: str, *, outcome: str = "", means: str = "", error: str = "") -> None:
        facts: Attributes = {"gen_ai.tool.name": tool, **self._shop}
        if error:
            facts["kustom.error.code"] = error
        if event == "outcome":
            self._writes.add(1, facts | {"kustom.outcome": outcome})
            return
        if event in QUESTIONS:
            event = "refused" if error else "asked"
        if event == "refused" and error not in BAD_CONFIRMATIONS:
            return
        if means:
            facts["kustom.confirm.means"] = means
        self._confirmations.add(1, facts | {"kustom.confirmation": event})

    def found(self, landed: str) -> None:
        get_current_span().set_attribute("kustom.landed", landed)

    def refused(self, tool: str, setting: str) -> None:
        self._refusals.add(1, {"gen_ai.tool.name": tool, "kustom.setting": setting, **self._shop})

    def webhook(self, kind: str, result: str) -> None:
        self._hooks.add(1, {"kustom.hook.kind": kind, "kustom.hook.result": result, **self._shop})

    def in_flight(self, change: int) -> None:
        self._flying.add(change, self._shop)

    def out_of_retries(self) -> None:
        self._exhausted.add(1, self._shop)

    def retries(self, left: Callable[[], float]) -> None:
        name = self._shop.get("kustom.shop", "")
        first, self._budgets[name] = not self._budgets, left
        if not first:  # one instrument for all shops
            return

        def observed(_: CallbackOptions) -> Iterable[Observation]:
            for shop, count in list(self._budgets.items()):
                yield Observation(count(), {"kustom.shop": shop} if shop else None)

        self._meter.create_observable_gauge(
            "kustom.retry_budget.remaining", [observed], "{retry}", "Retries that all calls together may still make."
        )

    def finish(self, seconds: float) -> None:
        if self._finish is not None:
            self._finish(seconds)

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        facts: Attributes,
        more: Attributes | None = None,
        *,
        context: Context | None = None,
        timed: Histogram | None = None,
    ) -> Generator[_OpenSpan]:
        """Open a span that says how it ended; `timed` gets its duration, under `facts` but without `more`."""
        attributes = facts | (more or {})
        begun = perf_counter()
        with self._tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            recording = _OpenSpan(span, facts)
            try:
                yield recording
            except BaseException as error:
                recording.raised(error)
                raise
            finally:
                if timed is not None:
                    timed.record(perf_counter() - begun, recording.facts)


def _continued(meta: Mapping[str, object] | None) -> Context | None:
    """Return the caller's trace, where its `_meta` names one."""
    parent = (meta or {}).get("traceparent")
    return TraceContextTextMapPropagator().extract({"traceparent": parent}) if isinstance(parent, str) else None
