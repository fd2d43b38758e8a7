"""The spoken language, from up to N windows spread over what is transcribed."""

from collections.abc import Generator
from typing import Any

from torch import Tensor
from transcription_api.spec import LanguageDetection
from whisper.audio import N_FRAMES

from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.requests import Ask, Encode, Languages
from transcription_worker.engines.spoken_language import (
    LanguageProbabilities,
    average_probabilities,
    choose_language,
    window_starts,
)


def detect_language(
    mel: LogMel, clips: list[tuple[int, int]], asked: LanguageDetection, encoded: dict[int, Tensor]
) -> Generator[Ask, Any, tuple[str, float]]:
    """The language's code and its probability among the candidates. clips: frames that are transcribed.

    `encoded` takes the features of whole windows by their first frame, which the transcription may need again.

    Raises:
        WorkerError: LanguageUncertain, where the policy says so.
    """
    heard: list[LanguageProbabilities] = []
    for start in window_starts(clips, asked.windows):
        features = yield Encode(mel.window(start, N_FRAMES))
        found: LanguageProbabilities = yield Languages(features)
        heard.append(found)
        if start + N_FRAMES <= mel.frames:
            encoded[start] = features
    return choose_language(average_probabilities(heard), asked)
