"""What crosses the border between the pod's first process and an engine's."""

import threading
from multiprocessing import Pipe
from typing import Any

import pytest
from transcription_api import reasons
from transcription_api.report import DeviceUsed, ModelUsed, WrittenObject
from transcription_api.spec import Channel, Clip, Format
from transcription_worker.batch.engine_messages import RemoteFeed, serve
from transcription_worker.batch.entries import Entry, Overrides
from transcription_worker.batch.outcomes import DONE, Row
from transcription_worker.errors import WorkerError

OVERRIDES = Overrides("pt", initial_prompt="Lisboa", clips=(Clip(1.5, None),), channel=Channel.SPLIT)
ENTRY = Entry(7, "a/é.wav", '"etag"', 10, 2.5, "other", "ticket 17", OVERRIDES, found=True)
ROW = Row(7, "a/é.wav", DONE, audio_seconds=2.5, objects=(WrittenObject(Format.VTT, 12, '"x"', 1),))


class Recorded:
    """A feed of one file that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._left = [ENTRY]

    def take(self) -> Entry | None:
        return self._left.pop() if self._left else None

    def settle(self, row: Row) -> None:
        self.told.append(row)

    def enter_stage(self, stage: str) -> None:
        self.told.append(stage)

    def decoded(self, number: int, seconds: float) -> None:
        self.told.append((number, seconds))

    def advanced(self, number: int, track: int, seconds: float) -> None:
        self.told.append((number, track, seconds))

    def resumed(self, number: int, seconds: float) -> None:
        self.told.append(("resumed", number, seconds))

    def waited(self, waited: float, seconds: float) -> None:
        self.told.append(("waited", waited, seconds))

    def know(self, **fields: Any) -> None:
        self.told.append(fields)


def test_a_file_and_what_becomes_of_it_arrive_as_they_were_sent() -> None:
    ours, theirs = Pipe()
    served = Recorded()
    server = threading.Thread(target=serve, args=(ours, served))
    server.start()
    feed = RemoteFeed(theirs)
    assert [feed.take(), feed.take()] == [ENTRY, None]
    device, model = DeviceUsed("cuda", name="NVIDIA L4", driver="580.65.06"), ModelUsed("turbo", "sha256:00")
    feed.enter_stage("model")
    feed.decoded(7, 2.5)
    feed.advanced(7, 1, 1.25)
    feed.resumed(7, 0.5)
    feed.waited(0.25, 4.0)
    feed.know(device=device, model=model, engine="batched 1", warnings=("fewer windows",))
    feed.settle(ROW)
    feed.end()
    server.join(10.0)
    known = {"device": device, "model": model, "engine": "batched 1", "warnings": ("fewer windows",)}
    assert served.told == ["model", (7, 2.5), (7, 1, 1.25), ("resumed", 7, 0.5), ("waited", 0.25, 4.0), known, ROW]


def test_a_failure_arrives_with_its_reason_and_an_end_without_a_word_is_none() -> None:
    ours, theirs = Pipe()
    RemoteFeed(theirs).end(WorkerError(reasons.GPU_FAULT, "CUDA error"))
    with pytest.raises(WorkerError, match="CUDA error") as caught:
        serve(ours, Recorded())
    assert caught.value.reason is reasons.GPU_FAULT
    theirs.close()
    with pytest.raises(EOFError):
        serve(ours, Recorded())


def test_what_is_no_message_of_an_engine_is_refused() -> None:
    ours, theirs = Pipe()
    theirs.send_bytes(b'["format"]')
    with pytest.raises(ValueError, match="got a message 'format'"):
        serve(ours, Recorded())
