"""The objects of one run in the destination: its plan, what became of its files, and its account."""

import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from transcription_api import layout, reasons
from transcription_api.codec import from_json, to_json
from transcription_api.report import PlanSummary
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.batch.entries import Entry, decode_lines, encode_lines
from transcription_worker.batch.outcomes import Row
from transcription_worker.batch.result_buckets import ResultBuckets
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket

T = TypeVar("T")

log = logging.getLogger(__name__)

JSON, JSON_LINES, CSV = "application/json", "application/x-ndjson", "text/csv"


@dataclass(frozen=True)
class Plan:
    """The frozen plan. `folder` names the folder of its shards, which no other plan of the resource shares.

    `speed` is in seconds of audio that a pod was expected to transcribe in a second.
    """

    folder: str
    summary: PlanSummary
    speed: float


class RunObjects:
    """Reads and writes the objects below the run's prefix. `results` are the buckets of its files' results."""

    def __init__(self, task: Task, spec: Spec, paths: Paths) -> None:
        self._prefix = layout.run_prefix(spec, task.name, task.uid)
        self.results = ResultBuckets(spec, paths)
        self._bucket = self.results.named(spec.destination.s3.bucket)
        self._scratch = paths.scratch

    def key(self, name: str) -> str:
        """Return the key of an object of the run."""
        return self._prefix + name

    # --- the plan

    def find_plan(self) -> Plan | None:
        """Return the plan that is frozen already, if there is one.

        Raises:
            WorkerError: PlanMissing, if what lies there is no plan; EndpointUnreachable and so on.
        """
        body = self._find("plan.json")
        if body is None:
            return None
        try:
            return from_json(Plan, json.loads(body), "plan.json")
        except (ValueError, RecursionError) as error:
            raise WorkerError(reasons.PLAN_MISSING, f"{self.key('plan.json')!r}: {error}") from error

    def require_plan(self) -> Plan:
        """Return the frozen plan.

        Raises:
            WorkerError: PlanMissing; EndpointUnreachable and so on.
        """
        plan = self.find_plan()
        if plan is None:
            raise WorkerError(reasons.PLAN_MISSING, f"{self.key('plan.json')!r} is gone, expected the plan of the run")
        return plan

    def freeze(self, plan: Plan) -> Plan:
        """Write the plan unless there is one by now, and return the one that is there."""
        body = json.dumps(to_json(plan), allow_nan=False, indent=1).encode()
        if self._bucket.replace(self.key("plan.json"), body, JSON, None) is None:
            return self.require_plan()
        return plan

    def write_shard(self, folder: str, number: int, entries: Iterable[Entry]) -> None:
        self.write(f"{folder}/{number:05}.jsonl", encode_lines(entries), JSON_LINES)

    def read_shard(self, folder: str, number: int) -> list[Entry]:
        """Return the files of a shard.

        Raises:
            WorkerError: PlanMissing; EndpointUnreachable and so on.
        """
        return self._of_plan(Entry, f"{folder}/{number:05}.jsonl", "a shard of the plan")

    def settled(self, folder: str) -> list[Row]:
        """Return the files that failed, or had results, when the plan was made.

        Raises:
            WorkerError: PlanMissing; EndpointUnreachable and so on.
        """
        return self._of_plan(Row, f"{folder}/settled.jsonl", "the files that the plan left out")

    def _of_plan(self, cls: type[T], name: str, words: str) -> list[T]:
        body = self._find(name)
        if body is None:
            raise WorkerError(reasons.PLAN_MISSING, f"{self.key(name)!r} is gone, expected {words}")
        try:
            return list(decode_lines(cls, body))
        except (ValueError, RecursionError) as error:
            raise WorkerError(reasons.PLAN_MISSING, f"{self.key(name)!r}: {error}") from error

    # --- what became of the files

    def write(self, name: str, body: bytes, content_type: str) -> None:
        self._bucket.write(self.key(name), body, content_type)

    def names(self, folder: str) -> list[str]:
        """Return the names of the run's objects below a folder, in the order of their keys."""
        return [item.key.removeprefix(self._prefix) for item in self._bucket.list(self.key(folder))]

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of an object that can be read; none where there is no such object.

        A line may be another version's, or be written by anybody who may write to the destination. Its file counts as one
        that no pod has come to the end of.
        """
        for number, line in enumerate((self._find(name) or b"").split(b"\n"), start=1):
            try:
                yield from decode_lines(Row, line)
            except (ValueError, RecursionError):
                log.warning("%s: line %d cannot be read by this version", self.key(name), number)

    def read_json(self, name: str) -> Any:
        """Return an object of JSON, or None where there is none that can be read."""
        body = self._find(name)
        try:
            return None if body is None else json.loads(body)
        except (ValueError, RecursionError):
            log.warning("%s cannot be read", self.key(name))
            return None

    def _find(self, name: str) -> bytes | None:
        """Read an object of any size by way of the scratch folder; None if there is none."""
        key = self.key(name)
        try:
            found = self._bucket.find(key)
        except WorkerError as error:
            if error.reason is reasons.NO_SUCH_KEY:
                return None
            raise
        with tempfile.TemporaryDirectory(prefix="run-", dir=self._scratch) as folder:
            path = Path(folder) / "object"
            self._bucket.download(key, found, path)
            return path.read_bytes()

    @property
    def bucket(self) -> Bucket:
        """The bucket of the run's own objects."""
        return self._bucket
