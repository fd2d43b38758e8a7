"""Inject each fault at each write and watch event of each life, and say what was lost.

`python -m tests.faults` runs all plans; with names of plans or lives it runs those, such as `retry/write-3/kill-after`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.lives import LIVES
from tests.faults.plans import SEED, Plan, parse_plan, sample
from tests.faults.rights import grant_leases
from tests.faults.run import Pool, pool, possible_plans
from tests.faults.worker import Result
from tests.support.controlplane import control_plane
from tests.support.operator_process import ACCOUNT, grant_rights
from tests.support.seeds import seed_of_run

# A life mostly waits: it takes half a second of CPU time, the apiserver's included, and some eight of real time.
OPERATORS_OF_A_CORE = 7


def main() -> int:
    """Run the plans; return 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plans", nargs="*", help="plans or lives; all without any")
    operators = OPERATORS_OF_A_CORE * (os.cpu_count() or 1)
    parser.add_argument("--workers", type=int, default=operators, help="operators that run beside each other")
    parser.add_argument("--sample", type=int, help="run so many plans at most, chosen by FAULTS_SEED or the commit")
    parser.add_argument("--logs", type=Path, help="a folder for the logs, which otherwise are deleted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with control_plane(folder, {ACCOUNT: ACCOUNT}, audit=False) as plane:
            grant_rights(plane)
            grant_leases(plane)
            with pool(plane, folder, options.workers) as workers:
                return run(workers, [parse_plan(text) for text in options.plans], options.sample)


def run(workers: Pool, asked: list[Plan], most: int | None) -> int:
    """Learn how the lives go without faults, then run the plans that are asked for, and print a table."""
    began = time.monotonic()
    learnt = workers.learn(dict.fromkeys(plan.life for plan in asked) or LIVES)
    for result in learnt:
        print(f"{result.plan}: {count_of(result)}", flush=True)
        tell(result)
    plans = [plan for result in learnt for plan in chosen(result, asked)]
    seed = seed_of_run(SEED)
    plans = sample(sorted(plans, key=str), most or len(plans), seed)  # shuffled: kills cost more than the rest
    print(f"FAULTS_SEED={seed}")
    print(f"{len(plans)} plans", flush=True)
    done: list[Result] = []

    def note(result: Result) -> None:
        done.append(result)
        tell(result)
        if len(done) % 50 == 0:
            print(f"{len(done)} of {len(plans)} after {time.monotonic() - began:.0f} s", flush=True)

    results = workers.run(plans, note)
    print_table(results)
    print(f"{len(learnt) + len(results)} lives in {time.monotonic() - began:.0f} s")
    return int(any(result.defects for result in learnt + results))


def chosen(learnt: Result, asked: list[Plan]) -> list[Plan]:
    """Return the plans of one life: those asked for by name, or all if the life is asked for or nothing is."""
    if asked and Plan(learnt.plan.life) not in asked:
        return [plan for plan in asked if plan.life == learnt.plan.life]
    return possible_plans(learnt)


def count_of(result: Result) -> str:
    assert result.traffic is not None
    traffic = result.traffic
    return f"{len(traffic.writes)} writes, {len(traffic.events)} events, {len(traffic.watched)} watch events"


def tell(result: Result) -> None:
    """Print what is wrong, and how to see it again."""
    for defect in result.defects:
        print(f"FAILED {result.plan}: {defect}", flush=True)
    if result.defects:
        print(f"  alone: make test-faults PLANS={result.plan}", flush=True)


def print_table(results: list[Result]) -> None:
    """Print how often each action was injected, how often something was lost, and how long recovery took."""
    rows = Counter((result.plan.kind, result.plan.action) for result in results if result.hit)
    print(f"\n{'action':24} {'injected':>8} {'lost':>5} {'longest s':>10}  its plan")
    for (kind, action), count in sorted(rows.items()):
        same = [item for item in results if (item.plan.kind, item.plan.action) == (kind, action)]
        lost = sum(bool(item.defects) for item in same)
        longest = max(same, key=lambda item: item.recovery)
        print(f"{kind + ' ' + action:24} {count:8} {lost:5} {longest.recovery:10.0f}  {longest.plan}")
    missed = [str(result.plan) for result in results if not result.hit]
    lost = sum(bool(item.defects) for item in results)
    print(f"{'all':24} {sum(rows.values()):8} {lost:5}")
    print(f"{len(missed)} plans whose moment did not come: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
