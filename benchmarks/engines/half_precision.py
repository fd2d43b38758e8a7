"""Print how much the test model's text changes in half precision. Nothing is asserted."""

import tempfile
from pathlib import Path

import torch
import whisper
from transcription_api.spec import Decoding, LanguageDetection, TaskKind
from transcription_worker.engines.protocol import Options

from benchmarks.engines.compare import word_errors
from benchmarks.engines.corpus import speech_corpus
from benchmarks.engines.runners import BatchedRunner, OpenAIWhisperRunner
from tests.support.testmodel import model_path

FILES = 32


def print_text_agreement(device: torch.device) -> None:
    """Compare the batched engine's texts with openai-whisper's, each in its default precision on this device."""
    options = Options(TaskKind.TRANSCRIBE, None, Decoding(beam_size=1), LanguageDetection(windows=1))
    with tempfile.TemporaryDirectory() as folder:
        recordings = speech_corpus(Path(folder), FILES)
        reference = (
            OpenAIWhisperRunner(whisper.load_model(str(model_path()), device=str(device)), options)
            .run(recordings)
            .texts
        )
        found = BatchedRunner(whisper.load_model(str(model_path()), device=str(device)), options).run(recordings).texts
    same = sum(one == other for one, other in zip(reference, found, strict=True))
    spoken = [one.text for one in recordings]
    print(
        f"\nText on {device}: {same} of {FILES} files equal openai-whisper's, WER between the two {word_errors(reference, found):.2%}"
    )
    print(
        f"WER to what was spoken: openai-whisper {word_errors(spoken, reference):.2%}, batched {word_errors(spoken, found):.2%}"
    )
