"""Options of the local command: openai-whisper's names where they mean the same, and ours beside them.

Those that stand for decoding, language detection, quality and subtitles are derived from the spec: see `local.flags`.
"""

import argparse
import re
from pathlib import Path
from typing import Any

from transcription_api.spec import (
    DEFAULT_MODEL,
    AudioSelection,
    Decoding,
    Format,
    LanguageDetection,
    Quality,
    Spec,
    Subtitles,
)

from transcription_worker.errors import WorkerError
from transcription_worker.local import values
from transcription_worker.local.flags import FLAGS, SPELLINGS, Flag, field_flag

DECODING = dict(FLAGS[Decoding])
# Options of decoding that people look for in another group than the rest.
PRECISION = DECODING.pop("precision")
LONG_FORM = DECODING.pop("long_form")
WORD_TIMESTAMPS = DECODING.pop("word_timestamps")

GROUPS: dict[str, tuple[Flag, ...]] = {
    "files": (
        Flag("output-dir", "Folder of the results; made where it is missing.", Path, Path(), short="-o"),
        Flag(
            "output-format",
            f"{', '.join(fmt.value for fmt in Format)}, several of them separated by commas, or all.",
            values.formats,
            "all",
            short="-f",
        ),
        Flag("recursive", "Folders below a folder too. Results lie in the same folders below the output.", switch=True),
        Flag(
            "skip-existing", "Leave out files whose results are all there: goes on after an interruption.", switch=True
        ),
    ),
    "model and device": (
        Flag("model", "Name of a model, or path of its file.", default=DEFAULT_MODEL),
        Flag("model-dir", "Folder of downloaded models. Without it whisper's own, ~/.cache/whisper.", Path),
        Flag(
            "device",
            "cuda needs a GPU and never falls back to the CPU. cpu asks for none.",
            default="cuda",
            choices=("cuda", "cpu"),
        ),
        field_flag(Spec, "engine"),
        Flag(
            "batch-size",
            "Windows of 30 s decoded together, with engine batched. Without it as many as there is memory for.",
            values.whole(1, 1024),
        ),
        PRECISION,
        Flag("fp16", "True is --precision auto, False is --precision float32.", values.truth),
        Flag("threads", "Threads of the CPU. 0 for as many as may be used.", values.whole(0, 1024), 0),
    ),
    "speech": (
        field_flag(Spec, "task"),
        Flag("language", "Code or English name of the spoken language. auto finds it.", values.language, "auto"),
        *FLAGS[LanguageDetection].values(),
        *FLAGS[AudioSelection].values(),
        LONG_FORM,
        *FLAGS[Quality].values(),
    ),
    "decoding": (
        Flag("temperature", "The first temperature tried.", values.number(0, 1), 0.0),
        Flag(
            "temperature-increment-on-fallback",
            "Step to the next temperature, up to 1, while the text does not pass the thresholds. None tries the first alone.",
            values.number(0.05, 1, none=True),
            0.2,
        ),
        *DECODING.values(),
    ),
    "words and subtitles": (WORD_TIMESTAMPS, *FLAGS[Subtitles].values()),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add FILE and every option of GROUPS to the parser."""
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
    """Return the words with --output_dir as --output-dir, because whisper's command spells its options with underscores.

    What follows -- is no option and stays.
    """
    end = words.index("--") if "--" in words else len(words)
    return [_spelled(word) for word in words[:end]] + words[end:]


def _spelled(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


# Fields of a spec whose options have other names than the field's last word, beside those of SPELLINGS.
OPTIONS = {"model.name": "--model"}


def in_options(error: WorkerError) -> str:
    """Return the error's reason and message, with options of this command in place of fields of a spec."""
    message = re.sub(r"spec(?:\.\w+)+", _option_of, error.message)
    return f"{error.reason.name}: {message}"


def _option_of(field: re.Match[str]) -> str:
    path = field[0].removeprefix("spec.")
    last = re.sub("([A-Z])", lambda letter: f"-{letter[0].lower()}", path.rsplit(".", 1)[-1])
    known = {flag.name for flags in GROUPS.values() for flag in flags}
    return OPTIONS.get(path) or SPELLINGS.get(path) or (f"--{last}" if last in known else field[0])
