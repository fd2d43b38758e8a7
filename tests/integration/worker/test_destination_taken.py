"""Results of another audio object are never replaced unless the resource says so; those of the same object are."""

import dataclasses
import json
from pathlib import Path

import pytest
from transcription_api import exit_codes, layout, reasons
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.source import InputVersion

from tests.support.destination import Destination, SlowBucket
from tests.support.s3 import S3Server
from tests.support.worker_container import DESTINATION, SOURCE, SPEECH_KEY, WorkerContainer, written_objects

QUICK = {"temperatures": [0], "beamSize": 1}


@pytest.fixture
def destination(container: WorkerContainer, prefix: str) -> Destination:
    return Destination(container, prefix)


def test_the_second_of_two_objects_of_one_name_fails_before_its_audio_is_fetched_and_harms_nothing(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    client = server.client()
    for key in ("in/call.wav", "in/call.mp3"):
        client.copy_object(Bucket=SOURCE, Key=key, CopySource={"Bucket": SOURCE, "Key": SPEECH_KEY})
    first = container.run(container.spec("in/call.wav", prefix, decoding=QUICK))
    assert first.code == 0, first.log
    written = written_objects(server, prefix)
    assert json.loads(written["call.report.json"])["source"] == {
        "bucket": SOURCE,
        "key": "in/call.wav",
        "endpointURL": server.url,
    }

    spec = container.spec("in/call.mp3", prefix, decoding=QUICK)
    second = container.run(spec)
    assert (second.code, second.report.reason) == (exit_codes.DESTINATION_DENIED, "DestinationTaken"), second.log
    for words in ("'in/call.wav'", "'in/call.mp3'", f"'{prefix}call.report.json'"):
        assert words in (second.report.message or "")
    assert "stage decode" not in second.log
    assert written_objects(server, prefix) == written

    spec["destination"]["naming"] = "Full"
    beside = container.run(spec)
    assert beside.code == 0, beside.log
    names = {f"call.mp3.{end}" for end in ("json", "txt", "report.json")}
    assert set(written_objects(server, prefix)) == names | set(written)


def test_the_results_of_another_object_are_replaced_where_the_resource_says_so(
    destination: Destination, server: S3Server
) -> None:
    destination.write(destination.spec("in/call.wav"), "first")
    spec = destination.spec("in/call.mp3", overwrite=True)
    assert not destination.find(spec)
    destination.write(spec, "second")
    assert destination.report(server)["source"]["key"] == "in/call.mp3"
    assert destination.find(destination.spec("in/call.mp3"))


def test_the_same_object_with_other_options_or_other_content_replaces_its_results(
    destination: Destination, server: S3Server
) -> None:
    destination.write(destination.spec("in/call.wav"), "first")
    other = destination.spec("in/call.wav", language="pt")
    assert not destination.find(other)
    destination.write(other, "second")
    changed = InputVersion("another etag", 1)
    assert not destination.find(other, changed)
    destination.write(other, "third", changed)
    assert destination.report(server)["report"]["sourceEtag"] == "another etag"


@pytest.mark.parametrize(
    ("bucket", "key"), [("other-bucket", "in/call.wav"), (SOURCE, "other/call.wav"), (SOURCE, "in/call.mp3")]
)
def test_a_source_is_its_endpoint_bucket_and_key(destination: Destination, bucket: str, key: str) -> None:
    destination.write(destination.spec("in/call.wav"), "first")
    spec = destination.spec(key)
    source = dataclasses.replace(spec.source.s3, bucket=bucket)
    with pytest.raises(WorkerError) as caught:
        destination.find(dataclasses.replace(spec, source=dataclasses.replace(spec.source, s3=source)))
    assert caught.value.reason is reasons.DESTINATION_TAKEN


def test_a_report_that_names_no_source_belongs_to_the_same_task_and_the_same_audio_alone(
    destination: Destination, server: S3Server
) -> None:
    spec = destination.spec("in/call.wav")
    destination.write(spec, "first")
    report = destination.report(server)
    del report["source"]
    assert report["fingerprint"] == layout.fingerprint(spec)
    destination.put_report(server, json.dumps(report).encode())
    assert destination.find(spec)
    assert not destination.find(spec, InputVersion("the audio was replaced", 1))
    assert not destination.find(destination.spec("in/call.wav", language="pt"))
    with pytest.raises(WorkerError, match="holds the results of an object that names no source") as caught:
        destination.find(destination.spec("in/call.mp3"), InputVersion("another etag", 1))
    assert caught.value.reason is reasons.DESTINATION_TAKEN


@pytest.mark.parametrize("body", [b"Minutes of a meeting", b"[1]", b'{"text": " call.report.wav gives this key too"}'])
def test_an_object_at_the_reports_key_that_is_no_report_is_not_replaced(
    destination: Destination, server: S3Server, body: bytes
) -> None:
    destination.put_report(server, body)
    with pytest.raises(WorkerError) as caught:
        destination.find(destination.spec("in/call.wav"))
    assert caught.value.reason is reasons.DESTINATION_TAKEN
    assert not destination.find(destination.spec("in/call.wav", overwrite=True))


def test_a_json_does_not_replace_the_report_of_which_it_has_the_key(destination: Destination, server: S3Server) -> None:
    call, report = destination.spec("in/call.wav"), destination.spec("in/call.report.wav", formats=["json"])
    destination.write(call, "hello")
    for harm in (destination.find, lambda spec: destination.write(spec, "other")):
        with pytest.raises(
            WorkerError, match=r"call\.report\.json' in bucket .* is the report of other results"
        ) as caught:
            harm(report)
        assert caught.value.reason is reasons.DESTINATION_TAKEN
    assert destination.find(call)
    destination.write(destination.spec("in/call.report.wav"), "its text has a key of its own")
    assert destination.find(call)


def test_a_report_of_which_the_server_names_no_etag_is_replaced_by_its_own_source(
    destination: Destination, server: S3Server, prefix: str
) -> None:
    spec = destination.spec("in/call.wav")
    destination.write(spec, "first")
    path = server.folder / DESTINATION / prefix / "call.report.json"
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body)  # the server keeps ETags in extended attributes, which the new file lacks
    assert "ETag" not in server.client().get_object(Bucket=DESTINATION, Key=f"{prefix}call.report.json")
    destination.write(spec, "second")
    assert destination.find(spec)


