"""What plan, transcribe and collect make of files, earlier results and earlier pods, with an engine that needs no model."""

import dataclasses
import json
import logging
import time

import pytest
from transcription_api import reasons
from transcription_api.report import FileCounts
from transcription_worker.batch import planning, speeds
from transcription_worker.batch.collecting import collect_files
from transcription_worker.batch.journal import Journal
from transcription_worker.engines.protocol import Input, InputCheckpoint, Outcome
from transcription_worker.errors import WorkerError
from transcription_worker.job.transcription import engine_options
from transcription_worker.pipeline.s3_checkpoints import ENV_AUDIO_SECONDS
from transcription_worker.progress import ProgressTracker
from transcription_worker.termination import do_last_acts

from tests.support.bucketful import RUN, Bucketful
from tests.support.instant_engine import InstantEngine, InstantLoader
from tests.support.worker_container import DESTINATION, SOURCE


def test_each_file_is_transcribed_once_and_the_model_is_loaded_once(run: Bucketful) -> None:
    assert run.plan().to_transcribe == 4
    counts, engine = run.transcribe()
    assert (counts.total, counts.done) == (4, 4)
    assert len(engine.asked) == 4
    assert run.collect() == FileCounts(total=4, done=4)
    assert {"a.txt", "b.txt", "sub/a.txt", "sub/c.txt"} <= set(run.written())


class Frugal(InstantEngine):
    """An engine whose memory ran out."""

    def transcribe_file(self, item: Input) -> Outcome:
        """Return a transcript with a warning."""
        outcome = super().transcribe_file(item)
        return dataclasses.replace(
            outcome, transcript=dataclasses.replace(outcome.value(), warnings=("memory ran out",))
        )


def test_what_the_engine_had_to_give_up_is_in_the_report_of_the_pod_and_of_each_file(run: Bucketful) -> None:
    run.plan()
    loader, known = InstantLoader(engine_options(run.spec), Frugal()), dict[str, object]()
    run.transcribe_by(loader, known)
    assert known["warnings"] == ("memory ran out",)
    reports = [body for name, body in run.written().items() if b'"warnings"' in body and not name.startswith("_runs")]
    assert len(reports) == 4


def test_the_plan_is_frozen_so_that_a_file_that_comes_later_is_not_in_it(run: Bucketful, audio: bytes) -> None:
    first = run.plan()
    run.put("later.wav", audio)
    assert run.plan() == first


def test_the_account_says_how_long_gpus_waited_for_audio_also_those_of_pods_that_ended_before(run: Bucketful) -> None:
    run.plan()
    for pod, waited in enumerate((40.0, 10.0)):
        journal = Journal(run.objects, 0, pod)
        journal.start_clock()
        assert journal._began is not None
        journal._began -= 100.0
        journal.waited_seconds = waited
        journal.end()
    run.transcribe()
    report = collect_files(run.task, run.spec, run.paths, ProgressTracker())
    assert report.audio_wait_share == pytest.approx(0.25, abs=0.02)
    (warning,) = report.warnings or ()
    assert "waited for audio for 25% of its time" in warning or "waited for audio for 24% of its time" in warning
    assert "spec.device.resources.requests.cpu" in warning


def test_a_file_that_is_gone_or_another_one_since_the_plan_fails_alone(run: Bucketful, audio: bytes) -> None:
    run.fields = {"retries": 0}
    run.plan()
    run.container.server.client().delete_object(Bucket=SOURCE, Key=f"{run.prefix}a.wav")
    run.put("b.wav", audio + b"\0\0")
    assert run.transcribe()[0].failed == 2
    counts = run.collect()
    assert (counts.done, counts.failed) == (2, 2)
    assert run.failures() == [("a.wav", "NoSuchKey"), ("b.wav", "SourceChanged")]


