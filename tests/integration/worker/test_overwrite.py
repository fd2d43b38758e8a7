"""A worker that dies while it replaces results leaves no report that calls them whole while they are mixed."""

import json
import signal
from typing import Any

import pytest
from transcription_api.spec import Spec
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.destination import Destination
from tests.support.s3 import S3Server
from tests.support.s3_proxy import cutting
from tests.support.worker_container import DESTINATION, SOURCE, Running, WorkerContainer, written_objects

FORMATS: dict[str, Any] = {"formats": ["srt", "txt"]}
OLD = "by the first run"


class Killed(BaseException):
    """Stands for the end of the process."""


class MortalBucket(Bucket):
    """Lives until it is about to write once more than it may."""

    def __init__(self, spec: Spec, paths: Paths, writes: int) -> None:
        super().__init__(spec.destination.s3, Role.DESTINATION, paths)
        self._left = writes

    def _put(self, key: str, body: bytes, content_type: str, **condition: str) -> dict[str, Any]:
        if self._left == 0:
            raise Killed
        self._left -= 1
        return super()._put(key, body, content_type, **condition)


@pytest.fixture
def destination(container: WorkerContainer, prefix: str) -> Destination:
    return Destination(container, prefix)


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("key", "overwrite"), [("other/call.wav", True), ("in/call.wav", True), ("in/call.wav", False)]
)
def test_whenever_a_run_dies_old_and_new_results_are_never_called_whole_together(
    destination: Destination,
    container: WorkerContainer,
    server: S3Server,
    prefix: str,
    key: str,
    overwrite: bool,
    writes: int,
) -> None:
    destination.write(destination.spec("in/call.wav", **FORMATS), OLD)
    spec = destination.spec(key, overwrite=overwrite, **FORMATS)
    with pytest.raises(Killed):
        destination.write(spec, "by the second", bucket=MortalBucket(spec, Paths(container.root), writes))
    written = written_objects(server, prefix)
    new = [OLD.encode() not in written[f"call.{fmt}"] for fmt in FORMATS["formats"]]
    assert sum(new) == max(0, writes - 1)  # the first write is that of the note
    assert json.loads(written["call.report.json"]).get("incomplete", False) == (writes > 0)

    destination.write(spec, "by the third")
    assert destination.find(spec)
    assert b"by the third" in written_objects(server, prefix)["call.txt"]


def test_a_worker_that_is_killed_between_two_results_leaves_a_note_and_the_next_one_makes_them_whole(
    destination: Destination, container: WorkerContainer, server: S3Server, prefix: str, audio: bytes
) -> None:
    key = f"{prefix}01.wav"
    server.client().put_object(Bucket=SOURCE, Key=key, Body=audio)
    destination.write(destination.spec("other/01.wav", **FORMATS), OLD)
    spec = container.spec(key, prefix, decoding={"temperatures": [0], "beamSize": 1}, **FORMATS)
    spec["destination"]["overwrite"] = True

    running: list[Running] = []
    marker = f"PUT /{DESTINATION}/{prefix}01.srt".encode()
    with cutting(server.port, marker, 0, 1, lambda: running[0].send_signal(signal.SIGKILL)) as proxy:
        through = spec["destination"]["s3"] | {"endpointURL": f"http://127.0.0.1:{proxy.port}"}
        running.append(container.start(spec | {"destination": spec["destination"] | {"s3": through}}))
        running[0].communicate(timeout=60.0)
    assert running[0].returncode == -signal.SIGKILL
    written = written_objects(server, prefix)
    assert OLD.encode() not in written["01.srt"]
    assert OLD.encode() in written["01.txt"]
    note = json.loads(written["01.report.json"])
    assert (note["incomplete"], note["source"]["key"]) == (True, key)

    ended = container.run(spec)
    assert (ended.code, ended.report.reused) == (0, False), ended.log
    assert OLD.encode() not in written_objects(server, prefix)["01.txt"]
    assert container.run(spec).report.reused
