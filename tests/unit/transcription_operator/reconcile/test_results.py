"""The status and events show what a worker wrote and how good it is."""

import dataclasses
import json
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.codec import to_json
from transcription_api.report import QualityCounts, Report, WrittenObject, encode_report, failure
from transcription_api.spec import Format
from transcription_api.status import MAX_RESULTS, Phase, Status
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.events import Event
from transcription_operator.reconcile.stored_status import parse_status

from tests.support.decisions import NOW
from tests.support.kubernetes_objects import (
    FINISHED,
    SPEC,
    STARTED,
    config,
    ended_pod,
    job,
    observed_state,
    pod,
    resource,
)

BOTH = (Format.JSON, Format.TXT)
GOOD = Report(
    engine="batched (openai-whisper 20250625)",
    language="pt",
    audio_seconds=100.0,
    wall_seconds=10.0,
    precision="float16",
    long_form="chunked",
    quality=QualityCounts("good", low_confidence=1),
    objects=tuple(WrittenObject(fmt, 10, "e") for fmt in BOTH),
)
DOUBTFUL = QualityCounts("doubtful", repetition_loops=2, implausible_rate=1, retried_windows=4)
SPLIT: dict[str, Any] = {"audio": {"channel": "split"}}


def split_report(channels: int | None, *written: tuple[Format, int | None]) -> Report:
    objects = tuple(WrittenObject(fmt, 10, "e", channel) for fmt, channel in written)
    return dataclasses.replace(GOOD, channels=channels, objects=objects)


def ended(report: Report, spec: dict[str, Any] | None = None) -> tuple[Status, tuple[Event, ...]]:
    """Return the status and the events after the Job's end, which the report's reason decides."""
    failed = report.reason is not None
    code = reasons.BY_NAME[report.reason].exit_code if report.reason else exit_codes.OK
    done = job(ended="Failed", failed=1) if failed else job(ended="Complete", succeeded=1)
    observed = observed_state(
        resource({**SPEC, **(spec or {})}), job=done, jobs=(done,), pods=(ended_pod(report, code or 0),)
    )
    plan = decide(observed, config(), NOW)
    assert plan.status is not None
    again = resource(observed.resource.spec, to_json(plan.status))
    same = dataclasses.replace(observed, resource=again, status=parse_status(again.status_json))
    assert decide(same, config(), NOW).events == ()
    return plan.status, plan.events


def test_the_status_says_what_transcribed_and_how() -> None:
    status, _ = ended(GOOD)
    assert status.phase is Phase.COMPLETE
    assert (status.engine, status.precision, status.long_form) == (GOOD.engine, "float16", "chunked")
    assert (status.channels, status.quality) == (None, GOOD.quality)


def test_what_is_wrong_with_the_file_is_in_the_status_of_a_complete_resource() -> None:
    words = "9.0 s of audio could be decoded, the header announces 891.0 s more"
    status, _ = ended(dataclasses.replace(GOOD, warnings=(words,), audio_track=1, audio_tracks=2))
    assert status.phase is Phase.COMPLETE
    assert (status.warnings, status.audio_track, status.audio_tracks) == ((words,), 1, 2)


def test_every_channel_in_every_format_completes_a_split_file_under_keys_of_its_own() -> None:
    written = [(fmt, channel) for channel in (0, 1) for fmt in BOTH]
    status, _ = ended(split_report(2, *written), SPLIT)
    assert (status.phase, status.channels) == (Phase.COMPLETE, 2)
    assert [(item.key, item.channel) for item in status.results] == [
        ("out/01.ch0.json", 0),
        ("out/01.ch0.txt", 0),
        ("out/01.ch1.json", 1),
        ("out/01.ch1.txt", 1),
    ]


