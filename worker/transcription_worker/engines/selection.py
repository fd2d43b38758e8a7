"""The engines: what each cannot do is said before GPU time is spent, then the one that was asked for is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transcription_api.report import DeviceUsed
from transcription_api.spec import EngineKind, Precision

from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.checkpoints.precision import dtype_of, refuse_float8
from transcription_worker.engines.faster_whisper import engine as faster_whisper
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.engines.openai_whisper import engine as openai_whisper
from transcription_worker.engines.protocol import Engine, Options
from transcription_worker.engines.triton_link import use_prebuilt_link
from transcription_worker.threads import observed_thread_count


@dataclass(frozen=True)
class EngineFactory:
    """One engine.

    Attributes:
        refuse: Raises WorkerError (EngineNotInstalled, EngineUnsuitable) for options that the engine does not have.
        load: Opens a model on a device. The last argument is the number of windows that the batched engine decodes
            together, or None for as many as there is memory for.
    """

    refuse: Callable[[Options], None]
    load: Callable[[ModelFile, DeviceUsed, Precision, int | None], Engine]


def refuse(kind: EngineKind, options: Options, device: DeviceUsed) -> None:
    """Refuse what the engine or the device cannot do, before anything is fetched.

    Raises:
        WorkerError: EngineNotInstalled; EngineUnsuitable, which names the field that the engine cannot do.
    """
    dtype_of(options.decoding.precision, torch.device(device.kind))
    refuse_float8(options.decoding.precision, device)
    ENGINES[kind].refuse(options)


def load_engine(
    kind: EngineKind, model: ModelFile, device: DeviceUsed, precision: Precision, batch: int | None = None
) -> Engine:
    """The engine with its model loaded. `batch` is the number of windows that the batched engine decodes together.

    Raises:
        WorkerError: ModelInvalid, OutOfMemory, GPUFault, EngineUnsuitable, EngineNotInstalled.
    """
    weights.set_threads(observed_thread_count())
    # What an engine makes of the weights takes memory too: a copy of some of them, and kernels that are tried.
    with host_or_device_memory(f"loading model {model.used.name!r}"):
        return ENGINES[kind].load(model, device, precision, batch)


def _refuse_nothing(_: Options) -> None:
    """The batched engine has every option."""


def _load_batched(model: ModelFile, device: DeviceUsed, precision: Precision, batch: int | None) -> Engine:
    return BatchedEngine(_loaded(model, device, precision), precision, batch)


def _load_openai_whisper(model: ModelFile, device: DeviceUsed, precision: Precision, _: int | None) -> Engine:
    # Weights stay in the numbers they are stored in; the library casts them itself.
    return openai_whisper.OpenAIWhisper(_loaded(model, device), precision)


def _load_faster_whisper(model: ModelFile, device: DeviceUsed, precision: Precision, _: int | None) -> Engine:
    return faster_whisper.load(model, device, precision)


def _loaded(model: ModelFile, device: DeviceUsed, stored: Precision | None = None) -> Any:
    if device.kind == "cuda":
        use_prebuilt_link()
    where = "cuda:0" if device.kind == "cuda" else "cpu"
    return weights.load(model.path, model.sha256, where, model.used.name, stored)


ENGINES = {
    EngineKind.BATCHED: EngineFactory(_refuse_nothing, _load_batched),
    EngineKind.OPENAI_WHISPER: EngineFactory(openai_whisper.refuse, _load_openai_whisper),
    EngineKind.FASTER_WHISPER: EngineFactory(faster_whisper.refuse, _load_faster_whisper),
}
