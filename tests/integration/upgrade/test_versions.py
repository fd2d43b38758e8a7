"""Workers and operators of the last release and of the present understand each other."""

import json
import lzma
import subprocess
from typing import Any

from transcription_api.report import Report, encode_report, parse_report
from transcription_api.task import Task, encode_task, parse_task

from hack.release.archive import ARCHIVE, last_release
from tests.support.last_release import Release
from tests.support.simulated_cluster import good_report

SPEC: dict[str, Any] = {
    "source": {"s3": {"bucket": "audio", "key": "price$$list (Größe $(HOME)).wav"}},
    "destination": {"s3": {"bucket": "transcripts", "prefix": "out/"}},
    "decoding": {"initialPrompt": "Costs: $5"},
    "device": {"policy": "PreferGPU", "gpus": 2, "nodeSelector": {"pool": "gpu"}},
}
TASK = Task("team-a", "interview", "uid-1", SPEC)
# Programs that run with the last release's code.
WHERE = "import transcription_operator; print(transcription_operator.__file__)"
READ_TASK = """
import json, sys
from transcription_api.task import parse_task
task = parse_task(sys.stdin.read())
print(json.dumps([task.spec, task.parsed().source.s3.key]))
"""
WRITE_TASK = """
import json, sys
from transcription_api.task import Task, encode_task
print(encode_task(Task("team-a", "interview", "uid-1", json.load(sys.stdin))), end="")
"""
READ_REPORT = """
import json, sys
from transcription_api.codec import to_json
from transcription_api.report import parse_report
print(json.dumps(to_json(parse_report(sys.stdin.read()))))
"""


def test_the_archive_is_of_the_commit_that_it_is_said_to_be() -> None:
    unpacked = lzma.decompress(ARCHIVE.read_bytes())
    done = subprocess.run(["git", "get-tar-commit-id"], input=unpacked, check=True, capture_output=True)
    assert done.stdout.decode().strip() == last_release()


def test_the_last_releases_code_is_what_runs(old: Release) -> None:
    assert old.run(WHERE).startswith(str(old.folder))


def test_the_last_releases_worker_reads_the_task(old: Release) -> None:
    spec, key = json.loads(old.run(READ_TASK, encode_task(TASK)))
    assert (spec, key) == (SPEC, SPEC["source"]["s3"]["key"])


def test_a_task_of_the_last_release_is_read(old: Release) -> None:
    assert parse_task(old.run(WRITE_TASK, json.dumps(SPEC))) == TASK


def test_a_report_of_the_last_releases_worker_is_read(old: Release) -> None:
    assert parse_report(old.encode_report(good_report())) == good_report()


def test_the_last_releases_operator_reads_a_report(old: Release) -> None:
    read = json.loads(old.run(READ_REPORT, encode_report(good_report()).decode()))
    assert isinstance(parse_report(json.dumps(read)), Report)
    assert read["audioSeconds"] == good_report().audio_seconds
