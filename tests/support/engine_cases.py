"""Define inputs on which the batched engine must equal openai-whisper: lengths, languages, sounds and options."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from transcription_api.spec import Clip, Decoding, LanguageDetection, TaskKind
from transcription_worker.engines.protocol import InMemory, Input, Options, Outcome, Samples, Transcript

from tests.support.speech import SAMPLE_RATE, noise, speak
from tests.support.transcript_differences import differences

GREEDY: dict[str, Any] = {"temperatures": (0.0,), "beam_size": 1}
BEAM: dict[str, Any] = {"temperatures": (0.0,)}  # of 5
SHORT = 6.0  # seconds
WORDS: dict[str, Any] = GREEDY | {"word_timestamps": True}


@dataclass(frozen=True)
class Case:
    """One input. `samples` makes its audio when it is needed."""

    name: str
    samples: Callable[[], Samples]
    options: Options


def options(
    decoding: dict[str, Any],
    language: str | None = None,
    task: TaskKind = TaskKind.TRANSCRIBE,
    clips: tuple[Clip, ...] = (),
) -> Options:
    """Return the options of a case. One window decides on the language, as in openai-whisper."""
    return Options(task, language, Decoding(**decoding), LanguageDetection(windows=1), clips)


@cache
def spoken(language: str, seed: int, seconds: float) -> Samples:
    """Return held-out speech of exactly this length."""
    samples = speak(language, seed, max(2.0, seconds))[0]
    return samples[: round(seconds * SAMPLE_RATE)]


def speech(language: str, seed: int, seconds: float) -> Callable[[], Samples]:
    return lambda: spoken(language, seed, seconds)


# Makes speech of a language, a seed and seconds.
Voice = Callable[[str, int, float], Callable[[], Samples]]


def silence(seconds: float) -> Callable[[], Samples]:
    return lambda: np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def tone(seconds: float) -> Callable[[], Samples]:
    def make() -> Samples:
        times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        tones = np.sin(2 * np.pi * 440 * times) + np.sin(2 * np.pi * 660 * times)
        return (tones * 0.2).astype(np.float32)

    return make


def changed(make: Callable[[], Samples], change: Callable[[Samples], Any]) -> Callable[[], Samples]:
    return lambda: change(make()).astype(np.float32)


def joined(*parts: Callable[[], Samples]) -> Callable[[], Samples]:
    return lambda: np.concatenate([part() for part in parts])


def clipped(samples: Samples) -> Samples:
    return np.clip(samples * 20, -1, 1)


def long_cases(say: Voice = speech) -> list[Case]:
    """Return files of many windows, to test what one window passes on to the next."""
    return [
        Case("2.5 min of English", say("en", 911, 150), options(GREEDY)),
        Case("2 min of Portuguese without conditioning", say("pt", 912, 120), options(GREEDY | {"condition_on_previous_text": False})),
        Case("4 min of English with words", say("en", 913, 240), options(WORDS)),
        Case("3 windows, beams", say("pt", 914, 65), options(BEAM)),
    ]  # fmt: skip


def length_cases(say: Voice = speech) -> list[Case]:
    """Return empty and very short files, and lengths at the edges of a window."""
    lengths = (0.0, 0.01, 0.2, 2.0, 29.9, 30.0, 30.1)
    greedy = [Case(f"{seconds} s", say("en", 920, seconds), options(GREEDY)) for seconds in lengths]
    beams = [Case(f"{seconds} s, beams", say("pt", 921, seconds), options(BEAM)) for seconds in (0.2, 2.0, 30.1)]
    words = [Case(f"{seconds} s, words", say("en", 922, seconds), options(WORDS)) for seconds in (0.2, 2.0, 29.9, 30.1)]
    return greedy + beams + words


def sound_cases(say: Voice = speech) -> list[Case]:
    """Return audio other than plain speech."""
    english, portuguese = say("en", 930, 20), say("pt", 931, 25)
    both = joined(english, silence(3), portuguese)
    return [
        Case("both languages", both, options(GREEDY)),
        Case("both languages, beams and words", both, options(BEAM | {"word_timestamps": True})),
        Case("silence", silence(40), options(GREEDY)),
        Case("silence, beams", silence(5), options(BEAM)),
        Case("silence, and no threshold passes it over", silence(10), options(GREEDY | {"no_speech_threshold": 1.0})),
        Case("noise", lambda: noise(940, 35), options(GREEDY)),
        Case("noise with words", lambda: noise(941, 10), options(WORDS | {"no_speech_threshold": 1.0})),
        Case("tones", tone(33), options(GREEDY)),
        Case("clipped", changed(english, clipped), options(GREEDY)),
        Case("very quiet", changed(english, lambda samples: samples * 0.001), options(GREEDY)),
        Case("loud after quiet", joined(changed(english, lambda samples: samples * 0.01), portuguese), options(GREEDY)),
        Case("speech between long silences", joined(silence(35), english, silence(40), portuguese), options(WORDS)),
    ]  # fmt: skip


def option_cases(say: Voice = speech) -> list[Case]:
    """Return a case for each option that whisper.transcribe has."""
    two = say("en", 950, 36)
    variants: dict[str, dict[str, Any]] = {
        "a prompt": GREEDY | {"initial_prompt": "The red house and the blue river."},
        "a prompt before every window": GREEDY | {"initial_prompt": "The red house.", "carry_initial_prompt": True},
        "a long prompt": GREEDY | {"initial_prompt": "One two three four five six seven eight nine ten. " * 40},
        "no conditioning, beams": BEAM | {"condition_on_previous_text": False},
        "patience": BEAM | {"beam_size": 3, "patience": 2.0},
        "impatience": BEAM | {"patience": 0.4},
        "a length penalty": BEAM | {"length_penalty": 0.6},
        "no timestamps": GREEDY | {"without_timestamps": True},
        "no timestamps, beams": BEAM | {"without_timestamps": True},
        "nothing suppressed": GREEDY | {"suppress_tokens": ()},
        "a word suppressed": GREEDY | {"suppress_tokens": (-1, 2182, 264)},
        "silence before words skipped": WORDS | {"hallucination_silence_threshold": 1.0},
        "words without conditioning": WORDS | {"condition_on_previous_text": False},
    }
    cases = [Case(name, two, options(decoding)) for name, decoding in variants.items()]
    gaps = joined(silence(8), two, silence(12), two)
    hallucinations = WORDS | {"hallucination_silence_threshold": 0.5, "no_speech_threshold": 1.0}
    return [
        *cases,
        Case("gaps skipped", gaps, options(hallucinations)),
        Case("a language given", two, options(GREEDY, language="en")),
        Case("another language given", two, options(GREEDY, language="pt")),
        Case("translation", say("pt", 951, 31), options(GREEDY, task=TaskKind.TRANSLATE)),
        Case("one clip", two, options(GREEDY, clips=(Clip(12.3, 30.01),))),
        Case("two clips, the last open", two, options(WORDS, clips=(Clip(1.0, 14.5), Clip(33.0)))),
        Case("a clip of more than a window", say("en", 952, 50), options(BEAM, clips=(Clip(3.21, 40.0),))),
    ]


def all_cases(say: Voice = speech) -> list[Case]:
    return long_cases(say) + length_cases(say) + sound_cases(say) + option_cases(say)


def without_long() -> list[Case]:
    """Return a few short cases of each kind, for slow models."""
    wanted = ("2.0 s", "30.1 s, words", "2.0 s, beams", "a prompt")
    return [case for case in length_cases() + option_cases() if case.name in wanted]


def with_fallback(case: Case, **decoding: Any) -> Case:
    """Return the case with all temperatures of the fallback."""
    temperatures = Decoding().temperatures
    changed_decoding = dataclasses.replace(case.options.decoding, temperatures=temperatures, **decoding)
    return dataclasses.replace(case, options=dataclasses.replace(case.options, decoding=changed_decoding))


def inputs(cases: list[Case]) -> Iterator[Input]:
    for case in cases:
        yield Input(case.name, lambda case=case: InMemory(case.samples()), case.options)  # type: ignore[misc]


def transcripts(engine: Any, cases: list[Case]) -> dict[str, Transcript]:
    return {outcome.id: outcome.value() for outcome in engine.transcribe(inputs(cases))}


def all_differences(expected: dict[str, Transcript], found: dict[str, Transcript]) -> list[str]:
    """Return the differences of all inputs, for the message of a failure."""
    assert set(found) == set(expected)
    return [f"{name}: {line}" for name, one in expected.items() for line in differences(one, found[name])]


def item(name: str, samples: Samples, asked: Options | None = None) -> Input:
    return Input(name, lambda: InMemory(samples), asked or options(GREEDY, language="en"))


def by_id(outcomes: Iterator[Outcome]) -> dict[str, Outcome]:
    return {outcome.id: outcome for outcome in outcomes}
