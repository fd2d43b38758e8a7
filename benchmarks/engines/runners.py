"""Run the engines of a comparison: each transcribes the same files with the same options and times its parts."""

import contextlib
import importlib
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
import whisper
from transcription_api.spec import Precision
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.scheduling.scheduler_pool import scheduler_count
from transcription_worker.engines.protocol import Input, Options
from transcription_worker.engines.whisper_arguments import transcribe_arguments
from transcription_worker.media.audio import open_audio

from benchmarks.engines.corpus import Recording


@dataclass
class PartTimes:
    """Adds up the seconds that all threads spent in named parts. With the clock time.thread_time, waiting does not count."""

    clock: Callable[[], float]
    parts: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with the time of each call added to the part."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            began = self.clock()
            try:
                return function(*args, **kwargs)
            finally:
                seconds = self.clock() - began
                with self._lock:
                    self.parts[name] = self.parts.get(name, 0.0) + seconds

        return measured


@dataclass(frozen=True)
class Measurement:
    """The measurement of a run.

    `wall` is the seconds from the files to the texts, `decoding` the part of them that is neither audio nor encoder;
    `texts` has one text per file.
    """

    wall: float
    decoding: float
    texts: list[str]


class Runner(Protocol):
    """An engine with its model and options."""

    name: str

    def run(self, recordings: Sequence[Recording]) -> Measurement:
        """Transcribe all files, beginning with their paths."""
        ...


def now(device: torch.device) -> float:
    """Return the clock in seconds, after everything that was launched on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _programs() -> float:
    """Return the CPU seconds of the programs that this process started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class OpenAIWhisperRunner:
    """Runs whisper.transcribe, one file after the other."""

    name = "openai-whisper"

    def __init__(self, model: Any, options: Options) -> None:
        self._model, self._options = model, options

    def run(self, recordings: Sequence[Recording]) -> Measurement:
        """See `Runner.run`."""
        model, device = self._model, torch.device(self._model.device)
        arguments = transcribe_arguments(self._options, half=device.type == "cuda")
        times = PartTimes(partial(now, device))
        with _watched(model, times):
            began = now(device)
            texts = [whisper.transcribe(model, str(one.path), **arguments)["text"] for one in recordings]
            wall = now(device) - began
        return Measurement(wall, wall - sum(times.parts.values()), texts)


@contextlib.contextmanager
def _watched(model: Any, times: PartTimes) -> Iterator[None]:
    module: Any = importlib.import_module("whisper.transcribe")
    spectrogram, encode = module.log_mel_spectrogram, model.encoder.forward
    module.log_mel_spectrogram = times.timed("audio", spectrogram)  # decodes the file too
    model.encoder.forward = times.timed("encoder", encode)
    try:
        yield
    finally:
        module.log_mel_spectrogram = spectrogram
        del model.encoder.forward


class BatchedRunner:
    """Runs the batched engine."""

    def __init__(
        self, model: Any, options: Options, batch: int | None = None, precision: Precision = Precision.AUTO
    ) -> None:
        self._engine, self._options = BatchedEngine(model, precision, batch), options
        self._device = torch.device(model.device)
        how = "" if precision is Precision.AUTO else f", {precision.value}"
        self.name = f"batched, {self._engine.batch} at a time{how}"

    def run(self, recordings: Sequence[Recording]) -> Measurement:
        """See `Runner.run`.

        Schedulers run in parallel, so the encoder's share of the wall time is the mean of theirs. Files are opened in
        threads and programs on the same cores as the model, so their share is their CPU time divided by the number of cores.
        Whatever a scheduler waits for counts as decoding.
        """
        on_gpu = self._device.type == "cuda"
        times = PartTimes(partial(now, self._device) if on_gpu else time.thread_time)
        opening = PartTimes(time.thread_time)
        schedulers = scheduler_count(self._engine.batch, torch.get_num_threads(), self._device)
        before = _programs()
        with self._watched(times, opening), tempfile.TemporaryDirectory() as scratch:
            began = now(self._device)
            texts = self._texts(recordings, Path(scratch))
            wall = now(self._device) - began
        opened = (sum(opening.parts.values()) + _programs() - before) / len(os.sched_getaffinity(0))
        return Measurement(wall, wall - sum(times.parts.values()) / schedulers - opened, texts)

    @contextlib.contextmanager
    def _watched(self, times: PartTimes, opening: PartTimes) -> Iterator[None]:
        engine, runner = self._engine, self._engine._runner
        window = LogMel.window
        # By setattr: a method that is replaced is no method to a type checker.
        setattr(engine, "_open", opening.timed("audio", engine._open))  # noqa: B010
        setattr(runner, "encode", times.timed("encoder", runner.encode))  # noqa: B010
        setattr(LogMel, "window", times.timed("audio", window))  # noqa: B010
        try:
            yield
        finally:
            setattr(LogMel, "window", window)  # noqa: B010
            del runner.encode, engine._open

    def _texts(self, recordings: Sequence[Recording], scratch: Path) -> list[str]:
        """Return the texts. The largest files come first, as in a shard and in the local command."""
        numbered = sorted(enumerate(recordings), key=lambda pair: -pair[1].path.stat().st_size)
        inputs = (self._input(number, one, scratch) for number, one in numbered)
        found = {outcome.id: outcome.value().text for outcome in self._engine.transcribe(inputs)}
        return [found[str(number)] for number in range(len(recordings))]

    def _input(self, number: int, recording: Recording, scratch: Path) -> Input:
        return Input(str(number), lambda: open_audio(recording.path, scratch), self._options)
