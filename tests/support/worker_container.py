"""Run the worker as a program in folders that stand for its container, with a real S3 server beside it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transcription_api import names
from transcription_api.report import Report, parse_report
from transcription_api.task import Task, encode_task
from transcription_worker.engines.batched.kernels import numba_jit

from tests.support.forked_worker import ForkedWorker
from tests.support.s3 import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from tests.support.testmodel import model_path
from tests.support.whisper_command import THREADS

RUN_SECONDS = 120.0
SOURCE = "audio"
DESTINATION = "transcripts"
# Where the tests' own process keeps kernels that numba has compiled. A pod compiles them, which takes 10 s of a core.
COMPILED_KERNELS = str(Path(numba_jit.__file__).parent / "__pycache__")
# The recording in SOURCE that most runs transcribe.
SPEECH_KEY = "interviews/01.wav"
SPEECH_SECONDS = 12
# Either has what the tests need of the other.
Running = subprocess.Popen[str] | ForkedWorker


@dataclass
class Ended:
    """The outcome of a run."""

    code: int
    log: str
    report: Report
    seconds: float


@dataclass
class WorkerContainer:
    """The worker's container. `root` is its file system, `server` the S3 server that tasks name.

    `prefix` are words before the command, such as those of a program that runs it as another user. With `forked` the program is
    forked and finds compiled kernels, which takes less time: see ForkedWorker.
    """

    root: Path
    server: S3Server
    env: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    forked: bool = False

    def __post_init__(self) -> None:
        (self.root / "dev").mkdir(parents=True)
        for folder in (names.SOURCE_CREDENTIALS_DIR, names.DESTINATION_CREDENTIALS_DIR, names.MODEL_CREDENTIALS_DIR):
            self.mount_secret(folder, ACCESS_KEY, SECRET_KEY)
        self.at(names.MODEL_VOLUME_DIR).mkdir()

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def mount_secret(self, folder: str, access_key: str, secret_key: str) -> None:
        self.at(folder).mkdir(parents=True, exist_ok=True)
        (self.at(folder) / names.SECRET_ACCESS_KEY_ID).write_text(access_key)
        (self.at(folder) / names.SECRET_SECRET_ACCESS_KEY).write_text(secret_key)

    def mount_model(self, model: Path) -> None:
        shutil.copy(model, self.at(names.MODEL_VOLUME_DIR) / "model.pt")

    def endpoint(self, **fields: Any) -> dict[str, Any]:
        """Return the s3 field of a source, destination or model."""
        common = {"endpointURL": self.server.url, "region": REGION, "pathStyle": True}
        return common | {"credentialsSecretRef": {"name": "s3"}} | fields

    def spec(self, key: str, prefix: str = "", **fields: Any) -> dict[str, Any]:
        """Return a spec for the audio at `key`, with the mounted model, on the CPU."""
        return {
            "source": {"s3": self.endpoint(bucket=SOURCE, key=key)},
            "destination": {"s3": self.endpoint(bucket=DESTINATION, prefix=prefix)},
            "model": {"volume": {"path": "model.pt", "persistentVolumeClaim": {"claimName": "models"}}},
            "device": {"policy": "CPU"},
        } | fields

    def start(self, spec: dict[str, Any], port: int = 0, phase: str | None = None) -> Running:
        task = Task("team-a", "interview", "7c1dbb0a", spec, phase)
        own = {
            names.ENV_TASK: encode_task(task),
            "TRANSCRIPTION_ROOT": str(self.root),
            "TRANSCRIPTION_PROGRESS_PORT": str(port),
            "TRANSCRIPTION_OUTAGE_SECONDS": "3",
            "OMP_NUM_THREADS": THREADS,
        }
        if self.forked:
            own["NUMBA_CACHE_DIR"] = COMPILED_KERNELS
        environment = os.environ | own | self.env
        if self.forked and not self.prefix:
            return ForkedWorker(["run"], environment)
        command = [*self.prefix, str(Path(sys.executable).with_name("transcription-worker")), "run"]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def finish(self, process: Running, began: float) -> Ended:
        _, log = process.communicate(timeout=RUN_SECONDS)
        report = parse_report(self.at(names.TERMINATION_MESSAGE_PATH).read_bytes())
        assert report is not None, log
        assert process.returncode is not None
        return Ended(process.returncode, log, report, time.monotonic() - began)

    def run(self, spec: dict[str, Any], phase: str | None = None) -> Ended:
        began = time.monotonic()
        return self.finish(self.start(spec, phase=phase), began)

    def terminate(self, process: Running) -> Ended:
        """Send SIGTERM as the kubelet does. `seconds` of the result counts from there."""
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        return self.finish(process, began)


def progress_until(port: int, stage: str, process: Running, field: str = "stage") -> dict[str, Any]:
    """Wait for that stage, and for a field to be known in it, and return the first such answer to GET /progress."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/progress", timeout=2) as answer:
                progress: dict[str, Any] = json.load(answer)
        except OSError:
            time.sleep(0.02)
            continue
        if progress["stage"] == stage and progress.get(field) is not None:
            return progress
        time.sleep(0.02)
    raise AssertionError(f"never reached stage {stage}")


def written_objects(server: S3Server, prefix: str) -> dict[str, bytes]:
    """Return the destination's objects below `prefix`, by the rest of their key."""
    client = server.client()
    listed = client.list_objects_v2(Bucket=DESTINATION, Prefix=prefix).get("Contents", [])
    return {
        item["Key"].removeprefix(prefix): client.get_object(Bucket=DESTINATION, Key=item["Key"])["Body"].read()
        for item in listed
    }


def upload_model(server: S3Server) -> None:
    """Upload the test model as tiny/model.pt to the bucket models."""
    client = server.client()
    client.create_bucket(Bucket="models")
    client.upload_file(str(model_path()), "models", "tiny/model.pt")
