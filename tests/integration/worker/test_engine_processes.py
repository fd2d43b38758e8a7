"""The engines of a pod in processes of their own: several share a shard, and files that take them down are found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transcription_api import names
from transcription_api.report import FileCounts, Report
from transcription_api.spec import parse_spec
from transcription_api.task import Task, encode_task
from transcription_worker.batch import header_processes
from transcription_worker.batch.collecting import collect_files
from transcription_worker.batch.engine_group import MOST_DEATHS_IN_A_ROW
from transcription_worker.batch.engine_process import EngineProcess
from transcription_worker.batch.feed import EngineDiedError, Feed, ShardEngine
from transcription_worker.batch.media_headers import estimated_seconds
from transcription_worker.batch.planning import plan_files
from transcription_worker.batch.run_objects import RunObjects
from transcription_worker.batch.shard_run import transcribe_shard
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.progress import ProgressTracker

from tests.support import header_reader, shard_engine
from tests.support.deadly_media import DEADLY, search_path
from tests.support.processes import children
from tests.support.repository import ROOT
from tests.support.speech import noise, write_wav
from tests.support.worker_container import SOURCE, WorkerContainer, written_objects

RUN = "_runs/many-7c1dbb0a/"


@dataclass
class Pod:
    """A pod over the shard of a resource: this process gives files to engines, which are programs."""

    container: WorkerContainer
    prefix: str
    tracker: ProgressTracker
    known: dict[str, object]
    others: list[int]  # processes that were there before

    @property
    def task(self) -> Task:
        spec = self.container.spec("unused", self.prefix, formats=["txt"], retries=0)
        spec["source"] = {"s3": self.container.endpoint(bucket=SOURCE, prefix=self.prefix)}
        return Task("team-a", "many", "7c1dbb0a", spec)

    @property
    def paths(self) -> Paths:
        return Paths(self.container.root)

    def put(self, name: str, body: bytes) -> None:
        self.container.server.client().put_object(Bucket=SOURCE, Key=self.prefix + name, Body=body)

    def plan(self) -> None:
        self.paths.scratch.mkdir(parents=True, exist_ok=True)
        plan_files(self.task, parse_spec(self.task.spec), self.paths, ProgressTracker())

    def transcribe(self, engines: int = 1) -> Report:
        command, scratch = shard_engine.COMMAND, self.paths.scratch
        return self.transcribe_by([EngineProcess(command, scratch, number, engines) for number in range(engines)])

    def transcribe_by(self, engines: Sequence[ShardEngine]) -> Report:
        spec = parse_spec(self.task.spec)
        return transcribe_shard(self.task, spec, self.paths, engines, 0, self.tracker, self.known)

    def collect(self) -> FileCounts:
        counts = collect_files(self.task, parse_spec(self.task.spec), self.paths, ProgressTracker()).files
        assert counts is not None
        return counts

    def failures(self) -> list[tuple[str, str]]:
        account = json.loads(written_objects(self.container.server, self.prefix)[RUN + "report.json"])
        return [(row["key"].removeprefix(self.prefix), row["reason"]) for row in account["files"] if "reason" in row]


@pytest.fixture
def pod(container: WorkerContainer, prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pod:
    made = Pod(container, prefix, ProgressTracker(), {}, children())
    environment = {names.ENV_TASK: encode_task(made.task), "TRANSCRIPTION_ROOT": str(container.root)}
    environment |= {"PATH": search_path(tmp_path / "bin"), "PYTHONPATH": str(ROOT)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return made


@pytest.fixture
def audio(tmp_path: Path) -> bytes:
    """Return half a second of noise."""
    path = tmp_path / "noise.wav"
    write_wav(path, noise(1, 0.5))
    return path.read_bytes()


def test_files_that_take_an_engine_down_are_set_aside_and_all_others_are_done(pod: Pod, audio: bytes) -> None:
    deadly = ["03.mp3", "04.mp3", "05.mp3", "06.mp3", "20.mp3"]
    for number in range(40):
        name = f"{number:02}.mp3"
        pod.put(name if name in deadly else f"{number:02}.wav", DEADLY + bytes(9000) if name in deadly else audio)
    pod.plan()
    report = pod.transcribe()
    assert report.files is not None
    assert (report.files.done, report.files.failed) == (35, 5)
    counts = pod.collect()
    assert (counts.done, counts.failed) == (35, 5)
    assert pod.failures() == [(name, "WorkerCrashed") for name in deadly]
    assert children() == pod.others
    assert list(pod.paths.scratch.glob("engine-*")) == []


def test_two_engines_share_the_files_and_the_pod_tells_of_both(
    pod: Pod, audio: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shard_engine.DEVICES, "cuda,cuda")
    for number in range(12):
        pod.put(f"{number}.wav", audio)
    pod.plan()
    report = pod.transcribe(engines=2)
    assert report.files == FileCounts(total=12, done=12)
    shown: Any = pod.tracker.read()
    assert (shown.device.kind, shown.device.count, shown.files_done) == ("cuda", 2, 12)
    assert pod.known["engine"] == "instant"
    assert shown.seconds_total == 6.0


def test_a_gpu_that_is_missing_is_told_by_its_number_and_no_file_is_touched(
    pod: Pod, audio: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shard_engine.DEVICES, "cuda,none")
    pod.put("a.wav", audio)
    pod.plan()
    with pytest.raises(WorkerError, match=r"GPU 2 of 2: the driver is there, but no device") as caught:
        pod.transcribe(engines=2)
    assert caught.value.reason.name == "GPUNotVisible"
    assert pod.tracker.read().seconds_total is None
    assert children() == pod.others


class Dying:
    """An engine in this process that dies of every file, as on a machine that is broken."""

    def run(self, feed: Feed) -> None:
        while feed.take() is not None:
            pass
        raise EngineDiedError("died of SIGSEGV", was_killed=False)

    def stop(self) -> None:
        """There is nothing to stop."""

    def save(self) -> None:
        """There is nothing to save."""

    def finish(self, until: float) -> None:
        """There is nothing to finish."""


def test_a_machine_on_which_every_file_takes_the_engine_down_is_not_blamed_on_the_files(pod: Pod, audio: bytes) -> None:
    for number in range(MOST_DEATHS_IN_A_ROW):
        pod.put(f"{number}.wav", audio)
    pod.plan()
    with pytest.raises(WorkerError, match=f"died of SIGSEGV, {MOST_DEATHS_IN_A_ROW} times in a row") as caught:
        pod.transcribe_by([Dying()])
    assert caught.value.reason.name == "InternalError"
    assert pod.collect().failed == MOST_DEATHS_IN_A_ROW
    assert {reason for _, reason in pod.failures()} == {"NotTranscribed"}


def test_a_file_whose_header_takes_its_reader_down_is_planned_by_its_size(
    pod: Pod, audio: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(header_processes, "COMMAND", header_reader.COMMAND)
    pod.put("deadly.mp3", DEADLY + bytes(79_994))
    pod.put("fine.wav", audio)
    pod.plan()
    plan = RunObjects(pod.task, parse_spec(pod.task.spec), pod.paths).require_plan()
    assert plan.summary.to_transcribe == 2
    assert plan.summary.audio_seconds == pytest.approx(
        estimated_seconds(80_000) + estimated_seconds(len(audio)), abs=0.01
    )
    assert (
        "deadly.mp3': its header takes its reader down (SIGSEGV): its length is estimated from its size" in caplog.text
    )
