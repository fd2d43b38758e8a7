"""Whatever a cluster does to pods, nodes, the API server, S3 and the network, every resource comes to its right end.

CHAOS_SEED chooses the same faults and resources again. Each fault is injected at least once; CHAOS_SECONDS says for how long
others follow.
"""

import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.support.chaos.fault import Fault, NothingToDisturbError
from tests.support.chaos.findings import OperatorEnds, left_behind, texts, wrong_resources
from tests.support.chaos.node_faults import NODE_FAULTS
from tests.support.chaos.pod_faults import POD_FAULTS
from tests.support.chaos.service_faults import SERVICE_FAULTS
from tests.support.chaos.stream import FORMATS, Stream
from tests.support.job_namespace import ENDED, JobNamespace
from tests.support.stack import s3
from tests.support.stack.kube import until

NAMESPACE = "chaos"
AUDIO = ("english.wav", "portuguese.wav", "minutes.wav")
FAULTS = (*POD_FAULTS, *NODE_FAULTS, *SERVICE_FAULTS)
AT_ONCE = tuple(fault for fault in FAULTS if not fault.seconds)
# In seconds: from one look at the resources to the next, and from one fault to the next.
TICK, REST = 2.0, (2.0, 8.0)
# How many times longer it may take until each fault was injected once: some need a worker that runs.
PATIENT = 1.2
# While a longer fault lasts, another is injected in this share of the ticks.
SECOND_FAULT = 0.06
# In seconds, from the last fault until every resource must have ended: several back-offs of the Job controller.
SETTLE = 420


class Chaos:
    """Injects faults beside a stream of resources, and counts them."""

    def __init__(self, stream: Stream, ends: OperatorEnds, draw: random.Random) -> None:
        self.injected: Counter[str] = Counter()
        self._stream, self._ends, self._draw = stream, ends, draw
        self._began = time.monotonic()

    def run(self, seconds: float) -> None:
        """Inject every fault once in a random order, and then others until the time is over."""
        waiting = self._draw.sample(FAULTS, len(FAULTS))
        while time.monotonic() - self._began < (PATIENT if waiting else 1) * seconds:
            fault = waiting.pop(0) if waiting else self._draw.choice(FAULTS)
            self._inject(fault)
            if not self.injected[fault.name]:
                waiting.append(fault)
            self._watch(self._draw.uniform(*REST), disturb=False)

    def _inject(self, fault: Fault) -> None:
        try:
            with fault.inject(self._draw):
                self.say(fault.name)
                self.injected[fault.name] += 1
                self._watch(fault.seconds, disturb=True)
        except NothingToDisturbError as nothing:
            self.say(f"{fault.name}: not now ({str(nothing).splitlines()[-1][:100]})")

    def _watch(self, seconds: float, disturb: bool) -> None:
        until_then = time.monotonic() + seconds
        while time.monotonic() < until_then:
            if disturb and self._draw.random() < SECOND_FAULT:
                self._inject(self._draw.choice(AT_ONCE))
            self._stream.tick()
            self._ends.sample()
            time.sleep(TICK)

    def say(self, text: str) -> None:
        """Print one line with the seconds since the beginning."""
        print(f"{time.monotonic() - self._began:5.0f} s  {text}", flush=True)


def undisturbed(namespace: JobNamespace) -> dict[str, dict[str, str]]:
    """Return the texts that a quiet cluster gives, by key of the audio and format."""
    for key in AUDIO:
        namespace.apply(f"undisturbed-{key.removesuffix('.wav')}", key, formats=FORMATS)
    for key in AUDIO:
        status = namespace.ended(f"undisturbed-{key.removesuffix('.wav')}")
        assert status["phase"] == "Complete", status
    return {key: texts(namespace, f"undisturbed-{key.removesuffix('.wav')}", key) for key in AUDIO}


def table(injected: Counter[str], resources: dict[str, Any], ends: Counter[str], wrong: list[str]) -> str:
    """Return what was injected and what became of the resources, as lines for a person."""
    phases = Counter(resource.get("status", {}).get("phase", "no phase") for resource in resources.values())
    rows = [(f"fault: {fault.name}", injected[fault.name]) for fault in FAULTS]
    rows += [(f"resources: {phase}", count) for phase, count in sorted(phases.items())]
    rows += [(f"operator: {how}", count) for how, count in sorted(ends.items())]
    rows += [("lost, stuck or wrong", len(wrong))]
    return "\n".join(f"{name:60} {count:4}" for name, count in rows)


def all_ended(stream: Stream) -> dict[str, Any] | None:
    """Return the resources once all have ended."""
    resources = stream.resources()
    ended = [resources.get(name, {}).get("status", {}).get("phase") in ENDED for name in stream.kinds]
    return resources if all(ended) else None


@pytest.mark.usefixtures("stored")
def test_every_resource_comes_to_its_right_end_whatever_the_cluster_does() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    draw, ends = random.Random(seed), OperatorEnds()
    with s3.connect() as client:
        namespace = JobNamespace(NAMESPACE, client)
        namespace.ensure()
        expected = undisturbed(namespace)
    stream = Stream(namespace, draw)
    chaos = Chaos(stream, ends, draw)
    chaos.say(f"CHAOS_SEED={seed}")
    chaos.run(float(os.environ.get("CHAOS_SECONDS") or 600))
    chaos.say("no more faults")
    stream.finish()
    try:
        until(lambda: all_ended(stream), SETTLE, "every resource to end", interval=TICK)
    except TimeoutError as late:
        chaos.say(str(late))
    resources = stream.resources()
    ends.sample()
    with s3.connect() as client:
        namespace = JobNamespace(NAMESPACE, client)
        wrong = wrong_resources(namespace, stream.kinds, resources, expected)
    wrong += left_behind(namespace, resources) + ends.unexplained()
    chaos.say("\n" + table(chaos.injected, resources, ends.counted(), wrong))
    assert not wrong, f"CHAOS_SEED={seed}\n" + "\n".join(wrong)
