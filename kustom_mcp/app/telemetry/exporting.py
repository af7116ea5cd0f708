"""Telemetry that leaves the process: OpenTelemetry's SDK with OTLP over HTTP, as the OTEL_ variables ask for it.

Nothing starts unless one of them names an exporter or an endpoint. A wish that cannot be met is one line on stderr and
no reason to stop: such variables are often set for a whole machine, and money matters more than its traces. For the
same reason a collector that is down costs a call nothing - batches leave on threads of their own, and wait in a queue
of bounded length - and is complained about once. `console` is refused: stdout carries the protocol.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from threading import Thread
from time import monotonic
from typing import Final

from kustom_mcp import __version__
from kustom_mcp.app.telemetry import PREFIX, SILENT, Telemetry

log = logging.getLogger("kustom_mcp.telemetry")

SIGNALS: Final = ("TRACES", "METRICS")
SPOKEN: Final = "http/protobuf"


def exporting(settings: Mapping[str, str]) -> Telemetry:
    """Return telemetry with the exporters that are asked for; SILENT when none is, or when the extra is not
    installed."""
    signals = wanted(settings)
    if not signals:
        return SILENT
    # The SDK reads the rest by itself, from here: what an env file says, and not what a host has left unexpanded.
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(settings)
    try:
        return _started(signals, settings)
    except ImportError:
        log.warning("OTEL_ variables ask for telemetry, but the extra is missing: install kustom-mcp[otel]")
    except Exception as error:  # a value that the SDK does not take
        log.warning("telemetry is off: the OTEL_ variables were not accepted (%s)", type(error).__name__)
    return SILENT


def wanted(settings: Mapping[str, str]) -> frozenset[str]:
    """Return the signals that these variables ask to export: TRACES, METRICS."""
    if settings.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return frozenset()
    return frozenset(signal for signal in SIGNALS if _wants(signal, settings))


def _wants(signal: str, settings: Mapping[str, str]) -> bool:
    name = f"OTEL_{signal}_EXPORTER"
    exporter = settings.get(name, "").lower()
    if exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        stdout = " (stdout carries the protocol)" if exporter == "console" else ""
        log.warning("%s: only otlp and none are possible here%s; these are not exported", name, stdout)
        return False
    ends = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    if not exporter and not any(end in settings for end in ends):
        return False
    for protocol in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol in settings:
            if settings[protocol] == SPOKEN:
                break
            log.warning("%s: only %s is possible here; %s are not exported", protocol, SPOKEN, signal.lower())
            return False
    return True


def _own(settings: Mapping[str, str]) -> dict[str, str]:
    """Return our own attributes of the resource where the operator gives none."""
    theirs = settings.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {"service.name": "kustom-mcp", "service.version": __version__}
    if "OTEL_SERVICE_NAME" in settings:
        del own["service.name"]
    return {name: value for name, value in own.items() if f"{name}=" not in theirs}


def _started(signals: frozenset[str], settings: Mapping[str, str]) -> Telemetry:
    """Start the SDK. It is imported here only: it costs a start-up a fifth of a second."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import NoOpTracerProvider

    from kustom_mcp.app.telemetry.opentelemetry import OpenTelemetry

    _complain_once()
    resource = Resource.create(_own(settings))
    ends: list[Callable[[], None]] = []
    tracers, meters = NoOpTracerProvider(), NoOpMeterProvider()
    if "TRACES" in signals:
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        ends.append(tracers.shutdown)
    if "METRICS" in signals:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        ends.append(meters.shutdown)
    return OpenTelemetry(tracers, meters, ExporterShutdown(ends))


class ExporterShutdown:
    """The shutdown of exporters: all export their rest side by side, within a common time limit.

    Each ends in a thread of its own that does not keep the process alive, because an exporter may be in the middle of
    waiting for a collector that does not answer.
    """

    def __init__(self, ends: list[Callable[[], None]]) -> None:
        self._waiting = [Thread(target=end, name="telemetry-end", daemon=True) for end in ends]
        self._begun = False

    def __call__(self, seconds: float) -> None:
        limit = monotonic() + seconds
        if not self._begun:
            self._begun = True
            for thread in self._waiting:
                thread.start()
        for thread in self._waiting:
            thread.join(max(0.0, limit - monotonic()))


class _Once(logging.Handler):
    """A log handler that tells only once that something is wrong with exporting, instead of every few seconds."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            log.warning("telemetry does not get through to its collector (%s); this is said once", record.name)


def _complain_once() -> None:
    for name in ("opentelemetry", "urllib3", "requests"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = [_Once()] if name == "opentelemetry" else [logging.NullHandler()]
