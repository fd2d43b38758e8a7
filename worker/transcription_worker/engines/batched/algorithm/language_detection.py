"""Detect the spoken language from several windows spread over the clips."""

from collections.abc import Generator
from typing import Any

from torch import Tensor
from transcription_api.spec import LanguageDetection
from whisper.audio import N_FRAMES

from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.requests import DetectLanguageRequest, EncodeRequest, Request
from transcription_worker.engines.spoken_language import (
    LanguageProbabilities,
    average_probabilities,
    choose_language,
    window_starts,
)


def detect_language(
    mel: LogMel, clips: list[tuple[int, int]], detection: LanguageDetection, encoded: dict[int, Tensor]
) -> Generator[Request, Any, tuple[str, float]]:
    """Return the language's code and its probability among the candidates.

    clips: frames [start, end) that are transcribed. encoded: receives the features of whole windows by their first frame,
    since the transcription may need them again.

    Raises:
        WorkerError: LanguageUncertain, if the policy says so.
    """
    probabilities: list[LanguageProbabilities] = []
    for start in window_starts(clips, detection.windows):
        features = yield EncodeRequest(mel.window(start, N_FRAMES))
        found: LanguageProbabilities = yield DetectLanguageRequest(features)
        probabilities.append(found)
        if start + N_FRAMES <= mel.frames:
            encoded[start] = features
    return choose_language(average_probabilities(probabilities), detection)
