"""Which language is spoken: where windows are looked at, and what is chosen from what the model says of them."""

from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.spec import LanguageDetection, UncertainLanguage
from whisper.audio import N_FRAMES

from transcription_worker.errors import WorkerError


@dataclass(frozen=True, eq=False)
class LanguageProbabilities:
    """The probability of each language code, and that nobody speaks."""

    languages: dict[str, float]
    no_speech: float


# A window in which surely nobody speaks still says a little, so that a file of silence has a language too.
LEAST_WEIGHT = 1e-3


def window_starts(clips: list[tuple[int, int]], count: int) -> list[int]:
    """Frames where windows begin, evenly spread over the clips; one alone is the file's first, as in openai-whisper."""
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


def average_probabilities(heard: list[LanguageProbabilities]) -> dict[str, float]:
    """The mean over windows, weighted by the probability that somebody speaks in them."""
    weights = [max(LEAST_WEIGHT, 1.0 - one.no_speech) for one in heard]
    total = sum(weights)
    return {
        code: sum(weight * one.languages[code] for weight, one in zip(weights, heard, strict=True)) / total
        for code in heard[0].languages
    }


def choose_language(probabilities: dict[str, float], asked: LanguageDetection) -> tuple[str, float]:
    """The likeliest candidate, or what the policy says where it is not likely enough. Raises WorkerError."""
    known = {code: chance for code, chance in probabilities.items() if not asked.candidates or code in asked.candidates}
    if not known:
        message = (
            f"spec.languageDetection.candidates: got {', '.join(asked.candidates)}, expected languages of the model"
        )
        raise WorkerError(reasons.MODEL_INVALID, message)
    total = sum(known.values())
    best = max(known, key=lambda code: known[code])
    chance = known[best] / total if total > 0 else 0.0
    if not asked.candidates:
        chance = known[best]
    if chance >= asked.min_probability or asked.below is UncertainLanguage.ALLOW:
        return best, chance
    if asked.below is UncertainLanguage.DEFAULT and asked.default is not None:
        return asked.default, probabilities.get(asked.default, 0.0)
    message = f"spec.languageDetection.minProbability: got {best!r} with {chance:.2f}, expected at least {asked.min_probability:g}"
    raise WorkerError(reasons.LANGUAGE_UNCERTAIN, message)
