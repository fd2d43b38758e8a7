"""Many resources are handled at once, and a single one at once when nothing else happens."""

import statistics
import time

from tests.support.operator_process import Operator
from tests.support.simulated_cluster import PATIENCE, Namespace, until

COUNT = 200
SAMPLES = 30
# In seconds. The product promises 0.2 when idle (see the benchmark), but a test shares its machine with others. For the same
# reason it limits the median: a few of the waits may fall into moments in which the machine does nothing else.
LATENCY_LIMIT = 1.0


def test_two_hundred_resources_at_once_get_one_job_each(namespace: Namespace, operator: Operator) -> None:
    for number in range(COUNT):
        namespace.create(f"many-{number}")
    until(lambda: len(namespace.api.items(namespace.jobs)) == COUNT, f"{COUNT} Jobs", 4 * PATIENCE)

    def told() -> bool:
        statuses = [item.get("status") or {} for item in namespace.api.items(namespace.resources)]
        return all(status.get("phase") == "Pending" and status.get("jobRef") for status in statuses)

    until(told, f"{COUNT} statuses", 4 * PATIENCE)
    owners = {item["metadata"]["ownerReferences"][0]["uid"] for item in namespace.api.items(namespace.jobs)}
    assert len(owners) == COUNT
    assert operator.memory_mib() < 200


def test_an_idle_operator_makes_the_job_at_once(namespace: Namespace, operator: Operator) -> None:
    waits = []
    for number in range(SAMPLES):
        began = time.monotonic()
        namespace.create(f"quick-{number}")
        namespace.job(f"quick-{number}")
        waits.append(time.monotonic() - began)
    assert statistics.median(waits) < LATENCY_LIMIT
