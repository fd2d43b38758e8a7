"""The pipeline transcribes many objects of S3 in one pod, given only a source that lists them."""

import dataclasses
import json
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api import layout, reasons
from transcription_api.report import Report
from transcription_api.spec import S3Object, Spec, parse_spec
from transcription_worker.errors import WorkerError
from transcription_worker.job.transcription import engine_options
from transcription_worker.paths import Paths
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_sink import S3Sink
from transcription_worker.pipeline.s3_source import S3Input, S3Source
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.instant_engine import InstantLoader
from tests.support.s3 import S3Server
from tests.support.speech import SAMPLE_RATE, write_wav
from tests.support.worker_container import DESTINATION, SOURCE, WorkerContainer, written_objects

GOOD = [f"many/{number:02}.wav" for number in range(12)]
TEXT, EMPTY, MISSING = "many/minutes.mp3", "many/empty.wav", "many/missing.wav"
PROVENANCE = Provenance("sha256:00", "transcription-worker 0")


class ListedObjects(S3Source):
    """A source of several objects of one bucket, by their keys."""

    def __init__(self, location: S3Object, keys: list[str], bucket: Bucket) -> None:
        super().__init__(location, bucket)
        self._objects = [S3Input(dataclasses.replace(location, key=key)) for key in keys]

    def inputs(self) -> Iterable[S3Input]:
        return self._objects


class Outcomes(PipelineListener[S3Input]):
    """Records the report or the failure of each key."""

    def __init__(self) -> None:
        self.reports: dict[str, Report] = {}
        self.failures: dict[str, WorkerError] = {}
        self.stages: list[str] = []

    def stage_entered(self, stage: str) -> None:
        self.stages.append(stage)

    def input_reused(self, number: int, item: S3Input, report: Report) -> None:
        self.reports[item.name] = report

    def input_written(self, number: int, item: S3Input, transcription: Transcription, report: Report) -> None:
        self.reports[item.name] = report

    def input_failed(self, number: int, item: S3Input, error: WorkerError) -> None:
        self.failures[item.name] = error


@pytest.fixture(scope="module")
def objects(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the keys of twelve recordings of different lengths, a text, an empty object and a missing object."""
    client, path = server.client(), tmp_path_factory.mktemp("many") / "audio.wav"
    for number, key in enumerate(GOOD):
        write_wav(path, np.zeros(SAMPLE_RATE + number * SAMPLE_RATE // 4, np.float32))
        client.upload_file(str(path), SOURCE, key)
    client.put_object(Bucket=SOURCE, Key=TEXT, Body=b"Minutes of a meeting, and no recording of it.\n" * 40)
    client.put_object(Bucket=SOURCE, Key=EMPTY, Body=b"")
    return [TEXT, *GOOD[:5], EMPTY, *GOOD[5:], MISSING]


def run(container: WorkerContainer, keys: list[str], prefix: str, **fields: Any) -> tuple[Outcomes, InstantLoader]:
    spec = parse_spec(container.spec(keys[0], prefix, **fields))
    paths, outcomes, loader = Paths(container.root), Outcomes(), InstantLoader(engine_options(spec))
    paths.scratch.mkdir(parents=True, exist_ok=True)
    source = ListedObjects(spec.source.s3.object(), keys, Bucket(spec.source.s3, Role.SOURCE, paths))
    destination = Bucket(spec.destination.s3, Role.DESTINATION, paths)
    sink = S3Sink(spec, lambda _own: destination, lambda: PROVENANCE)
    options = PipelineOptions(engine_options(spec), spec.audio, paths.scratch)
    Pipeline(source, sink, loader, options, outcomes).run()
    assert list(paths.scratch.iterdir()) == []
    return outcomes, loader


def spec_of(container: WorkerContainer, key: str, prefix: str) -> Spec:
    return parse_spec(container.spec(key, prefix))


def test_every_object_has_its_results_and_its_report_and_bad_ones_fail_alone(
    container: WorkerContainer, server: S3Server, objects: list[str], prefix: str
) -> None:
    outcomes, loader = run(container, objects, prefix)
    assert {key: error.reason for key, error in outcomes.failures.items()} == {
        TEXT: reasons.UNSUPPORTED_MEDIA,
        EMPTY: reasons.UNSUPPORTED_MEDIA,
        MISSING: reasons.NO_SUCH_KEY,
    }
    assert set(outcomes.reports) == set(GOOD)
    assert loader.loaded == 1
    results = written_objects(server, prefix)
    assert set(results) == {f"{Path(key).stem}.{end}" for key in GOOD for end in ("json", "txt", "report.json")}
    for number, key in enumerate(GOOD):
        seconds = 1 + number / 4
        assert results[f"{Path(key).stem}.txt"] == f"{seconds:.2f} seconds\n".encode()
        report = json.loads(results[f"{Path(key).stem}.report.json"])
        assert report["report"]["audioSeconds"] == seconds
        assert report["fingerprint"] == layout.fingerprint(spec_of(container, key, prefix))


def test_stages_are_told_once_and_in_their_order(container: WorkerContainer, objects: list[str], prefix: str) -> None:
    outcomes, _ = run(container, objects, prefix)
    assert outcomes.stages[:4] == ["fetch", "decode", "model", "transcribe"]
    outcomes, _ = run(container, GOOD[:3], f"{prefix}good/")
    assert outcomes.stages == ["fetch", "decode", "model", "transcribe", "write"]


def test_a_second_run_transcribes_only_what_has_no_results(
    container: WorkerContainer, server: S3Server, objects: list[str], prefix: str
) -> None:
    first, _ = run(container, GOOD, prefix)
    server.client().delete_object(Bucket=DESTINATION, Key=f"{prefix}03.txt")
    again, loader = run(container, GOOD, prefix)
    assert [key for key, report in again.reports.items() if not report.reused] == [GOOD[3]]
    assert {key: report.objects for key, report in again.reports.items()} == {
        key: report.objects for key, report in first.reports.items()
    }
    assert loader.loaded == 1
    none, loader = run(container, GOOD, prefix)
    assert all(report.reused for report in none.reports.values())
    assert loader.loaded == 0  # no model is read where there is nothing to transcribe


def write_stereo(path: Path, seconds: float) -> None:
    """Write silence on two channels."""
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(bytes(4 * round(seconds * SAMPLE_RATE)))


def test_channels_of_many_objects_are_transcribed_apart(
    container: WorkerContainer, server: S3Server, objects: list[str], prefix: str, tmp_path: Path
) -> None:
    stereo = [f"many/stereo-{number}.wav" for number in range(5)]
    for number, key in enumerate(stereo):
        write_stereo(tmp_path / "stereo.wav", 1 + number)
        server.client().upload_file(str(tmp_path / "stereo.wav"), SOURCE, key)
    outcomes, _ = run(container, [TEXT, *stereo, GOOD[0]], prefix, audio={"channel": "split"}, formats=["txt"])
    assert set(outcomes.failures) == {TEXT}
    assert {key: report.channels for key, report in outcomes.reports.items()} == dict.fromkeys(stereo, 2) | {GOOD[0]: 1}
    names = [f"stereo-{number}.{end}" for number in range(5) for end in ("ch0.txt", "ch1.txt", "report.json")]
    assert set(written_objects(server, prefix)) == {*names, "00.ch0.txt", "00.report.json"}
    assert written_objects(server, prefix)["stereo-4.ch1.txt"] == b"5.00 seconds\n"
