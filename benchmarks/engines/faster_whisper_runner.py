"""Run faster-whisper in a comparison: the same weights, converted, in the fastest configuration on this machine.

Its pipeline batches the pieces of one file, and files run in parallel in as many threads as it has workers. The first run
tries every configuration on its files and keeps the fastest, unless one is given.
"""

import importlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faster_whisper
import torch
from transcription_api.spec import DEFAULT_BEAM_SIZE
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.faster_whisper.conversion import ensure_converted
from transcription_worker.engines.protocol import Options

from benchmarks.engines.corpus import Recording
from benchmarks.engines.runners import Measurement, PartTimes, now

CPU = torch.device("cpu")
BATCHES = (0, 4, 8, 16)  # pieces of a file; 0: WhisperModel without batches, one window after the other


@dataclass(frozen=True)
class Configuration:
    """A configuration of faster-whisper. `workers` is the number of files in parallel, which share the threads."""

    workers: int
    batch: int

    @property
    def name(self) -> str:
        how = f"batches of {self.batch}" if self.batch else "sequential"
        return f"faster-whisper, {how}, {self.workers} at a time"


class FasterWhisperRunner:
    """Runs faster-whisper with a checkpoint of openai-whisper at `path`.

    It computes in float32, as the other engines on a CPU, or in another of CTranslate2's types.
    """

    name = "faster-whisper"

    def __init__(
        self,
        path: str,
        options: Options,
        threads: int,
        configuration: Configuration | None = None,
        compute_type: str = "float32",
    ) -> None:
        self._options, self._threads, self._compute_type = options, threads, compute_type
        self._configuration = configuration
        self._folder = tempfile.TemporaryDirectory()
        self._converted = Path(self._folder.name) / "model"
        ensure_converted(weights.read_checkpoint(Path(path)), None, self._converted)
        counts = {configuration.workers} if configuration else {1, threads}
        self._models = {workers: self._model(workers) for workers in counts}
        if configuration is not None:
            self.name = f"{configuration.name}, {compute_type}"

    def _model(self, workers: int) -> Any:
        return faster_whisper.WhisperModel(
            str(self._converted),
            device="cpu",
            compute_type=self._compute_type,
            cpu_threads=max(1, self._threads // workers),
            num_workers=workers,
        )

    def run(self, recordings: Sequence[Recording]) -> Measurement:
        """See `Runner.run`."""
        if self._configuration is None:
            configurations = [Configuration(workers, batch) for workers in self._models for batch in BATCHES]
            for configuration in configurations:
                self._run(configuration, recordings[:1])
            self._configuration = min(
                configurations, key=lambda configuration: self._run(configuration, recordings).wall
            )
            self.name = self._configuration.name
        return self._run(self._configuration, recordings)

    def _run(self, configuration: Configuration, recordings: Sequence[Recording]) -> Measurement:
        """Transcribe with one configuration. Times that workers measure in parallel are divided by their number."""
        model, times = self._models[configuration.workers], PartTimes(time.perf_counter)
        with _watched(model, times), ThreadPoolExecutor(configuration.workers) as pool:
            began = now(CPU)
            texts = list(pool.map(lambda one: self._text(model, configuration, one), recordings))
            wall = now(CPU) - began
        return Measurement(wall, max(0.0, wall - sum(times.parts.values()) / configuration.workers), texts)

    def _text(self, model: Any, configuration: Configuration, recording: Recording) -> str:
        decoding = self._options.decoding
        arguments: dict[str, Any] = {
            "language": self._options.language,
            "task": self._options.task.value,
            "beam_size": decoding.beam_size or DEFAULT_BEAM_SIZE,
            "temperature": list(decoding.temperatures),
            "suppress_tokens": list(decoding.suppress_tokens),
            "without_timestamps": decoding.without_timestamps,
        }
        if configuration.batch:
            pipeline = faster_whisper.BatchedInferencePipeline(model)
            segments, _ = pipeline.transcribe(str(recording.path), batch_size=configuration.batch, **arguments)
        else:
            segments, _ = model.transcribe(str(recording.path), **arguments)
        return "".join(segment.text for segment in segments)


@contextmanager
def _watched(model: Any, times: PartTimes) -> Iterator[None]:
    """Measure reading, voice activity detection and the spectrogram as `audio`, and the encoder as `encoder`."""
    module: Any = importlib.import_module("faster_whisper.transcribe")
    names = ("decode_audio", "get_speech_timestamps")
    originals: dict[str, Callable[..., Any]] = {name: getattr(module, name) for name in names}
    spectrogram = module.FeatureExtractor.__call__
    for name, original in originals.items():
        setattr(module, name, times.timed("audio", original))
    module.FeatureExtractor.__call__ = times.timed("audio", spectrogram)
    model.encode = times.timed("encoder", model.encode)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(module, name, original)
        module.FeatureExtractor.__call__ = spectrogram
        del model.encode
