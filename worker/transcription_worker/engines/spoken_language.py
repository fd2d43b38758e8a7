"""Language detection: which windows are examined, and which language is chosen from the model's probabilities."""

from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.spec import LanguageDetection, UncertainLanguage
from whisper.audio import N_FRAMES

from transcription_worker.errors import WorkerError


@dataclass(frozen=True, eq=False)
class LanguageProbabilities:
    """The probability of each language code in a window, and that nobody speaks in it."""

    languages: dict[str, float]
    no_speech: float


# A window without speech still has a small weight, so that a file of silence has a language too.
MIN_WEIGHT = 1e-3


def window_starts(clips: list[tuple[int, int]], count: int) -> list[int]:
    """Frames where `count` windows begin, evenly spread over the clips. A single one begins the file, as in openai-whisper.

    clips: frames [start, end). There are fewer windows if the clips are shorter.
    """
    total = sum(end - start for start, end in clips)
    count = min(count, -(-total // N_FRAMES))
    if count <= 1:
        return [0]
    places = [round(index * (total - N_FRAMES) / (count - 1)) for index in range(count)]
    return [_in_clips(place, clips) for place in places]


def _in_clips(place: int, clips: list[tuple[int, int]]) -> int:
    for start, end in clips:
        if place < end - start:
            return start + place
        place -= end - start
    return clips[-1][1]


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
