"""Create resources that were changed at random, valid and not, and say what became of them.

`python -m tests.fuzz` creates 10,000. FUZZ_SEED repeats a run; without it the commit's hash is the seed.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.outcome import Outcome
from tests.fuzz.resources import COUNT, SEED, Resource, resources
from tests.fuzz.run import BATCH, Batch, operator_defects
from tests.support.api_client import Api
from tests.support.controlplane import control_plane
from tests.support.operator_process import ACCOUNT, grant_rights, running_operator
from tests.support.seeds import seed_of_run


def main() -> int:
    """Run all; return 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=int, default=0, help="the number of the first resource, as in its name")
    parser.add_argument("--count", type=int, default=COUNT, help="how many resources")
    parser.add_argument("--verbose", action="store_true", help="say what became of each resource")
    parser.add_argument("--logs", type=Path, help="a new folder for the logs, which otherwise are deleted")
    options = parser.parse_args()
    seed = seed_of_run(SEED)
    print(f"FUZZ_SEED={seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcomes, wrong = run(folder, [*resources(range(options.start, options.start + options.count), seed)])
    for outcome in outcomes if options.verbose else ():
        print(f"{outcome.resource}: {outcome.kind} {outcome.reason} {outcome.message[:500]!r}")
    print_table(outcomes)
    print(f"{len(outcomes)} resources in {time.monotonic() - began:.0f} s")
    return int(bool(wrong) or any(outcome.defects for outcome in outcomes))


def run(folder: Path, made: list[Resource]) -> tuple[list[Outcome], list[str]]:
    """Return the outcomes of all resources, and what is wrong with the operator itself."""
    outcomes: list[Outcome] = []
    with control_plane(folder, {ACCOUNT: ACCOUNT}, audit=False) as plane:
        grant_rights(plane)
        create_classes(plane.api())
        with running_operator(
            plane, folder / "operator.log", lease_seconds=15, node_cache_path="/var/cache/models"
        ) as operator:
            pid = operator.pid
            for start in range(0, len(made), BATCH):
                done = Batch(plane, f"fuzz-{start}").run(made[start : start + BATCH])
                outcomes += done
                tell(done)
                print(f"{len(outcomes)} of {len(made)}", flush=True)
            wrong = operator_defects(operator, pid)
            print(f"peak memory of the operator: {operator.memory_mib():.0f} MiB")
    for line in wrong:
        print(f"FAILED {line}")
    return outcomes, wrong


def create_classes(api: Api) -> None:
    """Create the classes that the examples name, without which their pods are refused."""
    api.post("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "nvidia"}, "handler": "nvidia"})
    api.post("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "batch-low"}, "value": 1})
    api.close()


def tell(outcomes: list[Outcome]) -> None:
    """Print what is wrong."""
    for outcome in outcomes:
        for defect in outcome.defects:
            print(f"FAILED {outcome.resource}: {defect}", flush=True)
        if outcome.defects:
            print(f"  alone: make test-fuzz RESOURCES='--start {outcome.resource.number} --count 1'", flush=True)


def print_table(outcomes: list[Outcome]) -> None:
    """Print how many resources ended how, and how many of them are wrong."""
    rows = Counter((outcome.kind, outcome.reason) for outcome in outcomes)
    print(f"\n{'outcome':40} {'resources':>9} {'wrong':>6}")
    for (kind, reason), count in sorted(rows.items()):
        wrong = sum(bool(item.defects) for item in outcomes if (item.kind, item.reason) == (kind, reason))
        print(f"{kind + ' ' + reason:40} {count:9} {wrong:6}")
    print(f"{'all':40} {len(outcomes):9} {sum(bool(item.defects) for item in outcomes):6}")


if __name__ == "__main__":
    sys.exit(main())
