"""Run plans on several workers beside each other, against one control plane."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.faults.faulty_operator import ForkServer
from tests.faults.outcome import Remains
from tests.faults.plans import Plan, plans_of
from tests.faults.worker import Result, Worker
from tests.support.controlplane import ControlPlane

# How often a plan is tried whose moment does not come: the order of writes may differ from life to life.
TRIES = 3


class Pool:
    """Workers, each with its operator and namespace. `expected` has what is left of a life without faults, by its name."""

    def __init__(self, workers: list[Worker]) -> None:
        self._workers = workers
        self.expected: dict[str, Remains] = {}

    def run(self, plans: Iterable[Plan], done: Callable[[Result], None] = lambda _: None) -> list[Result]:
        """Run the plans and return their results. `done` is called with each, from one thread at a time."""
        waiting: SimpleQueue[Plan] = SimpleQueue()
        for plan in plans:
            waiting.put(plan)
        results: list[Result] = []
        lock = threading.Lock()

        def serve(worker: Worker) -> None:
            for plan in _taken(waiting):
                result = self._attempt(worker, plan)
                with lock:
                    results.append(result)
                    done(result)

        threads = [threading.Thread(target=serve, args=(worker,)) for worker in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def learn(self, lives: Iterable[str]) -> list[Result]:
        """Run lives without faults, and remember what is left of each."""
        results = self.run(Plan(life) for life in lives)
        for result in results:
            assert result.remains is not None, result.defects
            self.expected[result.plan.life] = result.remains
        return results

    def _attempt(self, worker: Worker, plan: Plan) -> Result:
        for _ in range(TRIES):
            try:
                result = worker.run(plan, self.expected.get(plan.life))
            except Exception as error:  # noqa: BLE001 - the other plans go on
                return Result(plan, defects=[f"the harness failed: {type(error).__name__}: {error}"])
            if result.hit or result.defects:
                break
        return result


def possible_plans(learnt: Result) -> list[Plan]:
    """Return all plans of a life that went without a fault, as many as it had writes and events."""
    assert learnt.traffic is not None
    traffic = learnt.traffic
    return plans_of(learnt.plan.life, len(traffic.writes), len(traffic.events), len(traffic.watched))


@contextmanager
def pool(plane: ControlPlane, folder: Path, count: int) -> Iterator[Pool]:
    """Run `count` workers for the block."""
    with ExitStack() as stack:
        server = ForkServer()
        stack.callback(server.close)
        workers = []
        for number in range(count):
            name = f"faults-{number}"
            workers.append(Worker(server, plane, folder / name, name))
            stack.callback(workers[-1].close)
        yield Pool(workers)


def _taken(waiting: "SimpleQueue[Plan]") -> Iterator[Plan]:
    while True:
        try:
            yield waiting.get_nowait()
        except Empty:
            return
