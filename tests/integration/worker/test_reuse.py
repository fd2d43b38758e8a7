"""Results are reused only where the same model and the same worker would make them: another one behind a name counts."""

import importlib.metadata
from dataclasses import dataclass
from typing import Any

import pytest
from transcription_api import names
from transcription_api.report import PlanSummary, Report
from transcription_api.spec import Spec, parse_spec
from transcription_api.task import Task
from transcription_worker.batch.planning import plan_files
from transcription_worker.job import transcription
from transcription_worker.job.transcription import transcribe_object
from transcription_worker.paths import Paths
from transcription_worker.progress import ProgressTracker

from tests.support.instant_engine import InstantLoader
from tests.support.s3 import S3Server
from tests.support.worker_container import SOURCE, WorkerContainer

CLAIM = {"persistentVolumeClaim": {"claimName": "models"}}
IMAGE = {"image": {"reference": "registry.example.com/whisper:latest"}}


@dataclass
class Resource:
    """A resource over one recording below a prefix, or over the prefix, with a model of one of the kinds."""

    container: WorkerContainer
    prefix: str
    kind: str

    @property
    def server(self) -> S3Server:
        return self.container.server

    def replace_model(self, body: bytes) -> None:
        """Put another file behind the model's key or path, of the same size."""
        if self.kind == "s3":
            self.server.client().put_object(Bucket=SOURCE, Key=f"{self.prefix}model.pt", Body=body)
        else:
            (self.container.at(names.MODEL_VOLUME_DIR) / "model.pt").write_bytes(body)

    def spec(self, **source: str) -> Spec:
        volume = {"path": "model.pt"} | (IMAGE if self.kind == "image" else CLAIM)
        s3 = self.container.endpoint(bucket=SOURCE, key=f"{self.prefix}model.pt")
        model: dict[str, Any] = {"s3": s3} if self.kind == "s3" else {"volume": volume}
        spec = self.container.spec("unused", self.prefix, formats=["txt"], model=model)
        return parse_spec(spec | {"source": {"s3": self.container.endpoint(bucket=SOURCE, **source)}})

    def run(self) -> Report:
        paths = Paths(self.container.root)
        paths.scratch.mkdir(parents=True, exist_ok=True)
        task, spec = Task("team-a", "one", "7c1dbb0a-1", {}), self.spec(key=f"{self.prefix}call.wav")
        return transcribe_object(task, spec, paths, ProgressTracker(), {})

    def plan(self, uid: str) -> PlanSummary:
        task, spec = Task("team-a", "many", uid, {}), self.spec(prefix=self.prefix)
        summary = plan_files(task, spec, Paths(self.container.root), ProgressTracker()).plan
        assert summary is not None
        return summary


@pytest.fixture(params=["s3", "claim", "image"])
def resource(
    request: pytest.FixtureRequest,
    container: WorkerContainer,
    prefix: str,
    audio: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> Resource:
    """A resource with results, written with the first model by an engine that opens none."""
    monkeypatch.setattr(
        transcription,
        "engine_loader",
        lambda spec, *_: InstantLoader(transcription.engine_options(spec)),
    )
    made = Resource(container, prefix, request.param)
    made.server.client().put_object(Bucket=SOURCE, Key=f"{prefix}call.wav", Body=audio)
    made.replace_model(b"first ")
    assert not made.run().reused
    return made


def release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another version of the worker be installed."""
    installed = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "999.0" if name == "transcription-worker" else installed(name)
    )


def test_a_model_that_was_replaced_behind_its_key_or_path_transcribes_again(resource: Resource) -> None:
    assert resource.run().reused
    resource.replace_model(b"second")
    assert not resource.run().reused
    assert resource.run().reused


def test_another_version_of_the_worker_transcribes_again(resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    release(monkeypatch)
    assert not resource.run().reused
    assert resource.run().reused


def test_a_plan_leaves_out_no_file_whose_model_was_replaced(resource: Resource) -> None:
    assert resource.plan("1").reused == 1
    resource.replace_model(b"second")
    assert resource.plan("2").reused == 0


def test_a_plan_of_another_version_of_the_worker_leaves_out_no_file(
    resource: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resource.plan("1").reused == 1
    release(monkeypatch)
    assert resource.plan("2").reused == 0
