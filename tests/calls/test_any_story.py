"""Any story of previews, confirmations, replays, mishaps and other people's changes on one order.

Whatever happens: an approval has at most one effect, what was reported as applied was applied, and what was reported
as not done was not - also where Kustom forgets keys. And what was unknown is never told as not done, by no call that
repeats it, until it was told as done.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.switches import Switches
from tests.calls.faults_of_a_write import ORDER, fault, in_doubt, line_mended
from tests.calls.gated_operations import LAMPS, MUG, captured, refunded, somebody
from tests.calls.quick import Time
from tests.support.conversation import Talk, conversation

SERVER: dict[str, Any] = {
    "KUSTOM_TOOLS": "kustom_capture_order,kustom_refund_order",
    "KUSTOM_WRITES_PER_MINUTE": "10000",
}
FIELDS = {"capture_order": "captured_amount", "refund_order": "refunded_amount"}


class Preview(NamedTuple):
    tool: str
    amount: int
    reference: str


class Confirm(NamedTuple):
    """Hand in one of the codes that were given, whichever."""

    which: int


class Other(NamedTuple):
    """Somebody else does it."""

    tool: str
    amount: int


class Mishap(NamedTuple):
    kind: str
    blind: bool


class Wait(NamedTuple):
    seconds: int


Step = Preview | Confirm | Other | Mishap | Wait

KINDS = (
    *("lose_response", "reset", "late_status", "status", "truncate"),
    *("status 201", "status 204", "status 403", "status 429", "status 401"),
)
"""A 2xx without any effect is among them, and refusals, also of what is sent again."""
tools = some.sampled_from(sorted(FIELDS))
amounts = some.sampled_from([100, 500])
steps: Any = some.lists(
    some.builds(Preview, tools, amounts, some.sampled_from(["R-1", "R-2"]))
    | some.builds(Confirm, some.integers(0, 5))
    | some.builds(Confirm, some.integers(0, 5))
    | some.builds(Other, tools, amounts)
    | some.builds(Mishap, some.sampled_from(KINDS), some.booleans())
    | some.builds(Wait, some.sampled_from([10, 1000])),
    min_size=4,
    max_size=16,
)


@dataclass
class Story:
    """The story so far. `codes`: what can be handed in; `told`: the last that was told of each key."""

    talk: Talk
    now: Time
    order_id: str
    codes: list[tuple[str, dict[str, Any], str]] = field(default_factory=list[tuple[str, dict[str, Any], str]])
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    unknown: set[str] = field(default_factory=set[str])
    """The calls that were told to be in doubt, and not since to be done."""

    async def take(self, step: Step) -> None:
        if isinstance(step, Preview):
            arguments = {"order_id": self.order_id, FIELDS[step.tool]: step.amount, "reference": step.reference}
            await self._call(step.tool, arguments)
        elif isinstance(step, Confirm):
            if self.codes:
                tool, arguments, code = self.codes[step.which % len(self.codes)]
                await self._call(tool, arguments, confirm=code)
        elif isinstance(step, Other):
            request = captured(step.amount) if step.tool == "capture_order" else refunded(step.amount)
            somebody(self.talk, self.order_id, request)
        elif isinstance(step, Mishap):
            self._mishap(step)
        else:
            self.now.pass_by(step.seconds)

    async def settle(self) -> None:
        """The line is mended, and every code is handed in once more."""
        line_mended(self.talk)
        for tool, arguments, code in list(self.codes):
            await self._call(tool, arguments, confirm=code)

    def _mishap(self, step: Mishap) -> None:
        line_mended(self.talk)
        if step.blind and not step.kind.startswith("status 2"):  # else Kustom's word is all there is
            in_doubt(self.talk, step.kind)
        else:
            for path in ("captures", "refunds"):
                self.talk.simulator.faults.add(fault("POST", f"{ORDER}/{path}", step.kind))

    async def _call(self, tool: str, arguments: dict[str, Any], **confirm: str) -> None:
        before = len(self.talk.writes)
        answer = await self.talk.call(tool, arguments, **confirm)
        if "confirm" in answer:
            self.codes.append((tool, arguments, answer["confirm"]["code"]))
        keys = {str(seen.key) for seen in self.talk.writes[before:]}
        assert len(keys) <= (1 if confirm else 0)
        outcome = answer["outcome"]
        self._remember(f"{tool} {arguments}", answer)
        assert outcome in ("applied", "unknown", "not_sent", "rejected") if keys else outcome != "applied"
        self.told |= dict.fromkeys(keys, outcome)
        self._hold()

    def _remember(self, call: str, answer: dict[str, Any]) -> None:
        """Check that a call, however stopped, does not undo what was sent before."""
        outcome = answer["outcome"]
        if answer.get("error", {}).get("code") == "WRITE_IN_DOUBT":  # told of a write that this code does not pin
            assert (outcome, bool(self.unknown)) == ("not_sent", True)
            return
        assert not (call in self.unknown and outcome in ("not_sent", "rejected")), answer
        if outcome == "unknown":
            self.unknown.add(call)
        elif outcome in ("applied", "already_applied"):
            self.unknown.discard(call)

    def _hold(self) -> None:
        """Check that what was told agrees with what the sandbox has."""
        had_effect = Counter(
            str(seen.key)
            for seen in self.talk.writes
            if seen.status is not None and seen.status < 300 and not seen.replayed and seen.fault is None
        )
        for key, outcome in self.told.items():
            possible = {"applied": {1}, "unknown": {0, 1}}.get(outcome, {0})
            assert had_effect[key] in possible, (outcome, had_effect)
        assert had_effect.keys() <= self.told.keys()


@given(steps, some.booleans())
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
async def test_what_is_told_agrees_with_what_happened_in_any_story(story: list[Step], forgets_keys: bool) -> None:
    sandbox, now = Simulator(switches=Switches(keys="forgotten" if forgets_keys else "kept"), seeds=()), Time()
    async with conversation(simulator=sandbox, host=now.run, **SERVER) as talk:
        captures = [{"captured_amount": 6000}]
        told = Story(talk, now, talk.order(order_lines=[LAMPS, MUG], captures=captures))
        for step in story:
            await told.take(step)
        await told.settle()
