"""The batched engine goes on from a checkpoint to the very transcript that it gives without an interruption."""

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import pytest
import whisper
from transcription_api.spec import Clip, Format, LongForm, Quality, QualityPolicy
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.formats.writers import render_format
from transcription_worker.engines.input_checkpoint import decode_checkpoint, encode_checkpoint
from transcription_worker.engines.protocol import InMemory, Input, InputCheckpoint, Options, Samples, Transcript

from tests.support.engine_cases import BEAM, GREEDY, WORDS, joined, options, silence, speech
from tests.support.testmodel import model_path

CONTEXT = {"source": "an etag"}
FALLBACK = GREEDY | {"temperatures": (0.0, 0.4, 0.8), "logprob_threshold": 0.0, "best_of": 2}
PROMPT = {"initial_prompt": "The red house and the blue river.", "carry_initial_prompt": True}
CHUNKED = {"long_form": LongForm.CHUNKED}

spoken = speech("en", 970, 95)
sounds = joined(silence(4), speech("en", 971, 50), silence(12), speech("pt", 972, 40))


class Recorded:
    """Checkpoints in memory: `kept` are those that the engine gave, and `found` the one that it goes on from."""

    def __init__(self, found: InputCheckpoint | None = None) -> None:
        self.kept: list[InputCheckpoint] = []
        self.resumed: list[float] = []
        self._found = found

    def find(self) -> InputCheckpoint | None:
        return self._found

    def resume(self, seconds: float) -> None:
        self.resumed.append(seconds)

    def keep(self, checkpoint: InputCheckpoint) -> None:
        self.kept.append(checkpoint)


@pytest.fixture(scope="module")
def engine() -> BatchedEngine:
    return BatchedEngine(whisper.load_model(str(model_path()), device="cpu"), batch=4)


def transcribe(engine: BatchedEngine, samples: Samples, asked: Options, checkpoints: Any) -> Transcript:
    item = Input("a", lambda: InMemory(samples), asked, checkpoints=lambda: checkpoints)
    (outcome,) = engine.transcribe([item])
    return outcome.value()


def files(transcript: Transcript) -> dict[Format, bytes]:
    return {fmt: render_format(transcript, fmt) for fmt in Format}


def reread(checkpoint: InputCheckpoint) -> InputCheckpoint:
    return decode_checkpoint(encode_checkpoint(checkpoint, CONTEXT), CONTEXT)


CASES: dict[str, tuple[Callable[[], Samples], Options]] = {
    "greedy, the language detected": (spoken, options(GREEDY)),
    "beams": (speech("en", 973, 65), options(BEAM)),
    "words": (sounds, options(WORDS)),
    "words, silence skipped": (sounds, options(WORDS | {"hallucination_silence_threshold": 0.5})),
    "sampling at rising temperatures": (speech("en", 974, 65), options(FALLBACK, language="en")),
    "a carried prompt": (spoken, options(GREEDY | PROMPT)),
    "no conditioning": (spoken, options(GREEDY | {"condition_on_previous_text": False})),
    "clips": (spoken, options(WORDS, clips=(Clip(2.0, 41.0), Clip(41.0, 50.0), Clip(60.5)))),
    "chunks": (sounds, options(WORDS | CHUNKED)),
    "windows decoded again for their quality": (
        sounds,
        dataclasses.replace(options(FALLBACK), quality=Quality(policy=QualityPolicy.RETRY)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_format_is_the_same_from_any_checkpoint(engine: BatchedEngine, name: str) -> None:
    make, asked = CASES[name]
    samples, undisturbed = make(), Recorded()
    expected = transcribe(engine, samples, asked, undisturbed)
    assert len(undisturbed.kept) >= 3
    for checkpoint in random.Random(name).sample(undisturbed.kept, 2):
        resumed = Recorded(reread(checkpoint))
        found = transcribe(engine, samples, asked, resumed)
        assert files(found) == files(expected)
        assert dataclasses.replace(found, segments=[]) == dataclasses.replace(expected, segments=[])
        assert resumed.resumed == [checkpoint.seconds]
        assert len(resumed.kept) == len(undisturbed.kept) - undisturbed.kept.index(checkpoint) - 1


def test_a_checkpoint_at_the_end_needs_no_window_more(engine: BatchedEngine) -> None:
    make, asked = CASES["words"]
    undisturbed = Recorded()
    expected = transcribe(engine, make(), asked, undisturbed)
    last = Recorded(reread(undisturbed.kept[-1]))
    assert files(transcribe(engine, make(), asked, last)) == files(expected)
    assert last.kept == []


def test_a_checkpoint_of_other_audio_or_that_no_engine_writes_is_left_alone(engine: BatchedEngine) -> None:
    samples, asked = speech("en", 975, 40)(), options(WORDS, language="en")
    undisturbed = Recorded()
    expected = files(transcribe(engine, samples, asked, undisturbed))
    good = undisturbed.kept[0]
    (part,) = good.parts
    wordless = tuple({key: value for key, value in one.items() if key != "words"} for one in part.segments)
    parts = {
        "another part": dataclasses.replace(part, number=1),
        "a negative part": dataclasses.replace(part, number=-1),
        "another clip": dataclasses.replace(part, clip=1),
        "a place before the audio": dataclasses.replace(part, seek=-3000),
        "a place after the audio": dataclasses.replace(part, seek=1 << 40),
        "an unknown token": dataclasses.replace(part, tokens=(*part.tokens, 1 << 30)),
        "a negative token": dataclasses.replace(part, tokens=(*part.tokens, -1)),
        "no words": dataclasses.replace(part, segments=wordless),
        "a reset after the end": dataclasses.replace(part, reset_since=1 << 30),
    }
    wrong = [dataclasses.replace(good, parts=(one,)) for one in parts.values()]
    wrong += [
        dataclasses.replace(good, samples=good.samples + 1),
        dataclasses.replace(good, precision="float16"),
        dataclasses.replace(good, language="pt"),
        dataclasses.replace(good, language="xx"),
    ]
    for checkpoint in wrong:
        found = Recorded(checkpoint)
        assert files(transcribe(engine, samples, asked, found)) == expected
        assert found.resumed == []