def test_two_sources_with_one_result_are_both_named_and_neither_is_overwritten(run: Bucketful, audio: bytes) -> None:
    run.put("a.mp3", audio)
    summary = run.plan()
    assert (summary.files, summary.to_transcribe, summary.refused) == (5, 3, 2)
    run.transcribe()
    assert run.collect().failed == 2
    assert run.failures() == [("a.mp3", "ResultConflict"), ("a.wav", "ResultConflict")]
    assert "a.txt" not in run.written()


def test_the_flat_layout_finds_files_of_one_name_in_two_folders(run: Bucketful) -> None:
    run.fields = {"destination": run.container.spec("x", run.prefix)["destination"] | {"layout": "Flat"}}
    assert run.plan().refused == 2


def test_what_is_done_already_is_reused_and_asks_for_no_gpu(run: Bucketful) -> None:
    run.plan()
    run.transcribe()
    run.collect()
    again = dataclasses.replace(run, uid="another-uid")
    summary = again.plan()
    assert (summary.files, summary.reused, summary.to_transcribe, summary.shards) == (4, 4, 0, 0)
    assert again.collect() == FileCounts(total=4, reused=4)


def test_what_is_done_already_is_transcribed_again_where_that_is_asked_for(run: Bucketful) -> None:
    run.plan()
    run.transcribe()
    again = dataclasses.replace(run, uid="another-uid", fields={"rerun": "Force"})
    assert again.plan().to_transcribe == 4
    counts, engine = again.transcribe()
    assert (counts.done, len(engine.asked)) == (4, 4)


