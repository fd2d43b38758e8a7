"""The engine of a pipeline, loaded once there is something to transcribe."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from transcription_api.report import DeviceUsed
from transcription_api.spec import EngineKind

from transcription_worker.engines.audio_wait import AudioWait
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.memory_remedy import ExplainedEngine, MemoryNeed
from transcription_worker.engines.protocol import Engine, Options
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.sink import EngineUsed

# torch and whisper take seconds to import, so engines.selection is imported where it is used.


@dataclass(frozen=True)
class LoadedEngine:
    """An engine with its model, and how reports name the two."""

    engine: Engine
    used: EngineUsed

    @property
    def gpu_wait(self) -> AudioWait | None:
        """How long the GPU waited for audio. None on a CPU, whose cores decode too, and for engines that do not tell."""
        wait = getattr(self.engine, "audio_wait", None)
        return wait if self.used.device.kind != "cpu" and isinstance(wait, AudioWait) else None


class EngineLoader:
    """Checks and loads the engine that was asked for. `find_model` may download; `batch_size` is the batched engine's."""

    def __init__(
        self,
        kind: EngineKind,
        options: Options,
        device: DeviceUsed,
        find_model: Callable[[], ModelFile],
        batch_size: int | None = None,
    ) -> None:
        self._kind, self._options, self._device = kind, options, device
        self._find_model, self._batch_size = find_model, batch_size
        self._lock = threading.Lock()
        self._checked = False
        self._loaded: LoadedEngine | None = None

    @property
    def device_kind(self) -> str:
        """cuda or cpu: where the engine will run."""
        return self._device.kind

    def check(self) -> None:
        """Make sure, before anything is fetched, that the engine can do what is asked.

        Raises:
            WorkerError: EngineNotInstalled; EngineUnsuitable, which names the field.
        """
        from transcription_worker.engines.selection import refuse

        with self._lock:
            if not self._checked:
                refuse(self._kind, self._options, self._device)
                self._checked = True

    def load(self) -> LoadedEngine:
        """Find the model and load it, once for all pipelines that run one after another.

        Raises:
            WorkerError: the model cannot be had or opened, or the engine cannot run it.
        """
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> LoadedEngine:
        model = self._find_model()
        engine = self._load_on_gpu(model) if self._device.kind == "cuda" else self._load_on_device(model)
        return LoadedEngine(engine, EngineUsed(engine.name, model.used, self._device))

    def _load_on_device(self, model: ModelFile) -> Engine:
        from transcription_worker.engines.selection import load_engine

        return load_engine(self._kind, model, self._device, self._options.decoding.precision, self._batch_size)

    def _load_on_gpu(self, model: ModelFile) -> Engine:
        """Where the GPU's memory runs out, say what would fit into what is free now."""
        from transcription_worker.engines.memory import free_gpu_mib

        need = MemoryNeed(model.used.name, self._kind, self._options.decoding, free_gpu_mib())
        try:
            return ExplainedEngine(self._load_on_device(model), need)
        except WorkerError as error:
            raise need.explain(error) from error
