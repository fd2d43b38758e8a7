"""What the operator's processes say of themselves: memory, and requests to the apiserver."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from tests.support.helm import NAMESPACE
from tests.support.stack.kube import CommandError, kubectl
from tests.support.stack.release import operator_pods

WRITES = ("POST", "PUT", "PATCH", "DELETE")
REQUESTS = "transcription_api_requests_total"
READ = """
import os, urllib.request
print(open("/proc/1/status").read())
print("METRICS")
address = f"http://127.0.0.1:{os.environ['TRANSCRIPTION_HTTP_PORT']}/metrics"
print(urllib.request.urlopen(address).read().decode())
"""


@dataclass(frozen=True)
class Sample:
    """One look at one pod of the operator."""

    pod: str
    memory_mib: float
    writes: int


@dataclass
class OperatorSamples:
    """The samples of all pods that the operator has had. A pod's writes are those of its last sample."""

    peak_mib: float = 0.0
    _first: int | None = None
    _writes: dict[str, int] = field(default_factory=dict)

    def take(self) -> None:
        """Sample the pods that are there. One that is starting or ending is left out.

        Raises:
            RuntimeError: no pod has ever answered, so that there is nothing to count from.
        """
        for sample in samples():
            self._writes[sample.pod] = sample.writes
            self.peak_mib = max(self.peak_mib, sample.memory_mib)
        if not self._writes:
            raise RuntimeError(f"no pod of the operator tells its metrics: {operator_pods()}")
        if self._first is None:
            self._first = sum(self._writes.values())

    @property
    def writes(self) -> int:
        """The writes since the first sample."""
        return sum(self._writes.values()) - (self._first or 0)


def samples() -> Iterator[Sample]:
    """Look at each pod of the operator."""
    for pod in operator_pods():
        try:
            status, _, metrics = kubectl("exec", pod, "-n", NAMESPACE, "--", "python", "-c", READ).partition("METRICS")
        except CommandError:
            continue
        memory = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        yield Sample(pod, int(memory.split()[1]) / 1024, writes_in(metrics))


def writes_in(metrics: str) -> int:
    """Return the number of writes that the operator has sent, by its metrics."""
    found = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    return int(sum(one.value for one in found if one.name == REQUESTS and one.labels["method"] in WRITES))
