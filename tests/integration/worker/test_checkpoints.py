"""A long file that is interrupted goes on where it was, to the text that it has without an interruption."""

import json
import random
import signal
import time
from typing import Any

import pytest
from transcription_api import names
from transcription_worker.pipeline.s3_checkpoints import ENV_AUDIO_SECONDS, ENV_INTERVAL_SECONDS

from tests.support.s3 import S3Server
from tests.support.speech import speak, write_wav
from tests.support.testmodel import model_path
from tests.support.worker_container import RUN_SECONDS, SOURCE, Running, WorkerContainer, written_objects

# So long that no worker comes to the end between its first checkpoint and the signal.
SECONDS = 180
FORMATS = ["json", "srt", "tsv", "txt", "vtt"]
KEY = "long/a.wav"
# Digits of numbers in json. Processes choose the quicker of two kernels, whose sums differ in the last bits of a float32.
DIGITS = 5


def spec_of(container: WorkerContainer, prefix: str, many: bool) -> dict[str, Any]:
    decoding = {"temperatures": [0], "beamSize": 1, "wordTimestamps": True}
    spec = container.spec(KEY, prefix, formats=FORMATS, decoding=decoding, retries=5)
    if many:
        spec["source"] = {"s3": container.endpoint(bucket=SOURCE, prefix="long/")}
    return spec


def results(server: S3Server, prefix: str) -> dict[str, Any]:
    """Return the transcripts, json as its values."""
    found: dict[str, Any] = {f"a.{fmt}": written_objects(server, prefix)[f"a.{fmt}"] for fmt in FORMATS}
    return found | {"a.json": json.loads(found["a.json"], parse_float=lambda digits: round(float(digits), DIGITS))}


@pytest.fixture(scope="module")
def undisturbed(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the transcripts of a recording of six windows, which is at KEY."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_wav(folder / "a.wav", speak("en", 980, SECONDS)[0][: SECONDS * 16_000])
    server.client().upload_file(str(folder / "a.wav"), SOURCE, KEY)
    container = WorkerContainer(folder / "root", server, forked=True)
    container.mount_model(model_path())
    ended = container.run(spec_of(container, "undisturbed/", many=False))
    assert ended.code == 0, ended.log
    assert "checkpoint" not in ended.log  # it is shorter than ten minutes
    return results(server, "undisturbed/")


def disturb(process: Running, number: int, after: float) -> str:
    """Send the signal so many seconds after the worker's first checkpoint, and return its log."""
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or (" checkpoint at " not in lines[-1] and lines[-1]):
        lines.append(process.stderr.readline())
    time.sleep(after)
    process.send_signal(number)
    return "".join(lines) + process.communicate(timeout=RUN_SECONDS)[1]


def went_on_at(log: str) -> float:
    """Return the second at which a worker went on; 0 if it began anew."""
    found = [line.partition(" goes on at ")[2].split()[0] for line in log.splitlines() if " goes on at " in line]
    assert len(found) <= 1
    return float(found[0]) if found else 0.0


@pytest.mark.parametrize(
    ("many", "signals"),
    [(True, [signal.SIGTERM, signal.SIGKILL]), (False, [signal.SIGKILL])],
    ids=["one of many files", "a single file"],
)
def test_a_file_goes_on_where_the_worker_before_was_ended(
    container: WorkerContainer,
    server: S3Server,
    undisturbed: dict[str, Any],
    prefix: str,
    many: bool,
    signals: list[int],
) -> None:
    container.env |= {ENV_AUDIO_SECONDS: "30", ENV_INTERVAL_SECONDS: "0", names.ENV_INDEX: "0"}
    container.env |= {names.ENV_TERMINATION_GRACE_SECONDS: "1"}  # too short to finish the file
    spec, phase = spec_of(container, prefix, many), names.PHASE_TRANSCRIBE if many else None
    if many:
        assert container.run(spec, names.PHASE_PLAN).code == 0
    draw, marks = random.Random(f"moments {many}"), list[float]()
    for number in signals:
        log = disturb(container.start(spec, phase=phase), number, draw.uniform(0.0, 0.3))
        marks.append(went_on_at(log))
    ended = container.run(spec, phase)
    assert ended.code == 0, ended.log
    marks.append(went_on_at(ended.log))
    assert marks[0] == 0.0
    assert marks == sorted(marks)
    assert marks[-1] > 20.0 * len(signals)
    assert results(server, prefix) == undisturbed
    written = written_objects(server, prefix)
    assert not any("checkpoint" in name for name in written)
    if many:
        last = sorted(name for name in written if name.endswith(".note.json"))[-1]
        done = json.loads(written[last])["audioSeconds"]
        assert done == pytest.approx(SECONDS - marks[-1], abs=0.1)
