"""The account tells what lies in the bucket, whoever wrote to the run's objects meanwhile."""

import dataclasses

import pytest
from transcription_api import reasons
from transcription_worker.batch.entries import encode_lines
from transcription_worker.engines.protocol import Input
from transcription_worker.errors import WorkerError
from transcription_worker.termination import do_last_acts

from tests.support.bucketful import RUN, Bucketful
from tests.support.worker_container import DESTINATION


def test_a_pod_that_nobody_heard_of_does_not_make_results_of_another_one_count_as_missing(run: Bucketful) -> None:
    run.plan()
    run.transcribe()
    (name,) = [name for name in run.objects.names("shards/") if name.endswith(".rows.jsonl")]
    first, *_ = run.objects.rows(name)
    # What it wrote was replaced by the results that lie there now, and its journal is read last.
    stale = dataclasses.replace(first, objects=tuple(dataclasses.replace(one, etag="stale") for one in first.objects))
    run.objects.write("shards/00000/000-zzzzzzzz.0000.rows.jsonl", encode_lines([stale]), "text/plain")
    counts = run.collect()
    assert (counts.done, counts.failed) == (4, 0)


def test_results_of_this_resource_count_also_where_others_were_found_before(run: Bucketful) -> None:
    run.plan()
    run.transcribe()
    again = dataclasses.replace(run, uid="7c1dbb0a-again", fields={"rerun": "Force"})
    again.container.server.client().delete_object(Bucket=DESTINATION, Key=f"{run.prefix}{RUN}plan.json")
    again.plan()
    for name in again.objects.names("shards/"):  # as if its pods had died before they left a row
        again.objects.bucket.delete(again.objects.key(name))
    assert again.collect().failed == 4  # the results are those of the earlier run
    again.transcribe()
    for name in again.objects.names("shards/"):
        again.objects.bucket.delete(again.objects.key(name))
    assert again.collect().done == 4


def test_files_that_the_plan_left_out_are_not_forgotten_where_their_list_is_gone(run: Bucketful, audio: bytes) -> None:
    run.put("a.mp3", audio)
    assert run.plan().refused == 2
    run.transcribe()
    folder = run.objects.require_plan().folder
    run.objects.bucket.delete(run.objects.key(f"{folder}/settled.jsonl"))
    with pytest.raises(WorkerError, match="expected the files that the plan left out") as caught:
        run.collect()
    assert caught.value.reason is reasons.PLAN_MISSING


def test_a_pod_that_was_told_to_end_is_no_attempt_of_the_files_that_fail_later(run: Bucketful) -> None:
    run.fields = {"retries": 1}
    run.plan()

    def end(_: Input) -> None:
        do_last_acts(0.4)

    for _ in range(2):
        with pytest.raises(WorkerError) as caught:
            run.transcribe(before=end)
        assert caught.value.reason is reasons.INTERRUPTED

    def run_out_of_memory(_: Input) -> None:
        raise WorkerError(reasons.OUT_OF_MEMORY, "the GPU has too little memory")

    with pytest.raises(WorkerError) as caught:
        run.transcribe(before=run_out_of_memory)
    assert caught.value.reason is reasons.OUT_OF_MEMORY
    assert run.transcribe()[0].failed == 0
