"""Handle a namespace of the test cluster and its TranscriptionJobs, with the audio that they transcribe."""

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.repository import ROOT
from tests.support.speech import speak, write_wav
from tests.support.stack import s3
from tests.support.stack.kube import apply, get, kubectl, list_items, until
from tests.support.stack.release import ensure_namespace, ensure_release
from tests.support.testmodel import model_path
from tests.support.transcript_score import word_error_rate

# The seconds until a test gives up: ten times what anything here takes on two idle cores.
PATIENCE = 900
ENDED = ("Complete", "Failed")
# Language, seed, seconds, and repetitions. The long one takes a pod half a minute, which leaves time to disturb it and to
# poll its progress, which happens every 10 s.
SPOKEN = {
    "english": ("en", 8_100_001, 75, 1),
    "portuguese": ("pt", 8_100_002, 75, 1),
    "long": ("en", 8_100_003, 300, 6),
}
# The worker's image is on the GPU node alone, so that a job for the CPU is sent there too.
ON_GPU_NODE: dict[str, Any] = {
    "nodeSelector": {"nvidia.com/gpu.present": "true"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}


@contextmanager
def stored_inputs(values: dict[str, Any]) -> Iterator[Any]:
    """Ensure the release with these values and the S3 server with audio and model; yield a boto3 client of the server."""
    ensure_release(values)
    s3.ensure_s3()
    with s3.connect() as client:
        s3.ensure_buckets(client)
        client.upload_file(str(model_path()), "models", s3.MODEL_KEY)
        upload_audio(client)
        yield client


def upload_to_each(client: Any, samples: Any, keys: Iterable[str]) -> None:
    """Upload one recording, as a WAV file, to each of these keys of the source."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        write_wav(path, samples)
        for key in keys:
            client.upload_file(str(path), "audio", key)


@contextmanager
def namespace_of(kind: str, client: Any, module: str, wait: bool) -> Iterator["JobNamespace"]:
    """Yield a restricted namespace with the credentials for a module of tests. wait: until it is gone afterwards."""
    name = module.rsplit("test_", 1)[-1].replace("_", "-")
    namespace = JobNamespace(f"{kind}-{name}", client)
    namespace.ensure()
    yield namespace
    namespace.remove(wait=wait)


@functools.cache
def spoken(name: str) -> tuple[Path, str]:
    """Return a recording of SPOKEN as a WAV file, and its text."""
    language, seed, seconds, times = SPOKEN[name]
    samples, utterances = speak(language, seed, seconds)
    path = Path(tempfile.mkdtemp()) / f"{name}.wav"
    write_wav(path, np.tile(samples, times))
    return path, " ".join(utterance.text for utterance in utterances * times)


def upload_audio(client: Any) -> None:
    """Upload the recordings, and files that hold no audio."""
    for name in SPOKEN:
        client.upload_file(str(spoken(name)[0]), "audio", f"{name}.wav")
    client.put_object(Bucket="audio", Key="text.wav", Body=b"This is a text, whatever its name says.\n" * 40)
    client.put_object(Bucket="audio", Key="empty.wav", Body=b"")
    client.put_object(Bucket="audio", Key="silent-film.mp4", Body=_film_without_sound())


def _film_without_sound() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        source = ["-f", "lavfi", "-i", "testsrc=duration=2:size=64x64:rate=10"]
        subprocess.run(["ffmpeg", "-v", "error", *source, str(path)], check=True)
        return path.read_bytes()


@dataclass
class JobNamespace:
    """A namespace and its TranscriptionJobs. `client` is a boto3 client of the S3 server."""

    name: str
    client: Any

    def ensure(self) -> None:
        """Make the namespace anew with the credentials, and remove earlier results from S3, which a worker would find and reuse."""
        self.remove(wait=True)
        for item in self.written():
            self.client.delete_object(Bucket="transcripts", Key=item)
        ensure_namespace(self.name)
        s3.ensure_credentials(self.name)

    def remove(self, wait: bool) -> None:
        """Delete the namespace with everything in it; with `wait`, return when it is gone."""
        kubectl("delete", "namespace", self.name, "--ignore-not-found", f"--wait={wait}".lower(), "--timeout=180s")

    def written(self, name: str = "") -> list[str]:
        """Return at most 1,000 keys that the namespace's jobs wrote, or one job; a module writes far fewer."""
        found = self.client.list_objects_v2(Bucket="transcripts", Prefix=f"{self.name}/{name}")
        return [item["Key"] for item in found.get("Contents", [])]

    def spec(self, name: str, key: str, **changes: Any) -> dict[str, Any]:
        """Return a spec that reads `key` with the test model and writes below a prefix of the job's own."""
        return {
            "source": {"s3": s3.s3_object("audio", key=key)},
            "destination": {"s3": s3.s3_object("transcripts", prefix=f"{self.name}/{name}/")},
            "model": {"s3": s3.s3_object("models", key=s3.MODEL_KEY)},
            "device": {"policy": "CPU", **ON_GPU_NODE},
            **changes,
        }

    def apply(self, name: str, key: str = "english.wav", **changes: Any) -> None:
        """Apply one TranscriptionJob with kubectl."""
        apply(self.manifest(name, self.spec(name, key, **changes)))

    def manifest(self, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest of a TranscriptionJob."""
        kind = {"apiVersion": "transcription.dev/v1alpha1", "kind": "TranscriptionJob"}
        return {**kind, "metadata": {"name": name, "namespace": self.name}, "spec": spec}

    def status(self, name: str) -> dict[str, Any]:
        """Return the current status, which is empty before the first write."""
        found = get("transcriptionjob", name, self.name)
        status: dict[str, Any] = (found or {}).get("status", {})
        return status

    def ended(self, name: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for the phase Complete or Failed, and return the status."""

        def last() -> dict[str, Any] | None:
            status = self.status(name)
            return status if status.get("phase") in ENDED else None

        try:
            status: dict[str, Any] = until(last, seconds, f"{name} to end", interval=1)
        except TimeoutError as error:
            raise AssertionError(f"{error}: {kubectl('describe', 'tj,job,pod', '-n', self.name)[-6000:]}") from None
        return status

    def reaches(self, name: str, phase: str, stage: str | None = None) -> dict[str, Any]:
        """Wait for the phase, and for the worker's stage if one is given, and return the status."""

        def there() -> dict[str, Any] | None:
            status = self.status(name)
            right = stage is None or status.get("progress", {}).get("stage") == stage
            assert status.get("phase") not in ENDED or status["phase"] == phase, status
            return status if status.get("phase") == phase and right else None

        status: dict[str, Any] = until(there, PATIENCE, f"{name} to be {phase} {stage or ''}")
        return status

    def text(self, key: str) -> str:
        """Return the text of a transcript in S3."""
        body: bytes = self.client.get_object(Bucket="transcripts", Key=key)["Body"].read()
        return body.decode()

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Return the worker pods of a job, by its uid."""
        found = get("transcriptionjob", name, self.name)
        uid = (found or {}).get("metadata", {}).get("uid", "none")
        return list_items("pods", self.name, f"transcription.dev/uid={uid}")

    def assert_transcribed(self, name: str, recording: str = "english", stem: str | None = None) -> None:
        """Wait for the end, and assert that it is Complete and the txt has the words of the recording.

        `stem` is the name of the audio object without its extension, if it is not the recording's.
        """
        status = self.ended(name)
        assert status["phase"] == "Complete", status
        text = self.text(f"{self.name}/{name}/{stem or recording}.txt")
        assert word_error_rate(spoken(recording)[1], text) <= 0.05

    def run_pipeline(self, spec: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
        """Run examples/pipeline.sh as a CI job would."""
        environment = {**os.environ, "NAMESPACE": self.name, "SPEC": json.dumps(spec)}
        program = str(ROOT / "examples/pipeline.sh")
        return subprocess.run([program], env=environment, capture_output=True, text=True, check=False)

    def first_job(self, name: str) -> str:
        """Wait until the resource has a Job, and return its name."""
        jobs = until(lambda: self.jobs(name), PATIENCE, f"a Job of {name}")
        found: str = jobs[0]["metadata"]["name"]
        return found

    def jobs(self, name: str) -> list[dict[str, Any]]:
        """Return the batch/v1 Jobs of a TranscriptionJob, by its uid."""
        found = get("transcriptionjob", name, self.name)
        uid = (found or {}).get("metadata", {}).get("uid", "none")
        return list_items("jobs", self.name, f"transcription.dev/uid={uid}")


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the condition of that type, or an empty one."""
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})