@pytest.mark.parametrize(
    ("channels", "written", "words"),
    [
        (2, [(Format.JSON, 0), (Format.TXT, 0), (Format.TXT, 1)], "json of channel 1"),
        (3, [(fmt, channel) for channel in (0, 1) for fmt in BOTH], "json of channel 2, txt of channel 2"),
        (1, [(Format.JSON, None), (Format.TXT, None)], "json of channel 0, txt of channel 0"),
        (None, [(fmt, channel) for channel in (0, 1) for fmt in BOTH], "the number of channels"),
        (0, [], "the number of channels"),
    ],
)
def test_a_split_file_lacking_a_result_of_a_channel_is_never_complete(
    channels: int | None, written: list[tuple[Format, int | None]], words: str
) -> None:
    status, _ = ended(split_report(channels, *written), SPLIT)
    assert status.phase is Phase.FAILED
    assert status.failure is not None
    assert status.failure.reason == "ResultIncomplete"
    assert status.failure.message == f"the report lacks {words}"


def test_channels_do_not_stand_for_a_file_that_was_to_be_mixed() -> None:
    status, _ = ended(split_report(2, *((fmt, channel) for channel in (0, 1) for fmt in BOTH)))
    assert status.failure is not None
    assert (status.failure.reason, status.failure.message) == ("ResultIncomplete", "the report lacks json, txt")


@pytest.mark.parametrize("verdict", ["doubtful", "bad"])
def test_a_transcript_that_may_be_wrong_is_complete_with_a_warning_that_counts(verdict: str) -> None:
    counts = dataclasses.replace(DOUBTFUL, verdict=verdict)
    status, events = ended(dataclasses.replace(GOOD, quality=counts))
    assert (status.phase, status.quality) == (Phase.COMPLETE, counts)
    warned = [event for event in events if event.reason == "LowQuality"]
    assert warned == [
        Event(
            "Warning",
            "LowQuality",
            f"verdict {verdict}; segments flagged: repetition loops 2, implausible rate 1",
        )
    ]


def test_a_good_transcript_is_no_event_even_with_a_flag_or_two() -> None:
    _, events = ended(GOOD)
    assert [event.reason for event in events] == ["JobCreated", "ResultsVerified"]


def test_a_rejected_transcript_fails_with_its_counts_and_its_results_and_one_warning() -> None:
    bad = dataclasses.replace(DOUBTFUL, verdict="bad")
    said = failure(reasons.QUALITY_REJECTED, "3 of 9 segments are flagged", quality=bad, objects=GOOD.objects)
    status, events = ended(said, {"quality": {"policy": "fail"}})
    assert (status.phase, status.quality) == (Phase.FAILED, bad)
    assert [item.key for item in status.results] == ["out/01.json", "out/01.txt"]
    assert status.failure is not None
    assert (status.failure.reason, status.failure.exit_code) == ("QualityRejected", exit_codes.TEXT_REFUSED)
    assert status.failure.message == "3 of 9 segments are flagged"
    assert status.report_key == "out/01.report.json"
    assert [event.reason for event in events] == ["JobCreated", "QualityRejected"]


def test_results_of_a_report_without_room_for_etags_are_shown_without() -> None:
    bare = tuple(dataclasses.replace(item, etag="") for item in GOOD.objects)
    status, _ = ended(dataclasses.replace(GOOD, objects=bare))
    assert status.phase is Phase.COMPLETE
    assert [item.etag for item in status.results] == ["", ""]


def test_a_worker_that_tells_of_more_results_than_there_can_be_is_stored_all_the_same() -> None:
    told = split_report(2000, *((Format.TXT, channel) for channel in range(200)))
    text = encode_report(told, limit=100_000).decode()
    state = {"exitCode": 0, "message": text, "startedAt": STARTED, "finishedAt": FINISHED}
    done = job(ended="Complete", succeeded=1)
    observed = observed_state(resource({**SPEC, **SPLIT}), job=done, jobs=(done,), pods=(pod({"terminated": state}),))
    plan = decide(observed, config(), NOW)
    assert plan.status is not None
    assert (plan.status.phase, len(plan.status.results)) == (Phase.FAILED, MAX_RESULTS)


def test_a_status_of_another_version_keeps_what_this_one_knows() -> None:
    stored = to_json(ended(GOOD)[0])
    stored["quality"]["lipSync"] = 3
    stored["diarization"] = {"speakers": 2}
    known = parse_status(json.dumps(stored).encode())
    assert (known.phase, known.engine, known.quality) == (Phase.COMPLETE, GOOD.engine, GOOD.quality)
