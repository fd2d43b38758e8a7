"""Options of the local command: openai-whisper's names where they mean the same, and ours beside them."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcription_api.spec import (
    DEFAULT_BEAM_SIZE,
    DEFAULT_BEST_OF,
    DEFAULT_MODEL,
    Channel,
    Decoding,
    EngineKind,
    Format,
    LanguageDetection,
    LongForm,
    Precision,
    QualityPolicy,
    TaskKind,
    UncertainLanguage,
)

from transcription_worker.errors import WorkerError
from transcription_worker.local import values

DEFAULTS = Decoding()
DETECTION = LanguageDetection()


@dataclass(frozen=True)
class Flag:
    """One option. `name` without its dashes; `shown`: its default for people, where that is not the value itself."""

    name: str
    help: str
    type: Callable[[str], Any] = str
    default: Any = None
    choices: tuple[str, ...] = ()
    short: str | None = None
    switch: bool = False  # --name alone means True


def _choices(kind: Any) -> tuple[str, ...]:
    return tuple(member.value for member in kind)


GROUPS: dict[str, tuple[Flag, ...]] = {
    "files": (
        Flag("output-dir", "folder of the results; made where it is missing", Path, Path(), short="-o"),
        Flag(
            "output-format",
            f"{', '.join(_choices(Format))}, several of them separated by commas, or all",
            values.formats,
            "all",
            short="-f",
        ),
        Flag("recursive", "folders below a folder too; results lie in the same folders below the output", switch=True),
        Flag(
            "skip-existing", "leave out files whose results are all there: goes on after an interruption", switch=True
        ),
    ),
    "model and device": (
        Flag("model", "name of a model, or path of its file", default=DEFAULT_MODEL),
        Flag("model-dir", "folder of downloaded models; without it whisper's own, ~/.cache/whisper", Path),
        Flag(
            "device",
            "cuda needs a GPU and never falls back to the CPU; cpu asks for none",
            default="cuda",
            choices=("cuda", "cpu"),
        ),
        Flag(
            "engine",
            "what transcribes: whisper's algorithm for many files at a time, the library itself, or CTranslate2 where it is installed",
            default=EngineKind.BATCHED.value,
            choices=_choices(EngineKind),
        ),
        Flag(
            "batch-size",
            "windows of 30 s decoded together, with engine batched; without it as many as there is memory for",
            values.whole(1, 1024),
        ),
        Flag(
            "precision",
            "numbers that the model is computed in; without it auto: float32 on the CPU, float16 on a GPU",
            choices=_choices(Precision),
        ),
        Flag("fp16", "True is --precision auto, False is --precision float32", values.truth),
        Flag("threads", "threads of the CPU; 0 for as many as may be used", values.whole(0, 1024), 0),
    ),
    "speech": (
        Flag(
            "task",
            "transcribe keeps the language, translate gives English",
            default=TaskKind.TRANSCRIBE.value,
            choices=_choices(TaskKind),
        ),
        Flag("language", "code or English name of the spoken language; auto finds it", values.language, "auto"),
        Flag(
            "language-windows",
            "windows of 30 s to find the language in, spread over the file; whisper's command looks at the first alone",
            values.whole(1, 20),
            DETECTION.windows,
        ),
        Flag(
            "language-candidates",
            "languages to choose from, separated by commas; without it all that the model knows",
            values.languages,
        ),
        Flag(
            "language-min-probability",
            "least probability of the language found",
            values.number(0, 1),
            DETECTION.min_probability,
        ),
        Flag(
            "language-below",
            "what to do below it: take the likeliest, take --language-default, or fail the file",
            default=DETECTION.below.value,
            choices=_choices(UncertainLanguage),
        ),
        Flag("language-default", "language of --language-below default", values.language_code),
        Flag(
            "channel",
            "all channels mixed to one, the first, the second, or each on its own as NAME.ch0, NAME.ch1, ...",
            default=Channel.MIX.value,
            choices=_choices(Channel),
        ),
        Flag(
            "clip-timestamps",
            "parts of each file as start,end,start,end,... in seconds; the last end may be left out",
            values.clips,
            "0",
        ),
        Flag(
            "long-form",
            "sequential gives whisper's text; chunked cuts at silences, faster for few long files, with another text",
            default=DEFAULTS.long_form.value,
            choices=_choices(LongForm),
        ),
        Flag(
            "quality",
            "what becomes of text that looks wrong: flagged in the json, decoded again, or the file fails once it is written",
            default=QualityPolicy.WARN.value,
            choices=_choices(QualityPolicy),
        ),
    ),
    "decoding": (
        Flag("temperature", "the first temperature tried", values.number(0, 1), 0.0),
        Flag(
            "temperature-increment-on-fallback",
            "step to the next temperature, up to 1, while the text does not pass the thresholds; None tries the first alone",
            values.number(0.05, 1, none=True),
            0.2,
        ),
        Flag("best-of", "samples above temperature 0", values.whole(1, 50, none=True), DEFAULT_BEST_OF),
        Flag(
            "beam-size",
            "beams at temperature 0; None and 1 are greedy",
            values.whole(1, 50, none=True),
            DEFAULT_BEAM_SIZE,
        ),
        Flag(
            "patience",
            "how long beam search goes on, as a factor of the beam size; without it 1",
            values.number(0.1, 10, none=True),
        ),
        Flag(
            "length-penalty",
            "exponent of the length penalty; without it scores are divided by the length",
            values.number(0, 1, none=True),
        ),
        Flag(
            "suppress-tokens",
            "never given; -1 stands for symbols that nobody speaks. Several as in --suppress-tokens=-1,50256",
            values.tokens,
            "-1",
        ),
        Flag("initial-prompt", "text given to the model before the first window, such as names"),
        Flag("carry-initial-prompt", "give the initial prompt before every window", values.truth, False),
        Flag(
            "condition-on-previous-text",
            "give each window the text before it",
            values.truth,
            DEFAULTS.condition_on_previous_text,
        ),
        Flag(
            "compression-ratio-threshold",
            "text that gzip shrinks by more is repetitive and is decoded again; None: not looked at",
            values.number(0, 1000, none=True),
            DEFAULTS.compression_ratio_threshold,
        ),
        Flag(
            "logprob-threshold",
            "text of a lower average log probability is decoded again",
            values.number(-1000, 0),
            DEFAULTS.logprob_threshold,
        ),
        Flag(
            "no-speech-threshold",
            "windows of a higher probability of no speech are silent, where the text is improbable too; None: not looked at",
            values.number(0, 1, none=True),
            DEFAULTS.no_speech_threshold,
        ),
        Flag(
            "hallucination-silence-threshold",
            "seconds of silence that are skipped where text about it looks invented, with --word-timestamps",
            values.number(0, 30, none=True),
        ),
    ),
    "words and subtitles": (
        Flag("word-timestamps", "start and end of each word; takes longer", values.truth, False),
        Flag(
            "highlight-words",
            "underline each word of srt and vtt while it is spoken, with --word-timestamps",
            values.truth,
            False,
        ),
        Flag(
            "max-line-width",
            "characters in a line of srt and vtt, with --word-timestamps",
            values.whole(1, 1000, none=True),
        ),
        Flag("max-line-count", "lines in a subtitle, with --max-line-width", values.whole(1, 1000, none=True)),
        Flag("max-words-per-line", "words in a subtitle, without --max-line-width", values.whole(1, 1000, none=True)),
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """FILE and every option of GROUPS."""
    parser.add_argument("file", nargs="+", type=Path, metavar="FILE", help="audio or video, or a folder of it")
    for title, flags in GROUPS.items():
        group = parser.add_argument_group(title)
        for flag in flags:
            _add(group, flag)


def _add(group: Any, flag: Flag) -> None:
    spellings = [f"--{flag.name}", *([flag.short] if flag.short else [])]
    if flag.switch:
        group.add_argument(*spellings, action="store_true", help=flag.help)
        return
    kind: dict[str, Any] = {"choices": flag.choices} if flag.choices else {"type": flag.type}
    if flag.type is values.truth:
        # --word-timestamps alone is --word-timestamps True.
        kind |= {"nargs": "?", "const": True, "metavar": "True|False"}
    elif not flag.choices:
        kind |= {"metavar": flag.name.rsplit("-", 1)[-1].upper()}
    default = "" if flag.default is None or flag.name == "output-dir" else " (default: %(default)s)"
    group.add_argument(*spellings, default=flag.default, help=flag.help + default, **kind)


def spell_with_dashes(words: list[str]) -> list[str]:
    """--output_dir as --output-dir: whisper's command spells with underscores. Nothing after -- is an option."""
    end = words.index("--") if "--" in words else len(words)
    return [_spelled(word) for word in words[:end]] + words[end:]


def _spelled(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


# Fields of a spec whose options have other names than the field's last word.
FIELDS = {
    "spec.model.name": "--model",
    "spec.languageDetection.windows": "--language-windows",
    "spec.languageDetection.candidates": "--language-candidates",
    "spec.languageDetection.minProbability": "--language-min-probability",
    "spec.audio.clips": "--clip-timestamps",
    "spec.quality.policy": "--quality",
}


def in_options(error: WorkerError) -> str:
    """Reason and message, with the options of this command in place of a spec's fields."""
    message = re.sub(r"spec(?:\.\w+)+", _option_of, error.message)
    return f"{error.reason.name}: {message}"


def _option_of(field: re.Match[str]) -> str:
    last = re.sub("([A-Z])", lambda letter: f"-{letter[0].lower()}", field[0].rsplit(".", 1)[1])
    known = {flag.name for flags in GROUPS.values() for flag in flags}
    return FIELDS.get(field[0], f"--{last}" if last in known else field[0])
