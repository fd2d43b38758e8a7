"""Keep Whisper's tiny.en, converted to openai-whisper's format, in a cache folder."""

from pathlib import Path
from typing import Any

import whisper

from hack.realmodel.conversion import convert
from hack.realmodel.package import NAME, SHA256, model_bin
from tests.support.cached_files import project_cache, write_whole
from tests.support.testmodel import DIGEST_PREFIX

# Increase it when the conversion writes another file.
REVISION = 1


def real_model_path() -> Path:
    """Return the checkpoint that `whisper.load_model` opens, converted first if the cache lacks it.

    Raises:
        See hack.realmodel.package.model_bin.
    """
    target = project_cache() / "realmodel" / f"{SHA256[:DIGEST_PREFIX]}-{REVISION}" / f"{NAME}.pt"
    if not target.exists():
        write_whole(target, lambda partial: convert(model_bin(), partial))
    return target


def load_real_model() -> Any:
    """Return the model in float32 on the CPU, with the alignment heads that `whisper.load_model` sets for its name."""
    model = whisper.load_model(str(real_model_path()), device="cpu")
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS[NAME])
    return model
