"""The manifest of the files that failed gives, as the next run's, each of them as it was asked for in this one."""

import dataclasses
import json
from typing import Any

from transcription_api.spec import Channel

from tests.support.bucketful import RUN, Bucketful


def retried(run: Bucketful) -> Bucketful:
    """Return the run over what failed in another one."""
    run.put("retry.jsonl", run.written()[RUN + "failed.jsonl"])
    return dataclasses.replace(run, uid="another-uid", source={"manifest": f"{run.prefix}retry.jsonl"})


def test_a_file_that_the_plan_left_out_keeps_the_fields_of_its_line(run: Bucketful, audio: bytes) -> None:
    fields: dict[str, Any] = {"language": "pt", "initialPrompt": "Lisboa", "channel": "left", "formats": ["srt"]}
    lines = [
        {"key": f"{run.prefix}late.wav", **fields},
        {"key": f"{run.prefix}a.wav", "language": "pt"},
        {"key": f"{run.prefix}a.wav", "language": "es"},
    ]
    run.put("list.jsonl", "\n".join(map(json.dumps, lines)).encode())
    run.source = {"manifest": f"{run.prefix}list.jsonl"}
    assert run.plan().refused == 3
    run.collect()
    assert run.failures() == [("late.wav", "NoSuchKey"), ("a.wav", "ResultConflict"), ("a.wav", "ResultConflict")]
    written = run.written()
    assert [json.loads(line) for line in written[RUN + "failed.jsonl"].splitlines()] == lines
    assert b"Lisboa" not in written[RUN + "report.json"]

    run.put("late.wav", audio)
    again = retried(run)
    assert again.plan().to_transcribe == 1
    (entry,) = again.objects.read_shard(again.objects.require_plan().folder, 0)
    assert (entry.overrides.language, entry.overrides.channel) == ("pt", Channel.LEFT)


def test_whatever_a_listed_key_is_like_the_next_run_takes_it(run: Bucketful) -> None:
    run.put("odd\n\u202e%2f.wav", b"no audio")
    run.source = {"prefix": f"{run.prefix}odd"}
    assert run.plan().to_transcribe == 1
    assert run.collect().failed == 1
    assert retried(run).plan().to_transcribe == 1
