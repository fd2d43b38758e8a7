"""The plans: one fault at one moment of one life."""

import random
from dataclasses import dataclass
from typing import TypeVar

from tests.faults.actions import WATCH_ACTIONS, WRITE_ACTIONS

T = TypeVar("T")

NONE = "none"
# What happens to the writes of Kubernetes events, on which no decision depends.
EVENT_ACTIONS = ("kill-before", "kill-after", "delay", "double", "500")
# The environment variable with the seed of a sample.
SEED = "FAULTS_SEED"


@dataclass(frozen=True)
class Plan:
    """At the `number`-th write, event or watch event of a life, the `action`. The kind none has no fault."""

    life: str
    kind: str = NONE  # write, event (a write too, of a Kubernetes event) or watch
    number: int = 0
    action: str = ""

    def __str__(self) -> str:
        return f"{self.life}/{self.kind}-{self.number}/{self.action}" if self.kind != NONE else self.life


def parse_plan(text: str) -> Plan:
    """Read a plan's name, such as retry/write-3/kill-after."""
    life, _, rest = text.partition("/")
    if not rest:
        return Plan(life)
    moment, action = rest.split("/")
    kind, number = moment.split("-")
    return Plan(life, kind, int(number), action)


def plans_of(life: str, writes: int, events: int, watched: int) -> list[Plan]:
    """Return all plans of a life that has so many writes, events and watch events."""
    counts = {
        "write": (writes, [*WRITE_ACTIONS]),
        "event": (events, [*EVENT_ACTIONS]),
        "watch": (watched, [*WATCH_ACTIONS]),
    }
    return [
        Plan(life, kind, number, action)
        for kind, (count, actions) in counts.items()
        for number in range(1, count + 1)
        for action in actions
    ]


def sample(items: list[T], count: int, seed: str) -> list[T]:
    """Return some items, always the same ones for the same seed."""
    return random.Random(seed).sample(items, min(count, len(items)))
