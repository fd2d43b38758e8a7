"""What the source of many files may hold that nobody wants: each has a clear end, on a real S3 server, and costs no GPU time."""

import dataclasses
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.reasons import Reason
from transcription_api.report import FileCounts
from transcription_worker.batch import listing, user_manifest
from transcription_worker.errors import WorkerError
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.object_listing import ListedObject

from tests.support.bucketful import Bucketful
from tests.support.s3 import s3_server
from tests.support.worker_container import DESTINATION, SOURCE, WorkerContainer


def refused(run: Bucketful) -> WorkerError:
    """Return the failure of the plan, which must be a permanent one."""
    with pytest.raises(WorkerError) as raised:
        run.plan()
    assert raised.value.reason.permanent
    return raised.value


def _interrupted(phase: Callable[[], object]) -> Reason:
    """Return the reason of a phase's failure, which the next pod may not have."""
    with pytest.raises(WorkerError) as raised:
        phase()
    assert not raised.value.reason.permanent
    return raised.value.reason


def test_a_prefix_without_objects_fails_by_its_name_before_a_gpu_is_asked_for(run: Bucketful) -> None:
    run.source = {"prefix": f"{run.prefix}nothing-here/"}
    error = refused(run)
    assert error.reason is reasons.NOTHING_TO_DO
    assert f"prefix '{run.prefix}nothing-here/' in bucket {SOURCE!r} names no file" in error.message


def test_a_prefix_without_objects_is_complete_with_no_file_where_that_is_allowed(run: Bucketful) -> None:
    run.source = {"prefix": f"{run.prefix}nothing-here/", "allowEmpty": True}
    assert (run.plan().files, run.collect()) == (0, FileCounts(total=0))


def test_results_below_the_sources_prefix_never_become_sources(run: Bucketful) -> None:
    within = run.container.endpoint(bucket=SOURCE, prefix=f"{run.prefix}out/")
    first = dataclasses.replace(run, fields={"destination": {"s3": within}, "formats": ["json", "txt", "srt"]})
    first.source = {"prefix": f"{run.prefix}sub/"}
    first.plan()
    first.transcribe()
    first.collect()
    everything = dataclasses.replace(run, uid="8d2eccfb-2").plan()
    assert everything.to_transcribe == 4
    assert {item.reason for item in everything.skipped_by} == {"NotMedia"}
    again = dataclasses.replace(first, uid="9e3fddac-3", source={"prefix": run.prefix})
    plan = again.plan()
    assert plan.files == 4
    assert {item.reason for item in plan.skipped_by} == {"OwnResult"}


def test_one_file_more_than_a_resource_may_have_is_refused_with_the_limit(
    run: Bucketful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_FILES", 3)
    error = refused(run)
    assert error.reason is reasons.TOO_MANY_FILES
    assert "spec.source.s3.prefix" in error.message
    assert "more than 3 files, expected at most 3" in error.message


def test_a_manifest_with_one_file_more_is_refused_with_the_limit(
    run: Bucketful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_manifest, "MAX_FILES", 3)
    run.put("list.jsonl", b'{"key": "a.wav"}\n' * 4)
    run.source = {"manifest": f"{run.prefix}list.jsonl"}
    error = refused(run)
    assert error.reason is reasons.TOO_MANY_FILES
    assert "spec.source.s3.manifest" in error.message


def test_a_manifest_of_a_gigabyte_is_refused_before_it_is_read(run: Bucketful) -> None:
    run.put("list.jsonl", b"{}")
    os.truncate(run.container.server.folder / SOURCE / run.prefix / "list.jsonl", 1 << 30)
    run.source = {"manifest": f"{run.prefix}list.jsonl"}
    error = refused(run)
    assert error.reason is reasons.MANIFEST_INVALID
    assert f"has {1 << 30} bytes, expected at most {user_manifest.MANIFEST_LIMIT}" in error.message


def test_a_key_of_1024_bytes_fails_alone_since_its_results_have_no_room(run: Bucketful, audio: bytes) -> None:
    folders = "/".join("d" * 200 for _ in range(4)) + "/"
    run.put(folders + "k" * (1024 - len(run.prefix) - len(folders) - 4) + ".wav", audio)
    plan = run.plan()
    assert (plan.to_transcribe, plan.refused) == (4, 1)
    run.transcribe()
    counts = run.collect()
    assert [(item.reason, item.count) for item in counts.by_reason] == [("ResultKeyTooLong", 1)]
    assert counts.done == 4


def test_keys_that_differ_in_case_or_unicode_form_alone_are_files_of_their_own(run: Bucketful, audio: bytes) -> None:
    composed = "Gespräch.wav"
    more = ["A.wav", composed, unicodedata.normalize("NFD", composed)]
    for name in more:
        run.put(name, audio)
    assert run.plan().to_transcribe == 7
    run.transcribe()
    assert run.collect() == FileCounts(total=7, done=7)
    assert {name.replace(".wav", ".txt") for name in more} | {"a.txt"} <= set(run.written())


def test_an_object_that_vanishes_while_the_prefix_is_listed_fails_alone_and_a_new_one_is_not_in_the_plan(
    run: Bucketful, audio: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Bucket.list

    def changing(bucket: Bucket, prefix: str, after: str = "") -> Iterator[ListedObject]:
        for number, item in enumerate(listed(bucket, prefix, after)):
            if number == 0:
                run.container.server.client().delete_object(Bucket=SOURCE, Key=f"{run.prefix}b.wav")
                run.put("a-new-one.wav", audio)
            yield item

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "list", changing)
        assert run.plan().to_transcribe == 4
    run.transcribe()
    counts = run.collect()
    assert (counts.total, counts.done, counts.failed) == (4, 3, 1)
    assert run.failures() == [("b.wav", "NoSuchKey")]


def test_a_bucket_that_may_not_be_listed_is_refused_with_the_right_that_is_missing(run: Bucketful) -> None:
    user = run.container.server.restricted_user(SOURCE, ["s3:GetObject"])
    run.container.mount_secret(names.SOURCE_CREDENTIALS_DIR, *user)
    error = refused(run)
    assert error.reason is reasons.ACCESS_DENIED
    assert "s3:ListBucket" in error.message


def test_files_that_are_named_need_no_right_to_list_their_bucket(run: Bucketful) -> None:
    user = run.container.server.restricted_user(SOURCE, ["s3:GetObject"])
    run.container.mount_secret(names.SOURCE_CREDENTIALS_DIR, *user)
    run.source = {"keys": [f"{run.prefix}a.wav", f"{run.prefix}b.wav"]}
    assert run.plan().to_transcribe == 2
    assert run.transcribe()[0].done == 2


def test_an_s3_that_stops_for_longer_than_a_pod_waits_costs_a_try_and_no_file(
    run: Bucketful, tmp_path: Path, audio: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "1")
    with s3_server(tmp_path / "stopping") as server:
        for bucket in (SOURCE, DESTINATION):
            server.client().create_bucket(Bucket=bucket)
        own = Bucketful(WorkerContainer(tmp_path / "container", server), run.prefix)
        for number in range(3):
            own.put(f"{number}.wav", audio)
        server.stop()
        assert _interrupted(own.plan).exit_code == exit_codes.UNREACHABLE
        server.start()
        own.plan()

        _interrupted(lambda: own.transcribe(before=lambda _: server.stop()))
        server.start()
        counts, _ = own.transcribe()
        assert counts.done + counts.reused == counts.total == 3
        counts = own.collect()
        assert (counts.done + counts.reused, counts.failed) == (3, 0)
