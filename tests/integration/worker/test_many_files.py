"""Many files in one resource: the worker plans, transcribes shard by shard, and collects, on a real S3 server."""

import csv
import io
import json
import time
import wave
from pathlib import Path
from typing import Any

from transcription_api import exit_codes, names

from tests.support.s3 import S3Server, free_port
from tests.support.worker_container import (
    DESTINATION,
    SOURCE,
    Ended,
    Running,
    WorkerContainer,
    progress_until,
    written_objects,
)

RUN = "_runs/interview-7c1dbb0a/"


def many(container: WorkerContainer, prefix: str, source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a spec over many files of the source bucket."""
    spec = container.spec("unused", prefix, **fields)
    spec["source"] = {"s3": container.endpoint(bucket=SOURCE, **source)}
    return spec


def test_a_prefix_is_planned_transcribed_and_accounted_for(
    container: WorkerContainer, server: S3Server, speech: Path
) -> None:
    put(server, speech, ["prefix/a.wav", "prefix/sub/b.wav", "prefix/notes.txt"])
    server.client().put_object(Bucket=SOURCE, Key="prefix/broken.wav", Body=b"no audio")
    spec = many(container, "tree/", {"prefix": "prefix/"}, formats=["txt", "json"])

    planned = run_phase(container, spec, names.PHASE_PLAN)
    assert planned.code == exit_codes.OK, planned.log
    plan = planned.report.plan
    assert plan is not None
    assert (plan.files, plan.to_transcribe, plan.shards, plan.skipped) == (3, 3, 1, 1)
    assert [(item.reason, item.count) for item in plan.skipped_by] == [("NotMedia", 1)]

    shard = run_phase(container, spec, names.PHASE_TRANSCRIBE, index=0)
    assert shard.code == exit_codes.OK, shard.log
    assert shard.report.files is not None
    assert (shard.report.files.done, shard.report.files.failed) == (2, 1)
    assert shard.report.device is not None

    collected = run_phase(container, spec, names.PHASE_COLLECT)
    assert collected.code == exit_codes.OK, collected.log
    counts = collected.report.files
    assert counts is not None
    assert (counts.total, counts.done, counts.failed, counts.skipped) == (3, 2, 1, 1)
    assert [(item.key, item.reason) for item in counts.failures] == [("prefix/broken.wav", "UnsupportedMedia")]

    written = written_objects(server, "tree/")
    assert {"a.txt", "a.json", "a.report.json", "sub/b.txt", "sub/b.json", "sub/b.report.json"} <= set(written)
    assert "broken.txt" not in written
    account = json.loads(written[RUN + "report.json"])
    assert [row["outcome"] for row in account["files"]] == ["done", "failed", "done"]
    rows = list(csv.DictReader(io.StringIO(written[RUN + "report.csv"].decode())))
    assert [row["key"] for row in rows] == ["prefix/a.wav", "prefix/broken.wav", "prefix/sub/b.wav"]
    retry = [json.loads(line) for line in written[RUN + "failed.jsonl"].splitlines()]
    assert retry == [{"key": "prefix/broken.wav"}]


def put(server: S3Server, path: Path, keys: list[str]) -> None:
    """Put the file under each key of the source bucket."""
    for key in keys:
        server.client().upload_file(str(path), SOURCE, key)


def run_phase(container: WorkerContainer, spec: dict[str, Any], phase: str, index: int | None = None) -> Ended:
    """Run the worker for a phase, as its Job would."""
    if index is not None:
        container.env[names.ENV_INDEX] = str(index)
    return container.run(spec, phase)


def test_a_pod_that_is_told_to_end_leaves_what_is_done_to_the_next_one(
    container: WorkerContainer, server: S3Server, speech: Path, tmp_path: Path
) -> None:
    put(server, speech, [f"preempted/{number}.wav" for number in range(3)])
    put(server, thirty_times(speech, tmp_path), ["preempted/long.wav"])
    spec = many(container, "preempted/", {"prefix": "preempted/"}, formats=["txt"])
    planned = run_phase(container, spec, names.PHASE_PLAN)
    assert planned.report.plan is not None, planned.log
    # Too short to finish the long one, and long enough to write what is done on a busy machine.
    container.env |= {names.ENV_INDEX: "0", names.ENV_TERMINATION_GRACE_SECONDS: "8"}
    port = free_port()
    process = container.start(spec, port, names.PHASE_TRANSCRIBE)
    progress_until(port, "transcribe", process)
    wait_for_results(server, "preempted/", process)
    ended = container.terminate(process)
    assert (ended.code, ended.report.reason) == (exit_codes.INTERRUPTED, "Interrupted"), ended.log
    assert ended.seconds < 30.0

    written = written_objects(server, "preempted/")
    (note,) = (json.loads(body) for name, body in written.items() if name.endswith(".note.json"))
    (rows,) = (body.splitlines() for name, body in written.items() if name.endswith(".rows.jsonl"))
    assert note["ended"] is True
    done = sum(name.endswith(".report.json") and "/" not in name for name in written)
    assert 0 < len(rows) <= done < 4


def thirty_times(path: Path, folder: Path) -> Path:
    """Return a recording that says the same thirty times over."""
    with wave.open(str(path)) as once, wave.open(str(folder / "long.wav"), "wb") as long:
        long.setparams(once.getparams())
        frames = once.readframes(once.getnframes())
        long.writeframes(frames * 30)
    return folder / "long.wav"


def wait_for_results(server: S3Server, prefix: str, process: Running) -> None:
    """Wait until a file has its report."""
    until = time.monotonic() + 60.0
    while time.monotonic() < until and process.poll() is None:
        listed = server.client().list_objects_v2(Bucket=DESTINATION, Prefix=prefix).get("Contents", [])
        if any(item["Key"].endswith(".report.json") for item in listed):
            return
        time.sleep(0.1)
    raise AssertionError("no file was transcribed")
