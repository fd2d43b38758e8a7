"""A real apiserver accepts the right options of a transcription, and refuses others with the right messages."""

from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.manifests import job

WORDS = {"wordTimestamps": True}


def detection(**options: Any) -> dict[str, Any]:
    return job(languageDetection=options)


def decoding(**options: Any) -> dict[str, Any]:
    return job(decoding=options)


def clips(*ranges: tuple[float, ...]) -> dict[str, Any]:
    """Return a resource with these clips. A single number is a start without an end."""
    return job(audio={"clips": [dict(zip(("start", "end"), one, strict=False)) for one in ranges]})


def subtitles(**options: Any) -> dict[str, Any]:
    return job(subtitles=options, decoding=WORDS, formats=["json", "vtt"])


def engine(name: str, **spec: Any) -> dict[str, Any]:
    return job(engine=name, **spec)


ACCEPTED = {
    "the first window alone": detection(windows=1),
    "the most windows": detection(windows=20),
    "candidates": detection(candidates=["pt", "en", "no"]),
    "no candidates": detection(candidates=[]),
    "a language below": detection(minProbability=0.6, below="default", default="pt"),
    "no language below": detection(minProbability=1, below="fail", candidates=["pt", "en"]),
    "the defaults of detection with a language": job(
        language="pt", languageDetection={"windows": 3, "minProbability": 0, "below": "allow", "candidates": []}
    ),
    "the defaults of detection with an english model": job(model={"name": "base.en"}, languageDetection={"windows": 3}),
    "each channel": job(audio={"channel": "split"}),
    "the right channel": job(audio={"channel": "right"}),
    "the third track": job(audio={"track": 2}),
    "what is left of a file": job(audio={"truncated": "Accept"}),
    "a clip": clips((0.5, 60)),
    "a clip to the end": clips((90,)),
    "clips that touch": clips((0, 60), (60, 60.01), (120,)),
    "no clips": clips(),
    "the most clips": clips(*((start, start + 0.5) for start in range(99)), (99,)),
    "a prompt before every window": decoding(initialPrompt="Sørensen", carryInitialPrompt=True),
    "a prompt before every window of the library": engine(
        "openai-whisper", decoding={"initialPrompt": "Sørensen", "carryInitialPrompt": True}
    ),
    "skipped silence": decoding(wordTimestamps=True, hallucinationSilenceThreshold=2),
    "silence of any length": decoding(wordTimestamps=True, hallucinationSilenceThreshold=0),
    "suppressed tokens": decoding(suppressTokens=[-1, 11, 51865]),
    "the last token of a model of 99 languages": job(model={"name": "medium"}, decoding={"suppressTokens": [51864]}),
    "Cantonese for a model that knows it": job(model={"name": "large"}, language="yue"),
    "Cantonese for a model of one's own": job(
        model={"volume": {"path": "m.pt", "persistentVolumeClaim": {"claimName": "models"}}}, language="yue"
    ),
    "no suppressed tokens": decoding(suppressTokens=[]),
    "text alone": decoding(withoutTimestamps=True),
    "words without timestamps": decoding(withoutTimestamps=True, wordTimestamps=True),
    "pieces without timestamps": decoding(withoutTimestamps=True, longForm="chunked"),
    "int8 on the cpu": job(decoding={"precision": "int8"}, device={"policy": "CPU"}),
    "bfloat16 on the cpu": job(decoding={"precision": "bfloat16"}, device={"policy": "CPU"}),
    "float16 on a gpu": decoding(precision="float16"),
    "float8 on a gpu": decoding(precision="float8"),
    "float8 where a gpu is preferred": job(decoding={"precision": "float8"}, device={"policy": "PreferGPU"}),
    "float16 for the library": engine("openai-whisper", decoding={"precision": "float16"}),
    "pieces": decoding(longForm="chunked", conditionOnPreviousText=True),
    "another try": job(quality={"policy": "retry"}),
    "the library that fails": engine("openai-whisper", quality={"policy": "fail"}),
    "the library with the default of windows": engine("openai-whisper", languageDetection={"windows": 3}),
    "the library with one window": engine("openai-whisper", languageDetection={"windows": 1}),
    "the library with candidates": engine("openai-whisper", languageDetection={"candidates": ["pt", "en"]}),
    "faster-whisper": engine("faster-whisper", audio={"channel": "left"}, decoding=WORDS),
    "faster-whisper with candidates": engine("faster-whisper", languageDetection={"windows": 5, "candidates": ["pt"]}),
    "faster-whisper with bfloat16": engine("faster-whisper", decoding={"precision": "bfloat16"}),
    "lines": subtitles(maxLineWidth=42, maxLineCount=2, highlightWords=True),
    "lines of any number": subtitles(maxLineWidth=42),
    "words in a subtitle": subtitles(maxWordsPerLine=3),
    "subtitles without a wish": job(subtitles={"highlightWords": False}),
}