def test_a_shard_goes_on_where_an_earlier_pod_ended(run: Bucketful) -> None:
    run.plan()

    opened: list[str] = []

    def stop_at_the_third(item: Input) -> None:
        opened.append(item.id)
        if len(opened) == 3:
            until = time.monotonic() + 20.0
            while not any(name.endswith(".report.json") for name in run.written()) and time.monotonic() < until:
                time.sleep(0.1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.transcribe(before=stop_at_the_third)
    counts, engine = run.transcribe()
    assert counts.total == 4
    # One or two files were written before the third was opened, and none of these is asked for again.
    assert 2 <= len(engine.asked) <= 3
    assert run.collect().failed == 0


def test_a_long_file_goes_on_where_the_pod_before_was(
    run: Bucketful, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(ENV_AUDIO_SECONDS, "0.4")
    caplog.set_level(logging.INFO)
    run.plan()
    at = InputCheckpoint("en", "float32", 8000, 0.25, ())
    found: list[InputCheckpoint | None] = []

    def leave_a_checkpoint(item: Input) -> None:
        checkpoints = item.checkpoints()
        assert checkpoints is not None
        found.append(checkpoints.find())
        checkpoints.keep(at)
        do_last_acts(4.0)  # as a signal does
        raise KeyboardInterrupt

    def go_on(item: Input) -> None:
        checkpoints = item.checkpoints()
        assert checkpoints is not None
        if (one := checkpoints.find()) is not None:
            found.append(one)
            checkpoints.resume(one.seconds)

    with pytest.raises(KeyboardInterrupt):
        run.transcribe(before=leave_a_checkpoint)
    assert len(run.objects.names("checkpoints/")) == 1
    counts, _ = run.transcribe(before=go_on)
    assert counts.done == 4
    assert [one and one.seconds for one in found] == [None, 0.25]
    assert "goes on at 0.2 s of 0.5 s" in caplog.text
    assert run.objects.names("checkpoints/") == []
    notes = [run.objects.read_json(name) for name in run.objects.names("shards/") if name.endswith(".note.json")]
    assert [(note["ended"], note["audioSeconds"]) for note in notes] == [(True, 0.0), (True, 1.75)]


def test_a_checkpoint_stays_for_the_next_pod_where_a_file_fails_for_now_and_not_for_good(
    run: Bucketful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENV_AUDIO_SECONDS, "0.4")
    run.plan()
    reason = [reasons.OUT_OF_MEMORY]

    def fail(item: Input) -> None:
        checkpoints = item.checkpoints()
        assert checkpoints is not None
        checkpoints.keep(InputCheckpoint("en", "float32", 8000, 0.25, ()))
        raise WorkerError(reason[0], "no")

    with pytest.raises(WorkerError, match="4 of 4 files"):
        run.transcribe(before=fail)
    assert len(run.objects.names("checkpoints/")) == 4
    reason = [reasons.NUMERIC_OVERFLOW]
    assert run.transcribe(before=fail)[0].failed == 4
    assert run.objects.names("checkpoints/") == []


def test_the_account_leaves_no_checkpoint_behind(run: Bucketful) -> None:
    run.plan()
    run.objects.write("checkpoints/0.0.checkpoint", b"of a pod that died", "application/octet-stream")
    run.collect()
    assert run.objects.names("checkpoints/") == []


def test_a_pod_that_is_to_end_leaves_files_to_the_next_one_without_an_attempt(run: Bucketful) -> None:
    run.plan()

    def end(_: Input) -> None:
        do_last_acts(4.0)

    with pytest.raises(WorkerError, match="files are left") as caught:
        run.transcribe(before=end)
    assert caught.value.reason is reasons.INTERRUPTED
    assert run.transcribe()[0].done + run.transcribe()[0].done == 8


def test_a_file_that_takes_workers_down_is_set_aside_and_the_others_are_done(run: Bucketful) -> None:
    run.plan()
    entries = run.objects.read_shard(run.objects.require_plan().folder, 0)
    culprit = next(entry for entry in entries if entry.key.endswith("/b.wav"))
    for pod in range(2):  # both die with all files under way
        Journal(run.objects, 0, pod).announce(entries[0].number, [entry.number for entry in entries])
    Journal(run.objects, 0, 2).announce_alone(culprit.number)  # and the third with this one alone
    counts, engine = run.transcribe()
    assert (counts.done, counts.failed) == (3, 1)
    assert len(engine.asked) == 3
    run.collect()
    assert run.failures() == [("b.wav", "WorkerCrashed")]


def test_after_two_deaths_the_suspects_are_taken_one_at_a_time(run: Bucketful) -> None:
    run.plan()
    entries = run.objects.read_shard(run.objects.require_plan().folder, 0)
    for pod in range(2):
        Journal(run.objects, 0, pod).announce(entries[0].number, [entries[1].number])
    under_way: list[list[int]] = []

    def note(item: Input) -> None:
        names = [name for name in run.objects.names("shards/00000/002") if name.endswith(".note.json")]
        under_way.append(run.objects.read_json(names[0])["underWay"])

    run.transcribe(before=note)
    assert under_way[:2] == [[entries[0].number], [entries[1].number]]


def test_a_transient_failure_is_tried_by_the_next_pod_and_counts_after_the_last(run: Bucketful) -> None:
    def run_out_of_memory(item: Input) -> None:
        if item.id == "0.0":
            raise WorkerError(reasons.OUT_OF_MEMORY, "the GPU has too little memory")

    run.fields = {"retries": 1}
    run.plan()
    with pytest.raises(WorkerError, match=r"1 of 4 files: .*: the GPU has too little memory") as caught:
        run.transcribe(before=run_out_of_memory)
    assert caught.value.reason.name == "OutOfMemory"
    counts, engine = run.transcribe(before=run_out_of_memory)
    assert (counts.done, counts.failed, len(engine.asked)) == (3, 1, 1)


def test_a_result_that_vanished_before_the_account_was_made_is_no_success(run: Bucketful) -> None:
    run.plan()
    run.transcribe()
    client = run.container.server.client()
    client.delete_object(Bucket=DESTINATION, Key=f"{run.prefix}b.txt")
    client.put_object(Bucket=DESTINATION, Key=f"{run.prefix}a.txt", Body=b"not what was written")
    assert run.collect().failed == 2
    assert run.failures() == [("a.wav", "ResultMissing"), ("b.wav", "ResultMissing")]


def test_a_file_that_no_pod_came_to_is_named_and_is_in_the_manifest_of_the_next_run(run: Bucketful) -> None:
    run.plan()
    counts = run.collect()
    assert (counts.total, counts.failed) == (4, 4)
    assert {reason for _, reason in run.failures()} == {"NotTranscribed"}
    retry = run.written()[RUN + "failed.jsonl"]
    run.container.server.client().put_object(Bucket=SOURCE, Key=f"{run.prefix}retry.jsonl", Body=retry)
    again = dataclasses.replace(run, uid="another-uid", source={"manifest": f"{run.prefix}retry.jsonl"})
    assert again.plan().to_transcribe == 4


def test_lines_of_a_manifest_say_what_is_asked_for_each_file(run: Bucketful) -> None:
    lines = [
        {"key": f"{run.prefix}a.wav", "language": "pt", "reference": "ticket 17"},
        {"key": f"{run.prefix}b.wav", "initialPrompt": "Lisboa", "formats": ["srt", "vtt"]},
        {"key": f"{run.prefix}missing.wav"},
        {"key": f"{run.prefix}a.wav", "language": "pt", "reference": "again"},
    ]
    run.put("list.jsonl", "\n".join(map(json.dumps, lines)).encode())
    run.source = {"manifest": f"{run.prefix}list.jsonl"}
    summary = run.plan()
    assert (summary.files, summary.refused, summary.skipped) == (3, 1, 1)
    _, engine = run.transcribe()
    asked = (
        {item.options.language for item in engine.asked},
        {item.options.decoding.initial_prompt for item in engine.asked},
    )
    assert asked == ({"pt", None}, {"Lisboa", None})
    assert run.collect().failed == 1
    written = run.written()
    folder = run.prefix  # the whole path is kept where there is no prefix to leave out
    assert {f"{folder}a.txt", f"{folder}b.srt", f"{folder}b.vtt"} <= set(written)
    account = json.loads(written[RUN + "report.json"])
    assert account["files"][0]["reference"] == "ticket 17"
    assert run.failures() == [("missing.wav", "NoSuchKey")]


@pytest.mark.parametrize("allow", [False, True])
def test_nothing_to_do_is_a_failure_unless_it_is_allowed(run: Bucketful, allow: bool) -> None:
    run.put("empty/notes.txt", b"x")
    run.source = {"prefix": f"{run.prefix}empty/", "allowEmpty": allow}
    if allow:
        assert run.plan().files == 0
        return
    with pytest.raises(WorkerError, match="names no file; skipped: 1 by NotMedia") as caught:
        run.plan()
    assert caught.value.reason.name == "NothingToDo"


def test_the_size_of_shards_follows_the_speed_that_earlier_pods_had(
    run: Bucketful, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.fields = {"shard": {"minutes": 1, "speed": 0.5}}
    assert run.plan().shards == 4  # of 30 s each, as a window costs
    for shard in range(4):
        run.transcribe(shard)
    monkeypatch.setattr(speeds, "LEARNED_SECONDS", 0.0)
    run.collect()
    learned = json.loads(run.written()["_runs/speeds.json"])
    assert list(learned) == ["CPU/batched/model.pt/auto/beams 1/gpus 1"]
    again = dataclasses.replace(run, uid="another-uid", fields={"rerun": "Force", "shard": {"minutes": 1}})
    run.container.server.client().put_object(
        Bucket=DESTINATION, Key=f"{run.prefix}_runs/speeds.json", Body=json.dumps({next(iter(learned)): 1.0}).encode()
    )
    assert again.plan().shards == 2


def test_results_of_another_model_are_no_results_of_a_run_whose_pods_never_came(
    run: Bucketful, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.plan()
    run.transcribe()
    monkeypatch.setattr(planning, "find_model_version", lambda *_: "sha256:11")
    again = dataclasses.replace(run, uid="another-uid")
    assert again.plan().to_transcribe == 4
    assert again.collect() == dataclasses.replace(again.collect(), done=0, reused=0, failed=4)
