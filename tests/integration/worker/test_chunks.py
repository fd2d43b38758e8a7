"""Chunks transcribed on their own give the text of the whole."""

from typing import Any

import pytest
import torch
import whisper
from transcription_worker.engines.protocol import SAMPLE_RATE, InMemory
from transcription_worker.engines.speech.chunks import find_chunks

from tests.support.speech import speak
from tests.support.testmodel import model_path
from tests.support.transcript_score import spoken_text, word_error_rate


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return whisper.load_model(str(model_path()), device="cpu")


@pytest.mark.parametrize(
    ("language", "seed", "seconds"), [("en", 11, 120), ("en", 13, 180), ("pt", 11, 120), ("pt", 13, 180)]
)
def test_chunks_alone_have_the_words_of_the_recording(model: Any, language: str, seed: int, seconds: int) -> None:
    samples, utterances = speak(language, seed, seconds)
    audio, heard = InMemory(samples), []
    for chunk in find_chunks(audio):
        part = audio.read(round(chunk.start * SAMPLE_RATE), round((chunk.end - chunk.start) * SAMPLE_RATE))
        result = model.transcribe(
            part, fp16=False, language=language, temperature=0.0, condition_on_previous_text=False
        )
        heard.append(result["text"])
    assert word_error_rate(spoken_text(utterances), " ".join(heard)) <= 0.05


@pytest.mark.parametrize("language", ["en", "pt"])
def test_chunks_as_clips_of_the_recording_have_its_words(model: Any, language: str) -> None:
    samples, utterances = speak(language, 12, 120)
    clips = [point for chunk in find_chunks(InMemory(samples)) for point in (chunk.start, chunk.end)]
    settings = {"language": language, "temperature": 0.0, "condition_on_previous_text": False}
    result = model.transcribe(samples, fp16=False, clip_timestamps=clips, **settings)
    assert word_error_rate(spoken_text(utterances), result["text"]) <= 0.05
