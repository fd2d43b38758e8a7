"""Set up the images, S3 and the chart, run three jobs, and show what a user would look at.

Exits non-zero unless every job ends as it should.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.realmodel.package import MissingModelError
from tests.support.flite import read_aloud
from tests.support.realmodel import real_model_path
from tests.support.speech import MissingSynthesiserError, Samples, speak, write_wav
from tests.support.stack import s3
from tests.support.stack.kube import CommandError, apply, kubectl, list_items
from tests.support.stack.release import READ_NODES, ensure_namespace, ensure_release, release_values
from tests.support.testmodel import model_path

NAMESPACE = "demo"
# Phases that the jobs of jobs.yaml must end in.
EXPECTED = {"english": "Complete", "portuguese": "Complete", "gpu-required": "Failed"}
# What is read aloud, and transcribed with Whisper's tiny.en. The test model knows Portuguese, of a small grammar.
ENGLISH = (
    "Good morning, and thank you for coming. Could you tell us how you came to work at the harbor? "
    "My father was a fisherman, so I grew up between boats. When I was nineteen, the port was looking for people who could "
    "repair engines, and I stayed for thirty years. What has changed most since then? "
    "In the old days we knew every ship and every captain by name. Today the ships are so large that they stay for six "
    "hours only, and nobody comes ashore. I miss the stories, but I do not miss the cold."
)
PORTUGUESE_SEED, PORTUGUESE_SECONDS = 7_000_002, 60
PATIENCE_SECONDS = 600


def main() -> int:
    """Run the demo; return 0 if every job ended as EXPECTED."""
    with stage("images and chart"):
        ensure_release(release_values() | READ_NODES)
    with stage("S3 server"):
        s3.ensure_s3()
    with s3.connect() as client:
        with stage("audio and model"):
            upload(client)
        with stage("three jobs"):
            phases = watch_jobs()
        show(client)
    if phases != EXPECTED:
        print(f"expected {EXPECTED}, got {phases}", file=sys.stderr)
    return int(phases != EXPECTED)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Print what begins and how long it took."""
    print(f"==> {name}", flush=True)
    began = time.monotonic()
    yield
    print(f"    {time.monotonic() - began:.0f} s", flush=True)


def upload(client: Any) -> None:
    """Upload two recordings and their models, and remove earlier results, which a worker would reuse."""
    s3.ensure_buckets(client)
    for item in client.list_objects_v2(Bucket="transcripts", Prefix="interviews/").get("Contents", []):
        client.delete_object(Bucket="transcripts", Key=item["Key"])
    client.upload_file(str(model_path()), "models", s3.MODEL_KEY)
    client.upload_file(str(real_model_path()), "models", real_model_path().name)
    portuguese, _ = speak("pt", PORTUGUESE_SEED, PORTUGUESE_SECONDS)
    upload_recording(client, "english", read_aloud(ENGLISH))
    upload_recording(client, "portuguese", portuguese)


def upload_recording(client: Any, name: str, samples: Samples) -> None:
    """Upload samples as a WAV file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.wav"
        write_wav(path, samples)
        client.upload_file(str(path), "audio", f"interviews/{name}.wav")


def watch_jobs() -> dict[str, str]:
    """Apply jobs.yaml anew, print every change until all have ended, and return their phases."""
    ensure_namespace(NAMESPACE)
    s3.ensure_credentials(NAMESPACE)
    kubectl("delete", "transcriptionjobs", "--all", "-n", NAMESPACE, "--wait")
    apply(Path(__file__).with_name("jobs.yaml").read_text())
    seen: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        jobs = list_items("transcriptionjobs", NAMESPACE)
        for job in jobs:
            line = describe(job)
            if seen.get(job["metadata"]["name"]) != line:
                print(f"    {line}", flush=True)
            seen[job["metadata"]["name"]] = line
        phases = {job["metadata"]["name"]: str(job.get("status", {}).get("phase")) for job in jobs}
        if set(phases.values()) <= {"Complete", "Failed"}:
            return phases
        time.sleep(1)
    return phases


def describe(job: dict[str, Any]) -> str:
    """Return one line: name, phase and, while it runs, how far it is."""
    status = job.get("status", {})
    progress = status.get("progress", {})
    far = [progress["stage"]] if "stage" in progress else []
    far += [f"{progress['percent']} %"] if "percent" in progress else []
    reasons = [c["reason"] for c in status.get("conditions", ()) if c["status"] == "True" and c["type"] in SHOWN]
    return f"{job['metadata']['name']:<14}{status.get('phase', '-'):<10}{' '.join(far + reasons)}".rstrip()


SHOWN = ("Complete", "Failed", "Degraded", "Suspended")


def show(client: Any) -> None:
    """Print what a user would look at."""
    print(kubectl("get", "tj", "-n", NAMESPACE))
    text = client.get_object(Bucket="transcripts", Key="interviews/english.txt")["Body"].read().decode()
    print("interviews/english.txt:\n" + text)
    failure = "{.status.failure.reason}: {.status.failure.message}{'\\n'}{.status.failure.advice}"
    print("gpu-required failed, as it must where no GPU works:")
    print(kubectl("get", "tj", "gpu-required", "-n", NAMESPACE, "-o", f"jsonpath={failure}"))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CommandError, MissingModelError, MissingSynthesiserError, TimeoutError, ValueError) as error:
        sys.exit(f"error: {error}")
