"""`kustom-mcp check --playground`: what it tries, what it asks first, and that it notices a Kustom that differs."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.cli import check_playground
from kustom_mcp.cli.check_playground import EXPERIMENTS, REPORT
from kustom_mcp.cli.simulate import assumed
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.behaviours import marked
from kustom_mcp.simulator.events import SECRET
from kustom_mcp.simulator.switches import Switches
from tests.cli.conftest import Command
from tests.support.conversation import demo
from tests.transport.kustom import Kustom, simulating
from tests.transport.webhooks.hearing import HOOKS, PATH, free_port

PRODUCTION = {"KUSTOM_API_KEY": "kco_live_x", "KUSTOM_MERCHANT": "PM1", "KUSTOM_WRITES": "allow"}
PLAYGROUND = {"KUSTOM_ENVIRONMENT": "playground", "KUSTOM_API_KEY": "kco_test_api_sandbox", "KUSTOM_USERNAME": "demo"}
ORDER = demo("authorized-sek")
OTHER_SECRET = "whsec_dGhlIHNlY3JldCBhZnRlciB0aGlzIG9uZQ=="
BEHAVIOURS = [experiment.behaviour for experiment in EXPERIMENTS]

DIFFERENCES = [
    (Switches(limits="422"), ["body.zero", "body.numbers"]),
    (Switches(order_lines="optional"), ["lines.required"]),
    (Switches(line_sums="refused"), ["lines.sums", "lines.prices"]),
    (Switches(second_acknowledge="refused"), ["acknowledge.again", "acknowledgeOrder.allowed.assumed"]),
    (Switches(numbers="as_texts"), ["body.numbers"]),
    (Switches(equal_amount="refused"), ["amount.equal"]),
    (Switches(shipments="once"), ["shipping.append"]),
    (Switches(release="CLOSED"), ["release.status"]),
    (Switches(full_refund="CLOSED"), ["refund.full"]),
    (Switches(keys="forgotten"), ["keys.scope"]),
    (Switches(entries="trimmed"), ["entries.verbatim"]),
    (Switches(entries="without_lines"), ["entries.verbatim"]),
    (Switches(entries="without_id"), ["entries.verbatim"]),
]


def tried(
    simulator: Simulator, ask: Callable[[str], bool | None], capsys: pytest.CaptureFixture[str], order: str = ORDER
) -> tuple[int, list[str], str]:
    """Run it against a simulator: exit code, the verdict of each experiment, all that was printed."""
    settings = load(PLAYGROUND).settings
    app = App.of(settings, transport=SandboxTransport(simulator))
    code = check_playground.run(settings, order, ask, app)
    printed = capsys.readouterr().out
    return code, re.findall(r"^   (assumed|confirmed|different)", printed, re.MULTILINE), printed


def always(answer: bool | None) -> Callable[[str], bool | None]:
    return lambda _: answer


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is written into the working directory."""
    monkeypatch.chdir(tmp_path)


def test_every_experiment_is_about_an_assumption() -> None:
    assert set(BEHAVIOURS) <= {behaviour.name for behaviour in marked("assumed")}
    assert len(set(BEHAVIOURS)) == len(BEHAVIOURS)


def test_the_sandbox_confirms_everything_that_it_assumes(capsys: pytest.CaptureFixture[str]) -> None:
    code, verdicts, printed = tried(Simulator(), always(True), capsys)
    assert (code, verdicts) == (0, ["confirmed"] * len(EXPERIMENTS)), printed
    assert f"{len(EXPERIMENTS)} confirmed, 0 different, 0 assumed" in printed


