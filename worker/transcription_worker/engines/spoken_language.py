"""Language detection: which windows are examined, and which language is chosen from the model's probabilities."""

import math
from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.spec import LanguageDetection, UncertainLanguage
from whisper.audio import N_FRAMES

from transcription_worker.engines.clips import FrameRange
from transcription_worker.engines.overflow import NotANumberError
from transcription_worker.errors import WorkerError


@dataclass(frozen=True, eq=False)
class LanguageProbabilities:
    """The probability of each language code in a window, and that nobody speaks in it."""

    languages: dict[str, float]
    no_speech: float


# A window without speech still has a small weight, so that a file of silence has a language too.
MIN_WEIGHT = 1e-3


def detection_windows(clips: list[FrameRange], frames: int, count: int) -> list[list[FrameRange]]:
    """The windows in which the language is detected, evenly spread over the clips as if these were one recording.

    Args:
        clips: What is transcribed, in frames.
        frames: Length of the whole audio.
        count: Number of windows wanted; there are fewer if the clips are shorter.

    Returns:
        The pieces that make up each window, at most N_FRAMES in all. Where the audio ends before the window does, the last
        piece goes on into the silence after it, as in openai-whisper.
    """
    total = sum(end - start for start, end in clips)
    count = max(1, min(count, -(-total // N_FRAMES)))
    last = max(0, total - N_FRAMES)
    places = [round(index * last / (count - 1)) for index in range(count)] if count > 1 else [0]
    return [_with_silence(_pieces(clips, place), frames) for place in places]


def _pieces(clips: list[FrameRange], place: int) -> list[FrameRange]:
    """Frames [place, place + N_FRAMES) of the joined clips."""
    pieces, room = [], N_FRAMES
    for start, end in clips:
        first = start + min(place, end - start)
        taken = min(end - first, room)
        if taken > 0:
            pieces.append((first, first + taken))
        place, room = place - (first - start), room - taken
    return pieces


def _with_silence(pieces: list[FrameRange], frames: int) -> list[FrameRange]:
    room = N_FRAMES - sum(end - start for start, end in pieces)
    if not pieces:
        return [(frames, frames + N_FRAMES)]
    start, end = pieces[-1]
    return [*pieces[:-1], (start, end + room)] if end == frames else pieces


def refuse_nan(window: LanguageProbabilities) -> LanguageProbabilities:
    """Return the probabilities.

    Raises:
        NotANumberError: one is NaN, so that any language would be the likeliest.
    """
    if any(map(math.isnan, (window.no_speech, *window.languages.values()))):
        raise NotANumberError
    return window


def average_probabilities(windows: list[LanguageProbabilities]) -> dict[str, float]:
    """The mean probability of each language code, with windows weighted by their probability of speech."""
    weights = [max(MIN_WEIGHT, 1.0 - one.no_speech) for one in windows]
    total = sum(weights)
    return {
        code: sum(weight * one.languages[code] for weight, one in zip(weights, windows, strict=True)) / total
        for code in windows[0].languages
    }


def choose_language(probabilities: dict[str, float], detection: LanguageDetection) -> tuple[str, float]:
    """The most probable candidate with its probability, or the policy's default if it is not probable enough.

    Raises:
        WorkerError: LanguageUncertain if the policy is to fail; ModelInvalid if the model knows none of the candidates.
    """
    known = {
        code: probability
        for code, probability in probabilities.items()
        if not detection.candidates or code in detection.candidates
    }
    if not known:
        message = (
            f"spec.languageDetection.candidates: got {', '.join(detection.candidates)}, expected languages of the model"
        )
        raise WorkerError(reasons.MODEL_INVALID, message)
    total = sum(known.values())
    best = max(known, key=lambda code: known[code])
    probability = known[best] / total if total > 0 else 0.0
    if not detection.candidates:
        probability = known[best]
    if probability >= detection.min_probability or detection.below is UncertainLanguage.ALLOW:
        return best, probability
    if detection.below is UncertainLanguage.DEFAULT and detection.default is not None:
        return detection.default, probabilities.get(detection.default, 0.0)
    message = f"spec.languageDetection.minProbability: got {best!r} with {probability:.2f}, expected at least {detection.min_probability:g}"
    raise WorkerError(reasons.LANGUAGE_UNCERTAIN, message)
