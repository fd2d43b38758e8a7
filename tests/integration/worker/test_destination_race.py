"""Two workers whose results have the same names, at the same time: one of them has results, and those are whole."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from transcription_api import reasons
from transcription_api.spec import Spec
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_source import S3Input

from tests.support.destination import VERSION, Destination, SlowBucket, transcription
from tests.support.s3 import S3Server
from tests.support.worker_container import DESTINATION, WorkerContainer, written_objects

SPLIT = {"channel": "split"}


@pytest.fixture
def destination(container: WorkerContainer, prefix: str) -> Destination:
    return Destination(container, prefix)


def is_taken(write: Callable[[], None]) -> bool:
    """Return whether results of another object are in the way."""
    try:
        write()
    except WorkerError as error:
        if error.reason is reasons.DESTINATION_TAKEN:
            return True
        raise
    return False


def slow(spec: Spec, container: WorkerContainer, meanwhile: Callable[[], None], before: bool = True) -> SlowBucket:
    return SlowBucket(spec, Paths(container.root), meanwhile, before)


def test_results_of_another_object_that_came_after_the_look_are_not_replaced(
    destination: Destination, container: WorkerContainer, server: S3Server, prefix: str
) -> None:
    late, other = destination.spec("in/call.mp3"), destination.spec("in/call.wav")
    assert not destination.find(late)
    bucket = slow(late, container, lambda: destination.write(other, "other"))
    assert is_taken(lambda: destination.write(late, "late", bucket=bucket))
    assert destination.find(other)
    assert written_objects(server, prefix)["call.txt"] == b"other\n"


@pytest.mark.parametrize("before", [True, False])
def test_of_two_that_write_at_the_same_time_one_alone_has_results_and_they_are_whole(
    destination: Destination, container: WorkerContainer, server: S3Server, prefix: str, before: bool
) -> None:
    formats: dict[str, Any] = {"formats": ["srt", "txt", "json"]}
    one, two = destination.spec("in/call.mp3", **formats), destination.spec("in/call.wav", **formats)
    failed: list[bool] = []

    def meanwhile() -> None:
        failed.append(is_taken(lambda: destination.write(two, "two")))

    failed.append(is_taken(lambda: destination.write(one, "one", bucket=slow(one, container, meanwhile, before))))
    assert sorted(failed) == [False, True]
    winner = two if failed[1] else one
    assert destination.find(winner)
    assert written_objects(server, prefix)["call.txt"] == (b"two\n" if winner is two else b"one\n")


@pytest.mark.parametrize("before", [True, False])
def test_of_two_workers_of_one_object_the_last_one_has_a_report_of_what_lies_there(
    destination: Destination, container: WorkerContainer, server: S3Server, prefix: str, before: bool
) -> None:
    spec = destination.spec("in/call.wav", formats=["srt", "txt"])
    bucket = slow(spec, container, lambda: destination.write(spec, "other words"), before)
    destination.write(spec, "words", bucket=bucket)
    assert destination.find(spec)
    assert written_objects(server, prefix)["call.txt"] == b"words\n"


def test_what_a_worker_that_died_before_its_report_has_written_is_replaced(
    destination: Destination, server: S3Server, prefix: str
) -> None:
    server.client().put_object(Bucket=DESTINATION, Key=f"{prefix}call.txt", Body=b"half a text")
    spec = destination.spec("in/call.wav")
    destination.write(spec, "whole")
    assert destination.find(spec)
    assert written_objects(server, prefix)["call.txt"] == b"whole\n"


@pytest.mark.parametrize("split_first", [True, False])
def test_a_channels_result_and_that_of_an_object_with_a_channels_name_do_not_replace_each_other(
    destination: Destination, server: S3Server, prefix: str, split_first: bool
) -> None:
    specs = [destination.spec("in/call.wav", audio=SPLIT), destination.spec("in/call.ch0.wav")]
    first, second = specs if split_first else reversed(specs)
    destination.write(first, "first")
    assert is_taken(lambda: destination.write(second, "second"))
    assert destination.find(first)
    assert written_objects(server, prefix)["call.ch0.txt"] == b"first\n"
    destination.write(destination.spec("in/call.ch2.wav"), "there is no such channel")
    overwriting = dataclasses.replace(second.destination, overwrite=True)
    destination.write(dataclasses.replace(second, destination=overwriting), "as was asked for")
    assert not destination.find(first)


def test_a_model_that_is_replaced_after_it_was_loaded_gives_its_name_to_no_results(
    destination: Destination, server: S3Server
) -> None:
    spec = destination.spec("in/call.wav")
    item, loaded = S3Input(spec.source.s3.object(), may_have_results=False), destination.provenance
    sink = destination.sink(spec)
    sink.check_writable(item)  # what comes before the model is loaded
    destination.provenance = Provenance("sha256:01", loaded.worker)
    sink.write(item, VERSION, transcription("by the first model"))
    assert not destination.find(spec)
    destination.provenance = loaded
    assert destination.find(spec)