@pytest.mark.parametrize(("switches", "different"), DIFFERENCES, ids=lambda value: str(value)[:40])
def test_a_kustom_that_differs_is_noticed(
    switches: Switches, different: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, verdicts, printed = tried(Simulator(switches=switches), always(True), capsys)
    found = [name for name, verdict in zip(BEHAVIOURS, verdicts, strict=True) if verdict == "different"]
    assert (code, found) == (1, different), printed
    for name in different:
        assert f"\n{name}: the sandbox " in printed
    assert assumed([REPORT]) == (Switches() if switches.keys == "forgotten" else switches), "one that is told apart"


def test_the_report_has_nothing_but_our_own_words_statuses_and_codes(capsys: pytest.CaptureFixture[str]) -> None:
    tried(Simulator(), always(True), capsys)
    written = Path(REPORT).read_text()
    report = json.loads(written)
    assert (report["kustom"], report["assume"]) == (True, {})
    assert [finding["verdict"] for finding in report["findings"]] == ["confirmed"] * len(EXPERIMENTS)
    record = Simulator().store.find(ORDER)
    assert record is not None
    personal = [*record.order["billing_address"].values(), record.order["merchant_reference1"]]
    for secret in (ORDER, PLAYGROUND["KUSTOM_API_KEY"], "correlation", *(text for text in personal if len(text) > 4)):
        assert secret not in written, secret


def test_what_no_real_key_has_confirmed_is_listed(kustom: Kustom, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, printed = tried(Simulator(), always(True), capsys)
    assert printed.count("\nnever confirmed: ") == len(marked("assumed")) - len(EXPERIMENTS)
    _, _, printed = tried(Simulator(), always(False), capsys)
    assert printed.count("\nnever confirmed: ") == len(marked("assumed"))
    kustom.reset()
    check_playground.run(load(kustom.settings).settings, ORDER, always(True))
    printed = capsys.readouterr().out
    assert printed.count("\nnever confirmed: ") == len(marked("assumed"))
    assert "KUSTOM_API_URL is set" in printed


def test_a_file_that_is_no_report_is_told_so(tmp_path: Path) -> None:
    for content in ("", "[]", '{"assume": 7}', '{"assume": {"keys": "lost"}}'):
        (tmp_path / "file").write_text(content)
        with pytest.raises(ValueError, match=r"no report|is one of"):
            assumed([str(tmp_path / "file")])


def test_without_a_yes_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    simulator = Simulator()
    code, verdicts, _ = tried(simulator, always(False), capsys)
    assert (code, verdicts) == (0, ["assumed"] * len(EXPERIMENTS))
    assert [seen.method for seen in simulator.requests] == ["GET"]


def test_each_experiment_is_asked_about_before_it_sends(capsys: pytest.CaptureFixture[str]) -> None:
    simulator, seen = Simulator(), list[int]()

    def counting(question: str) -> bool:
        seen.append(sum(request.method != "GET" for request in simulator.requests))
        return question.startswith("   This captures 0.00.")

    tried(simulator, counting, capsys)
    writes = [(request.method, request.path.rpartition("/")[2]) for request in simulator.requests if request.key]
    assert writes == [("POST", "captures")]
    assert seen == [0, 0, 0, 0, *[1] * (len(EXPERIMENTS) - 4)]


@pytest.mark.parametrize("name", ["captured-sek", "cancelled-eur", "expired-sek"])
def test_an_order_that_is_not_fresh_is_left_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    simulator = Simulator()
    code, _, printed = tried(simulator, always(True), capsys, demo(name))
    assert (code, [seen.method for seen in simulator.requests]) == (1, ["GET"])
    assert "needs a fresh order" in printed


@pytest.mark.parametrize(
    ("order", "settings", "name"),
    [
        (ORDER, {}, "KUSTOM_ENVIRONMENT"),
        (ORDER, PRODUCTION, "KUSTOM_ENVIRONMENT"),
        (ORDER, {**PLAYGROUND, "KUSTOM_WRITES": "deny"}, "KUSTOM_WRITES"),
        ("SE-19977", PLAYGROUND, "--playground"),
    ],
)
def test_the_check_is_for_an_order_of_the_playground_only(order: str, settings: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        check_playground.run(load(settings).settings, order, always(True))


def test_where_nobody_can_be_asked_nothing_is_tried(command: Command, kustom: Kustom) -> None:
    kustom.reset()
    ran = command("check", "--playground", ORDER, **kustom.settings)
    assert (ran.code, ran.err) == (2, "kustom-mcp: --playground: Nobody can be asked here, so nothing was tried.\n")
    assert [seen["method"] for seen in kustom.requests] == ["GET"]


def test_the_check_runs_against_the_simulator_on_a_port(kustom: Kustom, capsys: pytest.CaptureFixture[str]) -> None:
    kustom.reset()
    assert check_playground.run(load(kustom.settings).settings, ORDER, always(True)) == 0
    assert kustom.order(ORDER)["status"] == "CAPTURED"
    assert "0 different" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("secret", "verdicts", "seen"),
    [
        (SECRET, ["confirmed"] * 2, "signed, webhook-id is the event's id"),
        (OTHER_SECRET, ["different"] * 2, "not signed with a secret of KUSTOM_HOOKS_SECRET"),
    ],
)
def test_a_webhook_is_waited_for_and_it_is_said_how_it_was_signed(
    secret: str, verdicts: list[str], seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    hooks = {"KUSTOM_HOOKS_PATH": PATH, "KUSTOM_HOOKS_SECRET": secret}

    def ask(question: str) -> bool:
        return "webhook" in question

    with simulating("--hooks", f"http://127.0.0.1:{port}{HOOKS}") as kustom:
        check_playground.run(load({**kustom.settings, **hooks}).settings, ORDER, ask, port=port)
        assert [seen["method"] for seen in kustom.requests if seen["method"] != "GET"] == ["POST"] * 2
    printed = capsys.readouterr().out
    assert re.findall(r"^   (confirmed|different)", printed, re.MULTILINE) == verdicts
    assert seen in printed
    findings = json.loads(Path(REPORT).read_text())["findings"]
    assert [one["behaviour"] for one in findings if one["verdict"] != "assumed"] == ["hooks.id", "hooks.data"]
    assert PATH not in Path(REPORT).read_text()


def test_a_port_that_is_taken_is_told_before_anything_is_sent(kustom: Kustom) -> None:
    kustom.reset()
    hooks = {"KUSTOM_HOOKS_PATH": PATH, "KUSTOM_HOOKS_SECRET": SECRET}
    settings = load({**kustom.settings, **hooks}).settings
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port: Port {port} is taken"):
            check_playground.run(settings, ORDER, always(True), port=port)
    assert kustom.requests == []
