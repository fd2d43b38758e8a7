"""Detect the spoken language from several windows spread over the clips."""

from collections.abc import Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transcription_api.spec import LanguageDetection
from whisper.audio import N_FRAMES

from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.requests import DetectLanguageRequest, EncodeRequest, Request
from transcription_worker.engines.clips import FrameRange
from transcription_worker.engines.overflow import confirm_requests
from transcription_worker.engines.spoken_language import (
    LanguageProbabilities,
    average_probabilities,
    choose_language,
    detection_windows,
    refuse_nan,
)


def detect_language(
    mel: LogMel, clips: list[tuple[int, int]], detection: LanguageDetection, encoded: dict[int, Tensor], precision: str
) -> Generator[Request, Any, tuple[str, float]]:
    """Return the language's code and its probability among the candidates.

    clips: frames [start, end) that are transcribed. encoded: receives the features of whole windows by their first frame,
    since the transcription may need them again. precision: what the model computes in, for messages.

    Raises:
        WorkerError: LanguageUncertain, if the policy says so. NumericOverflow, GPUFault.
    """
    probabilities: list[LanguageProbabilities] = []
    for pieces in detection_windows(clips, mel.frames, detection.windows):
        features, found = yield from confirm_requests(partial(_listen, mel, pieces), precision)
        probabilities.append(found)
        start, end = pieces[0]
        if start + N_FRAMES == end <= mel.frames:
            encoded[start] = features
    return choose_language(average_probabilities(probabilities), detection)


def _listen(mel: LogMel, pieces: list[FrameRange]) -> Generator[Request, Any, tuple[Tensor, LanguageProbabilities]]:
    features: Tensor = yield EncodeRequest(partial(_join, mel, pieces))
    found: LanguageProbabilities = yield DetectLanguageRequest(features)
    return features, refuse_nan(found)


def _join(mel: LogMel, pieces: list[FrameRange]) -> Tensor:
    """One window of the pieces' frames, shape (n_mels, 3000), with zeros after the last as in every window of a clip."""
    joined = torch.cat([mel.window(start, end - start)[:, : end - start] for start, end in pieces], dim=-1)
    return pad(joined, (0, N_FRAMES - joined.shape[-1]))
