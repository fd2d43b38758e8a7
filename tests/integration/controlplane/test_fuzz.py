"""Resources that were changed at random are refused by name, or come to an end, and the operator goes on.

`make test-fuzz` creates thousands of them; here is a sample, another one for each commit. FUZZ_SEED repeats it.
"""

from collections import Counter

from tests.fuzz.resources import COUNT, SEED, resources
from tests.fuzz.run import Batch, operator_defects
from tests.support.controlplane import ControlPlane
from tests.support.operator_process import Operator
from tests.support.seeds import seed_of_run

SAMPLE = 150


def test_a_resource_changed_at_random_is_refused_by_name_or_settles(plane: ControlPlane, operator: Operator) -> None:
    seed, pid = seed_of_run(SEED), operator.pid
    print(f"FUZZ_SEED={seed}")
    outcomes = Batch(plane, "fuzz").run(resources(range(0, COUNT, COUNT // SAMPLE), seed))
    assert not [f"{item.resource}: {item.defects}" for item in outcomes if item.defects]
    assert not operator_defects(operator, pid)
    kinds = Counter(item.kind for item in outcomes)
    assert kinds["refused"] > SAMPLE / 10
    assert kinds["ended"] > SAMPLE / 20
