"""What an engine goes on from, since anybody may have written it, and how much of an input is done."""

import dataclasses
from typing import Any

import pytest
from transcription_api.spec import Decoding, TaskKind
from transcription_worker.engines.batched.algorithm.checkpointing import CheckpointCollector, Resumable, seconds_done
from transcription_worker.engines.protocol import Counters, InputCheckpoint, Options, PartCheckpoint
from transcription_worker.engines.vocabulary import Vocabulary

OPTIONS = Options(TaskKind.TRANSCRIBE, None, Decoding(word_timestamps=True))
CLIPS = [(0, 4000), (5000, 6000)]
SEGMENT = {"text": " canary", "words": []}
PART = PartCheckpoint(0, 1, 5400, (SEGMENT,), (1, 99), 2, 54.0, Counters())
GOOD = InputCheckpoint("en", "float32", 960_000, 44.0, (PART,))
EXPECTED = Resumable(OPTIONS, Vocabulary(("en", "pt"), 100), "float32", 960_000, 6000, [CLIPS])


@pytest.mark.parametrize("seek", [5000, 5400, 6000, 8900], ids=str)
def test_a_checkpoint_of_the_same_audio_and_options_fits(seek: int) -> None:
    assert EXPECTED.fits(dataclasses.replace(GOOD, parts=(dataclasses.replace(PART, seek=seek),)))
    assert EXPECTED.fits(dataclasses.replace(GOOD, parts=()))


@pytest.mark.parametrize(
    "fields",
    [{"precision": "float16"}, {"samples": 960_001}, {"language": "xx"}],
    ids=lambda fields: next(iter(fields)),
)
def test_a_checkpoint_of_another_input_or_model_does_not_fit(fields: dict[str, Any]) -> None:
    assert not EXPECTED.fits(dataclasses.replace(GOOD, **fields))


def test_a_checkpoint_in_another_language_than_is_asked_for_does_not_fit() -> None:
    asked = dataclasses.replace(EXPECTED, options=dataclasses.replace(OPTIONS, language="pt"))
    assert not asked.fits(GOOD)
    assert asked.fits(dataclasses.replace(GOOD, language="pt"))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"number": 1}, id="another part"),
        pytest.param({"number": -1}, id="a negative part"),
        pytest.param({"clip": 2}, id="another clip"),
        pytest.param({"clip": -1}, id="a negative clip"),
        pytest.param({"seek": 4999}, id="a place before the clip"),
        pytest.param({"seek": 9001}, id="a place more than a window after the audio"),
        pytest.param({"tokens": (100,)}, id="a token that the model has not"),
        pytest.param({"tokens": (-1,)}, id="a negative token"),
        pytest.param({"segments": ({"text": " canary"},)}, id="no words"),
        pytest.param({"reset_since": 3}, id="a prompt from after the end"),
        pytest.param({"reset_since": -1}, id="a prompt from before the beginning"),
    ],
)
def test_a_part_that_no_engine_writes_does_not_fit(fields: dict[str, Any]) -> None:
    assert not EXPECTED.fits(dataclasses.replace(GOOD, parts=(dataclasses.replace(PART, **fields),)))


def test_seconds_done_are_those_of_the_clips_before() -> None:
    assert seconds_done([CLIPS], [PART]) == 44.0
    assert seconds_done([CLIPS], [dataclasses.replace(PART, seek=7000)]) == 50.0
    assert seconds_done([CLIPS[:1], CLIPS[1:]], [dataclasses.replace(PART, number=1, clip=0)]) == 4.0


def test_the_checkpoint_of_an_input_has_the_newest_of_each_part_and_those_that_it_began_with() -> None:
    kept: list[InputCheckpoint] = []

    class Kept:
        def find(self) -> InputCheckpoint | None:
            raise AssertionError

        def resume(self, seconds: float) -> None:
            raise AssertionError

        def keep(self, checkpoint: InputCheckpoint) -> None:
            kept.append(checkpoint)

    parts = [[(0, 3000)], [(3000, 6000)], [(6000, 9000)]]
    begun = dataclasses.replace(PART, number=2, clip=0, seek=9000)
    collector = CheckpointCollector(Kept(), parts, dataclasses.replace(GOOD, seconds=0.0, parts=(begun,)))
    for number, seek in ((1, 4000), (0, 3000), (1, 6000)):
        collector.take(dataclasses.replace(PART, number=number, clip=0, seek=seek))
    assert [one.seconds for one in kept] == [40.0, 70.0, 90.0]
    assert {part.number: part.seek for part in kept[-1].parts} == {0: 3000, 1: 6000, 2: 9000}
    assert {part.number: part.seek for part in kept[0].parts} == {1: 4000, 2: 9000}
