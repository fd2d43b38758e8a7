"""Text that the model really invents over loops, noise and silence is flagged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from transcription_api.spec import Decoding, TaskKind
from transcription_worker.engines.protocol import SAMPLE_RATE, InMemory, Options, Samples
from transcription_worker.engines.quality import repetition
from transcription_worker.engines.quality.flags import REPETITION_LOOP, TEXT_OVER_SILENCE, count_flags, flag_segments

from tests.support import hallucination_audio
from tests.support.testmodel import model_path

OPTIONS = Options(TaskKind.TRANSCRIBE, None, Decoding())

# whisper passes a torch tensor to numpy.argsort.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return whisper.load_model(str(model_path()), device="cpu")


def invented(model: Any, samples: Samples, **settings: Any) -> list[dict[str, Any]]:
    """Return the segments with text, after flag_segments."""
    torch.manual_seed(0)
    result = model.transcribe(samples, fp16=False, **hallucination_audio.LENIENT, **settings)
    flag_segments(result["segments"], InMemory(samples), OPTIONS)
    return [one for one in result["segments"] if one["text"].strip()]


GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und läuft dann in den Wald zurück, wo er schläft."


def words_of(segments: list[dict[str, Any]]) -> float:
    """Return the number of words in all segments."""
    return sum(repetition.count_words(repetition.split_words(one["text"])) for one in segments)


PROVOKED: dict[str, Callable[[], Samples]] = {
    "one word": lambda: hallucination_audio.repeated("seven", "en-us"),
    "three words": lambda: hallucination_audio.repeated("one two three", "en-us"),
    "a sentence": lambda: hallucination_audio.repeated("the cat sees the dog", "en-us", gap=0.1),
    "German": lambda: hallucination_audio.repeated(GERMAN, "de", gap=0.25),
    "a melody": hallucination_audio.melody,
    "a tone": hallucination_audio.tone,
}


@pytest.mark.parametrize("sound", PROVOKED)
def test_loops_that_sound_provokes_are_flagged(model: Any, sound: str) -> None:
    segments = invented(model, PROVOKED[sound]())
    find_loops = [one for one in segments if REPETITION_LOOP in one.get("flags", ())]
    assert words_of(find_loops) > 0.8 * words_of(segments) > 15
    assert count_flags(segments).verdict == "bad"


def test_text_that_noise_provokes_is_flagged(model: Any) -> None:
    segments = invented(model, hallucination_audio.bursts())
    assert segments
    assert all(TEXT_OVER_SILENCE in one["flags"] for one in segments)


def test_text_that_silence_provokes_is_flagged_and_the_speech_before_it_is_not(model: Any) -> None:
    first, *rest = invented(model, hallucination_audio.speech_then_silence(), without_timestamps=True)
    assert "flags" not in first
    assert rest
    assert all(TEXT_OVER_SILENCE in one["flags"] for one in rest)


def test_text_that_a_prompt_provokes_from_silence_is_flagged(model: Any) -> None:
    silence = np.zeros(30 * SAMPLE_RATE, np.float32)
    prompt = "The cat sees the dog. The red river follows the house."
    (only,) = invented(model, silence, initial_prompt=prompt, without_timestamps=True)
    assert only["flags"] == [TEXT_OVER_SILENCE]
