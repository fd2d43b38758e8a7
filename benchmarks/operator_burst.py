"""Measure the operator's speed on a bare apiserver and etcd, which share this machine's cores with it and with the client.

The burst creates many resources as fast as several clients can, and is timed from the first request until the last status
is written. The idle operator gets one resource at a time, and is timed from the request until its Job can be read. The
writes are those of whole lives, with a simulated Job controller and kubelet, counted in the apiserver's audit log.
"""

import argparse
import copy
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transcription_api import exit_codes

from tests.support.controlplane import ControlPlane, control_plane, cpu_seconds
from tests.support.operator_process import ACCOUNT, Operator, grant_rights, running_operator
from tests.support.simulated_cluster import Namespace, good_report, until

# What the project promises.
BURST_PER_MINUTE = 6000
MEMORY_MIB = 200
IDLE_P95_SECONDS = 0.2
WRITES_OF_A_JOB = 6

CLIENTS = 4
# Seconds between two resources of the idle part, and between two lines of progress of the burst.
PAUSE_SECONDS = 0.25
PROGRESS_SECONDS = 5.0
# A life without trouble: the Job's creation and the end are told.
EVENTS_OF_A_LIFE = 2
# Seconds between two looks at the operator's gauge: each costs it a few milliseconds.
LOOK_SECONDS = 0.5
# Seconds without any change after which the burst has failed.
STALL_SECONDS = 60.0


def main() -> int:
    """Run the measurements; return 0 if every promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="resources of the burst")
    parser.add_argument("--samples", type=int, default=100, help="resources of the idle part")
    parser.add_argument("--lives", type=int, default=20, help="resources of the part about writes")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    with pair(audit=True) as (plane, _):
        kept = [run_lives(plane, options.lives)]
    with pair(audit=False) as (plane, operator):
        kept += [
            run_idle(plane, options.samples),
            run_burst(plane, operator, options.count),
            check("peak memory", operator.memory_mib(), "MiB", operator.memory_mib() <= MEMORY_MIB, MEMORY_MIB),
        ]
    return 0 if all(kept) else 1


@contextmanager
def pair(audit: bool) -> Iterator[tuple[ControlPlane, Operator]]:
    """Run a new control plane and a new operator that leads."""
    with tempfile.TemporaryDirectory() as folder, control_plane(Path(folder), {ACCOUNT: ACCOUNT}, audit) as plane:
        grant_rights(plane)
        with running_operator(plane, Path(folder) / "operator.log", lease_seconds=15) as operator:
            until(lambda: operator.metric("transcription_leading") == 1, "a leader", STALL_SECONDS)
            yield plane, operator


def run_lives(plane: ControlPlane, lives: int) -> bool:
    """Take resources from their creation to Complete, and check the most writes that one of them took."""
    most = max(writes_of_a_life(plane, f"life-{number}") for number in range(lives))
    return check("writes of a job", most, "at most", most <= WRITES_OF_A_JOB, WRITES_OF_A_JOB)


def writes_of_a_life(plane: ControlPlane, namespace: str) -> int:
    """Count the operator's writes for one resource in a namespace of its own."""
    area = Namespace(plane.api(), namespace)
    area.create("life")
    area.complete(area.attempt("life", exit_codes.OK, good_report()))
    area.until_phase("life", "Complete")
    until(lambda: len(area.events("life")) == EVENTS_OF_A_LIFE, "its events", STALL_SECONDS)
    return len(plane.writes_of(ACCOUNT, namespace))


def run_burst(plane: ControlPlane, operator: Operator, count: int) -> bool:
    """Time how long a burst of resources takes until each has a Job and a status."""
    area = Namespace(plane.api(), "burst")
    used = cpu_of(plane, operator)
    began = time.monotonic()
    clients = [threading.Thread(target=create_share, args=(plane, area, count, share)) for share in range(CLIENTS)]
    for client in clients:
        client.start()
    seconds = await_statuses(operator, count, began)
    for client in clients:
        client.join()
    spent = {name: value - used[name] for name, value in cpu_of(plane, operator).items()}
    print("CPU per resource: " + ", ".join(f"{name} {1000 * value / count:.2f} ms" for name, value in spent.items()))
    verify(area, count)
    return check(
        "burst", 60 * count / seconds, "resources a minute", 60 * count / seconds >= BURST_PER_MINUTE, BURST_PER_MINUTE
    )


def create_share(plane: ControlPlane, area: Namespace, count: int, share: int) -> None:
    """Create every CLIENTS-th resource, over a connection of its own."""
    mine = copy.copy(area)
    mine.api = plane.api()
    for number in range(share, count, CLIENTS):
        mine.create(f"burst-{number:05}", source={"s3": {"bucket": "audio", "key": f"interviews/{number:05}.wav"}})
    mine.api.close()


def await_statuses(operator: Operator, count: int, began: float) -> float:
    """Return the seconds until all resources have a status, by the operator's own gauge."""
    base = told = 0.0
    changed = shown = began
    while told - base < count:
        time.sleep(LOOK_SECONDS)
        now, seen = time.monotonic(), operator.metric('transcription_jobs{phase="Pending",reason="WaitingForPod"}')
        if seen != told:
            told, changed = seen, now
        if now - changed > STALL_SECONDS:
            raise TimeoutError(f"{told:.0f} of {count} statuses, and none more within {STALL_SECONDS:.0f} s")
        if now - shown > PROGRESS_SECONDS:
            print(f"  {told:.0f} of {count} after {now - began:.0f} s")
            shown = now
    return time.monotonic() - began


def verify(area: Namespace, count: int) -> None:
    """Check that the apiserver holds what the gauge says."""
    jobs = area.api.items(area.jobs)
    resources = area.api.items(area.resources)
    owners = {item["metadata"]["ownerReferences"][0]["uid"] for item in jobs}
    told = sum("jobRef" in item.get("status", {}) for item in resources)
    if not len(jobs) == len(owners) == told == count:
        raise AssertionError(f"{len(jobs)} Jobs of {len(owners)} owners and {told} statuses, expected {count} of each")


def run_idle(plane: ControlPlane, samples: int) -> bool:
    """Time one resource at a time. They are removed again, so that the burst starts with none."""
    area = Namespace(plane.api(), "idle")
    idle_sample(area, samples)  # not counted: an apiserver holds back what is created 2 s after its definition
    waits = [idle_sample(area, number) for number in range(samples)]
    for number in range(samples + 1):
        area.delete(f"idle-{number}")
    p95 = statistics.quantiles(waits, n=20)[-1]
    print(f"idle, resource to Job: median {statistics.median(waits):.3f} s, longest {max(waits):.3f} s")
    return check("idle p95", p95, "s", p95 <= IDLE_P95_SECONDS, IDLE_P95_SECONDS)


def idle_sample(area: Namespace, number: int) -> float:
    time.sleep(PAUSE_SECONDS)
    began = time.monotonic()
    uid = area.create(f"idle-{number}")["metadata"]["uid"]
    selector = f"{area.jobs}?labelSelector=transcription.dev%2Fuid%3D{uid}"
    while not area.api.items(selector):
        time.sleep(0.002)
    return time.monotonic() - began


def cpu_of(plane: ControlPlane, operator: Operator) -> dict[str, float]:
    return {"operator": cpu_seconds(operator.pid)} | plane.cpu_seconds() | {"client": time.process_time()}


def check(what: str, value: float, unit: str, kept: bool, promise: float) -> bool:
    print(f"{'ok  ' if kept else 'MISS'} {what}: {value:,.4g} {unit} (promised: {promise:g})")
    return kept


if __name__ == "__main__":
    sys.exit(main())
