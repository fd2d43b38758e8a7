"""The engine that was asked for: what it cannot do is said before GPU time is spent, then it is loaded."""

from typing import Any

import torch
from transcription_api.report import DeviceUsed
from transcription_api.spec import EngineKind, Precision

from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.checkpoints.precision import dtype_of
from transcription_worker.engines.faster_whisper import engine as faster_whisper
from transcription_worker.engines.openai_whisper import engine as openai_whisper
from transcription_worker.engines.protocol import Engine, Options
from transcription_worker.engines.triton_link import use_prebuilt_link
from transcription_worker.model import ModelFile
from transcription_worker.threads import observed_thread_count


def refuse(kind: EngineKind, options: Options, device: DeviceUsed) -> None:
    """Before anything is fetched.

    Raises:
        WorkerError: EngineNotInstalled; EngineUnsuitable, which names the field that the engine cannot do.
    """
    dtype_of(options.decoding.precision, torch.device(device.kind))
    if kind is EngineKind.OPENAI_WHISPER:
        openai_whisper.refuse(options)
    elif kind is EngineKind.FASTER_WHISPER:
        faster_whisper.refuse(options)


def load_engine(
    kind: EngineKind, model: ModelFile, device: DeviceUsed, precision: Precision, batch: int | None = None
) -> Engine:
    """`batch`: windows decoded together, of the batched engine.

    Raises:
        WorkerError: ModelInvalid, OutOfMemory, EngineUnsuitable, EngineNotInstalled.
    """
    weights.set_threads(observed_thread_count())
    if kind is EngineKind.FASTER_WHISPER:
        return faster_whisper.load(model, device, precision)
    if kind is EngineKind.OPENAI_WHISPER:
        # Stored as the library stores them, and cast by it.
        return openai_whisper.OpenAIWhisper(_loaded(model, device), precision)
    return BatchedEngine(_loaded(model, device, precision), precision, batch)


def _loaded(model: ModelFile, device: DeviceUsed, stored: Precision | None = None) -> Any:
    if device.kind == "cuda":
        use_prebuilt_link()
    where = "cuda:0" if device.kind == "cuda" else "cpu"
    return weights.load(model.path, model.sha256, where, model.used.name, stored)
