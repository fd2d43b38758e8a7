"""The batched engine goes on from a checkpoint to the very transcript that it gives without an interruption."""

import dataclasses
import json
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

spoken = speech("en", 970, 65)
sounds = joined(silence(3), speech("en", 971, 30), silence(9), speech("pt", 972, 25))


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


def files(transcript: Transcript, name: str = "") -> dict[Format, Any]:
    """Return the bytes of each format; with chunks the values of json, whose log probabilities depend on the other chunks."""
    found: dict[Format, Any] = {fmt: render_format(transcript, fmt) for fmt in Format}
    if name == "chunks":
        found[Format.JSON] = json.loads(found[Format.JSON], parse_float=lambda digits: round(float(digits), 5))
    return found


def reread(checkpoint: InputCheckpoint) -> InputCheckpoint:
    return decode_checkpoint(encode_checkpoint(checkpoint, CONTEXT), CONTEXT)


CASES: dict[str, tuple[Callable[[], Samples], Options]] = {
    "the language detected and a prompt carried": (spoken, options(GREEDY | PROMPT)),
    "beams": (speech("en", 973, 40), options(BEAM)),
    "words, silence skipped": (sounds, options(WORDS | {"hallucination_silence_threshold": 0.5})),
    "clips without conditioning": (
        spoken,
        options(WORDS | {"condition_on_previous_text": False}, clips=(Clip(2.0, 33.0), Clip(33.0, 41.0), Clip(50.5))),
    ),
    "chunks": (sounds, options(WORDS | CHUNKED)),
    "sampling, and windows decoded again for their quality": (
        sounds,
        dataclasses.replace(options(FALLBACK), quality=Quality(policy=QualityPolicy.RETRY)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_format_is_the_same_from_a_checkpoint(engine: BatchedEngine, name: str) -> None:
    make, asked = CASES[name]
    samples, undisturbed = make(), Recorded()
    expected = transcribe(engine, samples, asked, undisturbed)
    number = random.Random(name).randrange(len(undisturbed.kept) - 1)
    resumed = Recorded(reread(undisturbed.kept[number]))
    found = transcribe(engine, samples, asked, resumed)
    assert files(found, name) == files(expected, name)
    assert dataclasses.replace(found, segments=[]) == dataclasses.replace(expected, segments=[])
    assert resumed.resumed == [undisturbed.kept[number].seconds]
    assert len(resumed.kept) == len(undisturbed.kept) - number - 1


def test_a_checkpoint_at_the_end_needs_no_window_more(engine: BatchedEngine) -> None:
    make, asked = CASES["beams"]
    undisturbed = Recorded()
    expected = transcribe(engine, make(), asked, undisturbed)
    last = Recorded(reread(undisturbed.kept[-1]))
    assert files(transcribe(engine, make(), asked, last)) == files(expected)
    assert last.kept == []


def test_a_checkpoint_of_other_audio_is_left_alone(engine: BatchedEngine) -> None:
    samples, asked = speech("en", 975, 5)(), options(WORDS, language="en")
    undisturbed = Recorded()
    expected = files(transcribe(engine, samples, asked, undisturbed))
    found = Recorded(dataclasses.replace(undisturbed.kept[0], samples=samples.size + 1))
    assert files(transcribe(engine, samples, asked, found)) == expected
    assert found.resumed == []