LANGUAGE = ["spec.languageDetection:", "expected language auto or none of them"]
BATCHED = "expected batched, or none of them"
ENGLISH = ["spec.languageDetection:", "with model small.en, expected a model without .en or none of them"]
OVERLAP = ["spec.audio.clips:", "expected clips without overlap"]
# The manifest, and what the refusal must contain: the field, the value and what was expected.
REFUSED = {
    "no window": (detection(windows=0), ["spec.languageDetection.windows", "0", "greater than or equal to 1"]),
    "too many windows": (detection(windows=21), ["spec.languageDetection.windows", "21", "less than or equal to 20"]),
    "an unknown candidate": (detection(candidates=["pt", "klingon"]), ["spec.languageDetection.candidates[1]"]),
    "auto as a candidate": (detection(candidates=["auto"]), ["spec.languageDetection.candidates[0]", '"auto"']),
    "a candidate twice": (
        detection(candidates=["pt", "en", "pt"]),
        ["spec.languageDetection.candidates[2]", "Duplicate", '"pt"'],
    ),
    "a probability above 1": (
        detection(minProbability=1.5, below="fail"),
        ["spec.languageDetection.minProbability", "1.5", "less than or equal to 1"],
    ),
    "an unknown way out": (detection(below="guess"), ["spec.languageDetection.below", '"guess"', '"allow"', '"fail"']),
    "no language to fall back to": (
        detection(minProbability=0.5, below="default"),
        ["spec.languageDetection.default", "got none with below default", "expected the code of a language"],
    ),
    "a language that nothing falls back to": (
        detection(minProbability=0.5, below="fail", default="pt"),
        ["spec.languageDetection.default", "got pt with below fail", "expected none, or below default"],
    ),
    "auto to fall back to": (
        detection(minProbability=0.5, below="default", default="auto"),
        ["spec.languageDetection.default", '"auto"', '"pt"'],
    ),
    "a way out that is never taken": (
        detection(below="fail"),
        ["spec.languageDetection.minProbability", "got 0 with below fail", "expected more than 0, or below allow"],
    ),
    "a minimum that is not kept": (
        detection(minProbability=0.8),
        ["spec.languageDetection.below", "got allow with minProbability 0.8", "expected default or fail"],
    ),
    "windows for a known language": (
        job(language="pt", languageDetection={"windows": 5}),
        [*LANGUAGE, "windows 5", "with language pt"],
    ),
    "candidates for a known language": (
        job(language="pt", languageDetection={"candidates": ["pt", "en"]}),
        [*LANGUAGE, "candidates pt, en", "with language pt"],
    ),
    "a minimum for a known language": (
        job(language="pt", languageDetection={"minProbability": 0.5, "below": "default", "default": "en"}),
        [*LANGUAGE, 'got ["minProbability 0.5", "default en"] with language pt'],
    ),
    "candidates for an english model": (
        job(model={"name": "small.en"}, languageDetection={"candidates": ["en", "pt"]}),
        [*ENGLISH, "candidates en, pt"],
    ),
    "windows for an english model": (
        job(model={"name": "small.en"}, languageDetection={"windows": 1}),
        [*ENGLISH, "windows 1"],
    ),
    "windows for the library": (
        engine("openai-whisper", languageDetection={"windows": 5}),
        ["spec.engine", 'got openai-whisper with ["languageDetection.windows 5"]', BATCHED],
    ),
    "an unknown channel": (job(audio={"channel": "centre"}), ["spec.audio.channel", '"centre"', '"split"']),
    "a track before the first": (job(audio={"track": -1}), ["spec.audio.track", "-1", "greater than or equal to 0"]),
    "an unknown way with cut files": (
        job(audio={"truncated": "accept"}),
        ["spec.audio.truncated", '"accept"', '"Fail"'],
    ),
    "a clip before the start": (clips((-1, 5)), ["spec.audio.clips[0].start", "-1", "greater than or equal to 0"]),
    "a clip beyond a day": (clips((0, 86401)), ["spec.audio.clips[0].end", "86401", "less than or equal to 86400"]),
    "a clip without a start": (job(audio={"clips": [{"end": 5}]}), ["spec.audio.clips[0].start", "Required"]),
    "a clip that ends before it begins": (
        clips((0, 5), (20, 10)),
        ["spec.audio.clips[1].end", "got 10 with start 20", "expected an end after the start"],
    ),
    "a clip of no length": (clips((5, 5)), ["spec.audio.clips[0].end", "got 5 with start 5"]),
    "clips in another order": (
        clips((60, 90), (0, 30)),
        ["spec.audio.clips:", "got a clip at 0 after a later one", "expected clips in ascending order"],
    ),
    "clips that overlap": (clips((0, 60), (59.5, 90)), [*OVERLAP, "got a clip at 59.5"]),
    "a clip within another": (clips((0, 60), (10, 20), (70, 80)), [*OVERLAP, "got a clip at 10"]),
    "a clip twice": (clips((5, 10), (5, 10)), [*OVERLAP, "got a clip at 5"]),
    "a clip to the end before another": (
        clips((0, 10), (20,), (30, 40)),
        ["spec.audio.clips:", "got no end for the clip at 20", "expected one: the last clip alone may have none"],
    ),
    "too many clips": (
        clips(*((start, start + 0.5) for start in range(101))),
        ["spec.audio.clips", "101", "must have at most 100 items"],
    ),
    "an unknown engine": (engine("whisperx"), ["spec.engine", '"whisperx"', '"batched", "openai-whisper"']),
    "a prompt that is not there": (
        decoding(carryInitialPrompt=True),
        ["spec.decoding.carryInitialPrompt", "got true without initialPrompt", "expected an initialPrompt"],
    ),
    "a prompt before every window of faster-whisper": (
        engine("faster-whisper", decoding={"initialPrompt": "Sørensen", "carryInitialPrompt": True}),
        ["spec.engine", 'got faster-whisper with ["decoding.carryInitialPrompt true"]', BATCHED],
    ),
    "silence without words": (
        decoding(hallucinationSilenceThreshold=2.5),
        [
            "spec.decoding.hallucinationSilenceThreshold",
            "got 2.5 without wordTimestamps",
            "expected wordTimestamps true",
        ],
    ),
    "silence beyond a window": (
        decoding(wordTimestamps=True, hallucinationSilenceThreshold=31),
        ["spec.decoding.hallucinationSilenceThreshold", "31", "less than or equal to 30"],
    ),
    "a token that is none": (decoding(suppressTokens=[-2]), ["spec.decoding.suppressTokens[0]", "-2"]),
    "a token beyond every vocabulary": (decoding(suppressTokens=[51866]), ["spec.decoding.suppressTokens[0]", "51866"]),
    "a token beyond the model's vocabulary": (
        job(model={"name": "medium"}, decoding={"suppressTokens": [-1, 51865]}),
        ["spec.decoding.suppressTokens", "got 51865 with model medium", "expected tokens below 51865"],
    ),
    "a token beyond the vocabulary of english": (
        job(model={"name": "tiny.en"}, decoding={"suppressTokens": [51864]}),
        ["spec.decoding.suppressTokens", "got 51864 with model tiny.en", "expected tokens below 51864"],
    ),
    "Cantonese for a model that lacks it": (
        job(model={"name": "large-v2"}, language="yue"),
        ["spec.language", "got yue with model large-v2", "expected a model that knows it"],
    ),
    "Cantonese to fall back to": (
        job(
            model={"name": "small"},
            languageDetection={"minProbability": 0.5, "below": "default", "default": "yue"},
        ),
        ["spec.languageDetection:", "got default yue with model small", "expected a model that knows it"],
    ),
    "a temperature at which numbers overflow": (
        decoding(temperatures=[0, 1e-40]),
        ["spec.decoding.temperatures", "expected 0 or at least 0.01"],
    ),
    "a token twice": (decoding(suppressTokens=[-1, 5, 5]), ["spec.decoding.suppressTokens[2]", "Duplicate", "5"]),
    "too many tokens": (decoding(suppressTokens=[*range(257)]), ["spec.decoding.suppressTokens", "257", "at most 256"]),
    "an unknown precision": (decoding(precision="int4"), ["spec.decoding.precision", '"int4"', '"int8"']),
    "int8 where a GPU may be used": (
        decoding(precision="int8"),
        ["spec.decoding.precision", "got int8 with device.policy RequireGPU", "or device.policy CPU"],
    ),
    "int8 for the library": (
        engine("openai-whisper", decoding={"precision": "int8"}, device={"policy": "CPU"}),
        ["spec.decoding.precision", "got int8 with engine openai-whisper", "expected auto, float32 or float16"],
    ),
    "bfloat16 for the library": (
        engine("openai-whisper", decoding={"precision": "bfloat16"}),
        ["spec.decoding.precision", "got bfloat16 with engine openai-whisper", "expected auto, float32 or float16"],
    ),
    "float16 on the cpu": (
        job(decoding={"precision": "float16"}, device={"policy": "CPU"}),
        ["spec.decoding.precision", "got float16 with device.policy CPU", "expected auto, float32, bfloat16 or int8"],
    ),
    "float8 on the cpu": (
        job(decoding={"precision": "float8"}, device={"policy": "CPU"}),
        ["spec.decoding.precision", "got float8 with device.policy CPU", "expected auto, float32, bfloat16 or int8"],
    ),
    "float8 for the library": (
        engine("openai-whisper", decoding={"precision": "float8"}),
        ["spec.decoding.precision", "got float8 with engine openai-whisper, expected engine batched"],
    ),
    "float8 for faster-whisper": (
        engine("faster-whisper", decoding={"precision": "float8"}),
        ["spec.decoding.precision", "got float8 with engine faster-whisper, expected engine batched"],
    ),
    "an unknown way through a long file": (decoding(longForm="vad"), ["spec.decoding.longForm", '"vad"', '"chunked"']),
    "pieces for the library": (
        engine("openai-whisper", decoding={"longForm": "chunked"}),
        ["spec.engine", 'got openai-whisper with ["decoding.longForm chunked"]', BATCHED],
    ),
    "pieces for faster-whisper": (
        engine("faster-whisper", decoding={"longForm": "chunked"}),
        ["spec.engine", 'got faster-whisper with ["decoding.longForm chunked"]', BATCHED],
    ),
    "several options for the library": (
        engine("openai-whisper", decoding={"longForm": "chunked"}, quality={"policy": "retry"}),
        ["spec.engine", 'got openai-whisper with ["decoding.longForm chunked", "quality.policy retry"]', BATCHED],
    ),
    "an unknown policy of quality": (job(quality={"policy": "ignore"}), ["spec.quality.policy", '"ignore"', '"retry"']),
    "another try of the library": (
        engine("openai-whisper", quality={"policy": "retry"}),
        ["spec.engine", 'got openai-whisper with ["quality.policy retry"]', BATCHED],
    ),
    "another try of faster-whisper": (
        engine("faster-whisper", quality={"policy": "retry"}),
        ["spec.engine", 'got faster-whisper with ["quality.policy retry"]', BATCHED],
    ),
    "lines without words": (
        job(subtitles={"maxLineWidth": 42, "maxLineCount": 2}, formats=["srt"]),
        ["spec.subtitles:", 'got ["maxLineWidth 42", "maxLineCount 2"] without decoding.wordTimestamps', "expected"],
    ),
    "underlined words without words": (
        job(subtitles={"highlightWords": True}, formats=["vtt"]),
        ["spec.subtitles:", 'got ["highlightWords true"] without decoding.wordTimestamps', "expected"],
    ),
    "lines of no subtitles": (
        job(subtitles={"maxWordsPerLine": 3}, formats=["json", "tsv"], decoding=WORDS),
        ["spec.subtitles:", 'got ["maxWordsPerLine 3"] with formats json, tsv', "expected srt or vtt among formats"],
    ),
    "lines without a width": (
        subtitles(maxLineCount=2),
        ["spec.subtitles.maxLineCount", "got 2 without maxLineWidth", "expected a maxLineWidth or no maxLineCount"],
    ),
    "words and a width": (
        subtitles(maxLineWidth=42, maxWordsPerLine=3),
        ["spec.subtitles.maxWordsPerLine", "got 3 with maxLineWidth 42", "expected one of the two"],
    ),
    "lines of no width": (
        subtitles(maxLineWidth=0),
        ["spec.subtitles.maxLineWidth", "0", "greater than or equal to 1"],
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_the_apiserver_accepts(kubectl: Kubectl, case: str) -> None:
    kubectl("create", "--dry-run=server", "-f", "-", given=ACCEPTED[case])


@pytest.mark.parametrize("case", REFUSED)
def test_the_apiserver_refuses_and_names_field_value_and_what_was_expected(kubectl: Kubectl, case: str) -> None:
    manifest, parts = REFUSED[case]
    done = kubectl("create", "--dry-run=server", "-f", "-", given=manifest, check=False)
    assert done.returncode != 0, "accepted"
    assert [part for part in parts if part not in done.stderr] == [], done.stderr


def test_what_is_refused_is_refused_once_and_for_what_it_is(kubectl: Kubectl) -> None:
    """A rule whose evaluation fails refuses as well, but with a message of its own."""
    for manifest, _ in REFUSED.values():
        said = kubectl("create", "--dry-run=server", "-f", "-", given=manifest, check=False).stderr
        assert "no such key" not in said
        assert "evaluation error" not in said
