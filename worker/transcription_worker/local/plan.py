"""Join the options of the local command to a plan, and refuse options that contradict each other."""

import argparse
import dataclasses
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transcription_api.model import CANNOT_TRANSLATE, CANTONESE, ENGLISH_ALONE, KNOW_CANTONESE, MODEL_NAMES
from transcription_api.spec import (
    DEFAULT_BEAM_SIZE,
    DEFAULT_BEST_OF,
    AudioSelection,
    Decoding,
    DevicePolicy,
    EngineKind,
    Format,
    LanguageDetection,
    Precision,
    Quality,
    Subtitles,
    TaskKind,
    UncertainLanguage,
)

from transcription_worker.engines.protocol import Options
from transcription_worker.local.flags import given_part

DETECTION = LanguageDetection()
LEAST_TEMPERATURE = 0.01  # above 0; below it numbers overflow


@dataclass(frozen=True)
class Plan:
    """The command's options in the pipeline's terms.

    `batch` and `threads` are None for as many as there is room for; `options` hold for every file.
    """

    files: tuple[Path, ...]
    output_dir: Path
    formats: tuple[Format, ...]
    recursive: bool
    skip_existing: bool
    model: str
    model_dir: Path
    policy: DevicePolicy
    engine: EngineKind
    batch: int | None
    threads: int | None
    audio: AudioSelection
    subtitles: Subtitles
    options: Options


def make_plan(given: argparse.Namespace) -> Plan:
    """Return the plan for parsed arguments.

    Raises:
        ValueError: Two options contradict each other. The message has the option, its value and what was expected.
    """
    for wrong in contradictions(given):
        raise ValueError(wrong)
    audio = given_part(AudioSelection, given)
    return Plan(
        files=tuple(given.file),
        output_dir=given.output_dir,
        formats=given.output_format,
        recursive=given.recursive,
        skip_existing=given.skip_existing,
        model=given.model,
        model_dir=given.model_dir or whisper_cache(),
        policy=DevicePolicy.CPU if given.device == "cpu" else DevicePolicy.REQUIRE_GPU,
        engine=EngineKind(given.engine),
        batch=given.batch_size,
        threads=given.threads or None,
        audio=audio,
        subtitles=given_part(Subtitles, given),
        options=Options(
            task=TaskKind(given.task),
            language=given.language,
            decoding=_decoding(given),
            detection=given_part(LanguageDetection, given),
            clips=audio.clips,
            quality=given_part(Quality, given),
        ),
    )


def whisper_cache() -> Path:
    """Return the folder where openai-whisper keeps its downloads, so that what it has fetched is not fetched again."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path(os.environ.get("HOME", "/")) / ".cache")
    return Path(base) / "whisper"


def _decoding(given: argparse.Namespace) -> Decoding:
    """Fields that whisper's command says in another way than the spec are read here, all others by given_part."""
    return dataclasses.replace(
        given_part(Decoding, given),
        temperatures=temperatures(given.temperature, given.temperature_increment_on_fallback),
        beam_size=_counted(given.beam_size, DEFAULT_BEAM_SIZE),
        best_of=_counted(given.best_of, DEFAULT_BEST_OF),
        # A threshold that nothing is above is none.
        compression_ratio_threshold=_or_infinity(given.compression_ratio_threshold),
        no_speech_threshold=_or_infinity(given.no_speech_threshold),
        precision=_precision(given),
    )


def _counted(value: int | None, default: int) -> int | None:
    """Return the count for the spec. whisper's None means one beam or sample; its default is left to the spec's own."""
    return None if value == default else value or 1


def temperatures(first: float, step: float | None) -> tuple[float, ...]:
    """Return the temperatures that whisper's command counts up, with its rounding errors."""
    return (first,) if step is None else tuple(float(value) for value in np.arange(first, 1.0 + 1e-6, step))


def _or_infinity(value: float | None) -> float:
    return math.inf if value is None else value


def _precision(given: argparse.Namespace) -> Precision:
    if given.precision is not None:
        return Precision(given.precision)
    return Precision.FLOAT32 if given.fp16 is False else Precision.AUTO


