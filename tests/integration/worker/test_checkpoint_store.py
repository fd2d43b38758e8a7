"""When checkpoints are written to S3, found there, left alone and deleted. None of it is an error."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from transcription_api.spec import Spec, parse_spec
from transcription_worker.engines import input_checkpoint
from transcription_worker.engines.protocol import Checkpoints, InputCheckpoint
from transcription_worker.paths import Paths
from transcription_worker.pipeline import s3_checkpoints
from transcription_worker.pipeline.checkpoint_store import OpenedTrack
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_checkpoints import ENV_INTERVAL_SECONDS, S3CheckpointStore
from transcription_worker.pipeline.s3_source import S3Input
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.worker_container import DESTINATION, WorkerContainer, written_objects

FOLDER = "_runs/many-1/checkpoints/"
NAME = f"{FOLDER}0.0.checkpoint"
LONG = 3600.0
PROVENANCE = Provenance("model", "worker")


def at(seconds: float) -> InputCheckpoint:
    return InputCheckpoint("en", "float32", 16_000, seconds, ())


@dataclass
class Run:
    """The workers of one file, each with a store of its own."""

    container: WorkerContainer
    prefix: str
    provenance: Provenance = PROVENANCE
    etag: str = "etag"
    fields: dict[str, Any] = field(default_factory=dict)
    resumed: list[tuple[float, float]] = field(default_factory=list)

    @property
    def spec(self) -> Spec:
        return parse_spec(self.container.spec("a.wav", self.prefix) | self.fields)

    @property
    def item(self) -> S3Input:
        return S3Input(self.spec.source.s3.object())

    def store(self, may_exist: bool = True) -> S3CheckpointStore:
        paths = Paths(self.container.root)
        paths.scratch.mkdir(parents=True, exist_ok=True)
        bucket = Bucket(self.spec.destination.s3, Role.DESTINATION, paths)
        prefix = self.prefix + FOLDER
        return S3CheckpointStore(self.spec, bucket, prefix, lambda: self.provenance, paths.scratch, may_exist)

    def open(self, store: S3CheckpointStore, seconds: float = LONG, track: int = 0) -> Checkpoints | None:
        opened = OpenedTrack(track, seconds, lambda *done: self.resumed.append(done))
        return store.open(self.item, InputVersion(self.etag), opened)

    def opened(self, store: S3CheckpointStore, track: int = 0) -> Checkpoints:
        found = self.open(store, track=track)
        assert found is not None
        return found

    def save(self, *seconds: float) -> None:
        """Let a worker come so far, and end."""
        with self.store() as store:
            track = self.opened(store)
            for one in seconds:
                track.keep(at(one))

    def found(self) -> float | None:
        """Return where the next worker goes on."""
        with self.store() as store:
            found = self.opened(store).find()
        return None if found is None else found.seconds

    def written(self) -> dict[str, bytes]:
        return written_objects(self.container.server, self.prefix)

    def put(self, body: bytes) -> None:
        client = self.container.server.client()
        client.put_object(Bucket=DESTINATION, Key=self.prefix + NAME, Body=body)


@pytest.fixture
def run(container: WorkerContainer, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "1")
    return Run(container, prefix)


def test_the_next_worker_finds_the_newest_one(run: Run) -> None:
    run.save(30.0, 60.0)
    assert list(run.written()) == [NAME]
    assert run.found() == 60.0


def test_there_is_none_for_a_short_file(run: Run) -> None:
    with run.store() as store:
        assert run.open(store, seconds=599.9) is None
        assert run.open(store, seconds=600.0) is not None


def test_the_first_worker_of_a_run_asks_for_none(run: Run) -> None:
    run.save(30.0)
    with run.store(may_exist=False) as store:
        assert run.opened(store).find() is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"etag": "another"}, id="source"),
        pytest.param({"provenance": Provenance("another", "worker")}, id="model"),
        pytest.param({"provenance": Provenance("model", "another")}, id="worker"),
        pytest.param({"fields": {"language": "pt"}}, id="options"),
    ],
)
def test_one_of_another_source_model_worker_or_task_is_left_alone(
    run: Run, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    run.save(30.0)
    for name, value in change.items():
        setattr(run, name, value)
    assert run.found() is None
    assert "a.wav: the checkpoint found is not used: it is of another source" in caplog.text


@pytest.mark.parametrize("body", [b"", b"canary", b"{}", b"\n" * 100, b"\x00\xff" * 5000])
def test_what_is_no_checkpoint_is_left_alone_and_replaced(
    run: Run, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    run.put(body)
    assert run.found() is None
    assert "canary" not in caplog.text
    run.save(30.0)
    assert run.found() == 30.0


def test_one_that_is_too_large_is_not_even_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run.save(30.0)
    monkeypatch.setattr(s3_checkpoints, "MOST_BYTES", 10)
    assert run.found() is None
    assert "it has" in caplog.text
    monkeypatch.setattr(input_checkpoint, "MOST_BYTES", 10)
    run.save(60.0)  # nor is it written
    monkeypatch.undo()
    assert run.found() == 30.0


def wait_for(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10.0
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_one_is_written_as_soon_as_it_is_due(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_INTERVAL_SECONDS, "0.2")
    with run.store() as store:
        track = run.opened(store)
        track.keep(at(30.0))
        assert not run.written()
        time.sleep(0.2)
        track.keep(at(60.0))
        assert wait_for(lambda: NAME in run.written())
        assert run.found() == 60.0


def test_tracks_have_their_own_and_a_finished_file_has_none(run: Run) -> None:
    with run.store() as store:
        for track in (0, 1):
            run.opened(store, track).keep(at(30.0))
        store.save()
        assert len(run.written()) == 2
        store.drop(run.item)
        assert not run.written()
        store.save()  # nor does a signal bring them back
        assert not run.written()


def test_one_that_a_worker_before_left_is_deleted_though_this_one_wrote_none(run: Run) -> None:
    run.save(30.0)
    with run.store() as store:
        run.opened(store)
        store.drop(run.item)
    assert not run.written()


def test_the_time_of_all_workers_adds_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with run.store() as store:
        track = run.opened(store)
        now[0] += 7.5
        track.keep(at(30.0))
        store.save()
    with run.store() as store:
        track = run.opened(store)
        assert track.find() is not None
        track.resume(30.0)
        now[0] += 2.5
        track.keep(at(60.0))
        store.save()
    assert run.resumed == [(30.0, 7.5)]
    with run.store() as store:
        found = run.opened(store).find()
    assert found is not None
    assert found.wall_seconds == 10.0


def test_a_server_that_is_gone_is_a_warning(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    run.fields["destination"] = {
        "s3": run.container.endpoint(bucket=DESTINATION, prefix=run.prefix, endpointURL="http://127.0.0.1:9")
    }
    run.save(30.0)
    assert run.found() is None
    assert "no checkpoint is written" in caplog.text
    assert "the checkpoint cannot be read" in caplog.text


def test_a_bucket_that_may_not_be_read_or_deleted_from_is_none_either(run: Run) -> None:
    run.fields["destination"] = {"s3": run.container.endpoint(bucket="no-such-bucket", prefix=run.prefix)}
    run.save(30.0)
    with run.store() as store:
        assert run.opened(store).find() is None
        store.drop(run.item)