@pytest.mark.parametrize("before", [True, False])
def test_a_worker_that_is_late_does_not_replace_the_report_of_another_object(
    destination: Destination, container: WorkerContainer, server: S3Server, before: bool
) -> None:
    """`before`: the other one commits before this one writes anything; else while it writes."""
    late, other = destination.spec("in/call.mp3"), destination.spec("in/call.wav")
    assert not destination.find(late)
    meanwhile = (lambda: None) if before else (lambda: destination.write(other, "other"))
    if before:
        destination.write(other, "other")
    with pytest.raises(WorkerError) as caught:
        destination.write(late, "late", bucket=SlowBucket(late, Paths(container.root), meanwhile))
    assert caught.value.reason is reasons.DESTINATION_TAKEN
    assert destination.report(server)["source"]["key"] == "in/call.wav"
    assert destination.find(other)


def test_two_workers_of_one_task_may_both_commit(
    destination: Destination, container: WorkerContainer, server: S3Server
) -> None:
    spec = destination.spec("in/call.wav")
    twice = SlowBucket(spec, Paths(container.root), lambda: destination.write(spec, "the same"))
    destination.write(spec, "the same", bucket=twice)
    assert destination.find(spec)


def test_results_that_are_being_replaced_are_not_whole_meanwhile_and_still_belong_to_their_source(
    destination: Destination, container: WorkerContainer, server: S3Server
) -> None:
    earlier, later = destination.spec("in/call.wav"), destination.spec("in/call.wav", language="pt")
    destination.write(earlier, "first")
    seen: list[bool] = []

    def look() -> None:
        seen.append(destination.find(earlier))
        with pytest.raises(WorkerError) as caught:
            destination.find(destination.spec("in/call.mp3"))
        assert caught.value.reason is reasons.DESTINATION_TAKEN
        raise KeyboardInterrupt  # the worker is killed between its results and its report

    with pytest.raises(KeyboardInterrupt):
        destination.write(later, "second", bucket=SlowBucket(later, Paths(container.root), look))
    assert seen == [False]
    assert not destination.find(earlier)
    assert destination.report(server)["incomplete"] is True
    destination.write(later, "second")
    assert destination.find(later)


@pytest.mark.parametrize("other", [Provenance("sha256:01", "transcription-worker 0"), Provenance("sha256:00", "newer")])
def test_a_result_of_another_model_or_worker_is_not_the_one_asked_for(
    destination: Destination, other: Provenance
) -> None:
    spec = destination.spec("in/call.wav")
    destination.write(spec, "first")
    assert destination.find(spec)
    destination.provenance = other
    assert not destination.find(spec)


def test_a_result_of_a_version_that_did_not_record_its_model_is_made_again(
    destination: Destination, server: S3Server
) -> None:
    spec = destination.spec("in/call.wav")
    destination.write(spec, "first")
    report = destination.report(server)
    del report["provenance"]
    destination.put_report(server, json.dumps(report).encode())
    assert not destination.find(spec)