def contradictions(given: argparse.Namespace) -> Iterator[str]:
    """Yield a sentence for each contradiction, with the option, its value and what was expected.

    The rules are those of the resource's schema: see hack/crd/rules.yaml.
    """
    yield from _of_model(given)
    yield from _of_language(given)
    yield from _of_words(given)
    if given.carry_initial_prompt and not given.initial_prompt:
        yield "--carry-initial-prompt: got True without --initial-prompt, expected both or neither"
    if given.fp16 is not None and given.precision not in (None, "auto" if given.fp16 else "float32"):
        yield f"--fp16: got {given.fp16} with --precision {given.precision}, expected one of the two"
    if given.batch_size is not None and given.engine != EngineKind.BATCHED.value:
        yield f"--batch-size: got {given.batch_size} with --engine {given.engine}, expected --engine batched"
    if 0 < given.temperature < LEAST_TEMPERATURE:
        yield f"--temperature: got {given.temperature:g}, expected 0 or at least {LEAST_TEMPERATURE:g}"
    if given.patience is not None and given.patience * (given.beam_size or 1) <= 0.5:
        yield f"--patience: got {given.patience:g} with {given.beam_size or 1} beams, expected a product above 0.5"


def _of_model(given: argparse.Namespace) -> Iterator[str]:
    if given.task == TaskKind.TRANSLATE.value and given.model in CANNOT_TRANSLATE:
        yield f"--task: got translate with --model {given.model}, expected a model that can, such as large-v3 or medium"
    if given.model in MODEL_NAMES and given.model not in KNOW_CANTONESE:
        for name, language in (("--language", given.language), ("--language-default", given.language_default)):
            if language == CANTONESE:
                yield f"{name}: got yue with --model {given.model}, expected a model that knows it, such as large-v3 or turbo"
    if not given.model.endswith(ENGLISH_ALONE):
        return
    if given.task == TaskKind.TRANSLATE.value:
        yield f"--task: got translate with --model {given.model}, expected a model without .en: those know English alone"
    if given.language not in (None, "en"):
        yield f"--language: got {given.language} with --model {given.model}, expected en or auto, or a model without .en"


def _of_language(given: argparse.Namespace) -> Iterator[str]:
    chosen: dict[str, Any] = {
        "--language-windows": given.language_windows != DETECTION.windows,
        "--language-candidates": given.language_candidates is not None,
        "--language-min-probability": given.language_min_probability != DETECTION.min_probability,
    }
    if given.language is not None and any(chosen.values()):
        named = ", ".join(name for name, changed in chosen.items() if changed)
        yield f"--language: got {given.language} with {named}, expected auto, or none of them"
    allowed = given.language_below == UncertainLanguage.ALLOW.value
    if allowed == (given.language_min_probability > 0):
        least = f"{given.language_min_probability:g}"
        yield f"--language-below: got {given.language_below} with --language-min-probability {least}, " + (
            "expected default or fail: with allow it changes nothing" if allowed else "expected more than 0"
        )
    if (given.language_below == UncertainLanguage.DEFAULT.value) != (given.language_default is not None):
        default = given.language_default or "none"
        yield f"--language-default: got {default} with --language-below {given.language_below}, expected one with default alone"


def _of_words(given: argparse.Namespace) -> Iterator[str]:
    needing = {
        "--highlight-words": given.highlight_words,
        "--max-line-width": given.max_line_width,
        "--max-line-count": given.max_line_count,
        "--max-words-per-line": given.max_words_per_line,
        "--hallucination-silence-threshold": given.hallucination_silence_threshold,
    }
    for name, value in needing.items():
        if value is not None and value is not False and not given.word_timestamps:
            yield f"{name}: got {value} without --word-timestamps, expected both"
    if given.max_line_count and not given.max_line_width:
        yield f"--max-line-count: got {given.max_line_count} without --max-line-width, expected both"
    if given.max_words_per_line and given.max_line_width:
        both = f"--max-words-per-line: got {given.max_words_per_line} with --max-line-width {given.max_line_width}"
        yield f"{both}, expected one of the two"
    subtitles = {Format.SRT, Format.VTT} & set(given.output_format)
    if any((given.highlight_words, given.max_line_width, given.max_words_per_line)) and not subtitles:
        named = ",".join(fmt.value for fmt in given.output_format)
        yield f"--output-format: got {named} with options of subtitles, expected srt or vtt among them"
