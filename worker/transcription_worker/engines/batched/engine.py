"""The batched engine: many files side by side, each by openai-whisper's own algorithm."""

import importlib.metadata
import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from transcription_api import reasons
from transcription_api.spec import DEFAULT_BEAM_SIZE, LongForm, Precision, TaskKind
from whisper.audio import FRAMES_PER_SECOND, N_FRAMES, SAMPLE_RATE
from whisper.tokenizer import Tokenizer, get_tokenizer

from transcription_worker.engines.audio_wait import AudioWait
from transcription_worker.engines.batched.algorithm.checkpointing import CheckpointCollector, Resumable, seconds_done
from transcription_worker.engines.batched.algorithm.language_detection import detect_language
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.algorithm.transcriber import Transcriber
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.requests import GatherRequest, Request
from transcription_worker.engines.batched.scheduling.capacity import GpuMemory, window_count
from transcription_worker.engines.batched.scheduling.prefetch import AudioSource, PrefetchedInput, Prefetcher
from transcription_worker.engines.batched.scheduling.scheduler import ASYNC_DEVICES
from transcription_worker.engines.batched.scheduling.scheduler_pool import SchedulerPool
from transcription_worker.engines.batched.scheduling.task_queue import TaskQueue, TaskResult
from transcription_worker.engines.checkpoints.precision import dtype_of
from transcription_worker.engines.clips import FrameRange, clip_progress, frame_clips
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.engines.protocol import (
    Audio,
    Counters,
    Input,
    InputCheckpoint,
    Options,
    Outcome,
    PartCheckpoint,
    Transcript,
)
from transcription_worker.engines.quality.flags import flag_segments
from transcription_worker.engines.speech.chunks import find_chunks
from transcription_worker.engines.speech.loudness import Loudness
from transcription_worker.engines.vocabulary import Vocabulary
from transcription_worker.engines.whisper_arguments import transcribe_arguments
from transcription_worker.errors import WorkerError, without_frames
from transcription_worker.retry import Backoff

log = logging.getLogger(__name__)

E = TypeVar("E")

# Files that are opened before their turn on a CPU. On a GPU it is the encoder's batch, since finished prefetches are taken only
# once a round.
PREFETCH_DEPTH = 4
# A file that cannot be opened for want of memory fails after so many seconds.
MEMORY_SECONDS = 15.0


class BatchedEngine:
    """Transcribes many files at a time with one model.

    batch: how many windows are decoded together; None for as many as fit into memory.
    """

    name = f"batched (openai-whisper {importlib.metadata.version('openai-whisper')})"

    def __init__(self, model: Any, precision: Precision = Precision.AUTO, batch: int | None = None) -> None:
        self._model = model
        self._device = torch.device(model.device)
        self._dtype = dtype_of(precision, self._device)
        mixed = precision in (Precision.INT8, Precision.FLOAT8)
        self._precision = precision.value if mixed else str(self._dtype).removeprefix("torch.")
        self._runner = ModelRunner(model, self._dtype, precision)
        self.audio_wait = AudioWait()
        # Of a batch given, every kind of decoding holds as many.
        self._memory = None
        if batch is None and self._device.type == "cuda":
            self._memory = GpuMemory.of(model.dims, self._dtype, self._device, precision)
            batch = self._memory.windows(1)
        self.batch = batch or window_count(model.dims, DEFAULT_BEAM_SIZE, self._runner.dtype, self._device, precision)

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Implement protocol.Engine."""
        running, events = set[PrefetchedInput](), queue.SimpleQueue[TaskResult | Exception | None]()
        depth = self._runner.encoder_batch if self._device.type in ASYNC_DEVICES else PREFETCH_DEPTH
        prefetcher = Prefetcher(inputs, self._open, depth, lambda: events.put(None), self._device)
        try:
            with prefetcher, SchedulerPool(self._runner, self.batch, events.put, self._memory) as pool:
                while True:
                    yield from self._submit_ready(prefetcher, pool.tasks, running)
                    if prefetcher.exhausted and not running:
                        return
                    with self.audio_wait.measured(empty_share(prefetcher, pool.tasks)):
                        idle = not pool.run_once()
                        found = list(drain(events, wait=idle))
                    for event in found:
                        yield from self._outcomes(event, running)
        finally:
            # Some are still open if the caller stops iterating.
            for prefetched in running:
                prefetched.close()

    def _submit_ready(
        self, prefetcher: Prefetcher, tasks: TaskQueue, running: set[PrefetchedInput]
    ) -> Iterator[Outcome]:
        """Submit files that are ready, while the task queue has room. Yields the outcomes of those that failed."""
        while tasks.has_room and (prefetched := prefetcher.take()) is not None:
            if prefetched.source is None:
                yield Outcome(prefetched.item.id, error=prefetched.error)
            else:
                running.add(prefetched)
                tasks.submit(self._transcribe_file(prefetched.item, prefetched.source), prefetched)

    def _outcomes(self, event: TaskResult | Exception | None, running: set[PrefetchedInput]) -> Iterator[Outcome]:
        """Yield the outcome of a file; nothing if the event only says that there is spare capacity."""
        if isinstance(event, Exception):
            raise event
        if event is not None:
            yield self._outcome(event, running)

    def _outcome(self, result: TaskResult, running: set[PrefetchedInput]) -> Outcome:
        prefetched: PrefetchedInput = result.owner
        prefetched.close()
        running.discard(prefetched)
        return Outcome(prefetched.item.id, transcript=result.value, error=self._with_memory_steps(result.error))

    def _with_memory_steps(self, error: WorkerError | None) -> WorkerError | None:
        """Say of an input that failed for want of memory what was tried before."""
        given_up = self._runner.memory_steps.describe()
        if error is None or error.reason is not reasons.OUT_OF_MEMORY or given_up is None:
            return error
        return WorkerError(error.reason, f"{error.message}; {given_up}, and one did not fit")

    def _open(self, item: Input) -> AudioSource:
        Vocabulary.of(self._model).refuse(item.options)
        audio = item.open()
        try:
            return self._with_checkpoint(item, self._first_pass(item, audio))
        except BaseException:
            audio.close()
            raise

    def _first_pass(self, item: Input, audio: Audio) -> AudioSource:
        """Go over the audio once; again after a while if memory runs out, since what is being decoded gives some back."""
        backoff = Backoff("opening the audio", MEMORY_SECONDS)
        while True:
            try:
                with torch.inference_mode(), host_or_device_memory("opening the audio"):
                    return make_source(item.options, LogMel(audio, self._model.dims.n_mels, self._device))
            except WorkerError as error:
                if error.reason is not reasons.OUT_OF_MEMORY:
                    raise
                backoff.wait_after(without_frames(error), "memory ran out")

    def _with_checkpoint(self, item: Input, source: AudioSource) -> AudioSource:
        """Look for a checkpoint to go on from. One that does not fit is left alone."""
        if (checkpoints := item.checkpoints()) is None:
            return source
        found = checkpoints.find()
        mel, vocabulary = source.mel, Vocabulary.of(self._model)
        expected = Resumable(item.options, vocabulary, self._precision, mel.audio.count, mel.frames, source.parts)
        if found is not None and not expected.fits(found):
            log.info("the checkpoint found is not of this audio and these options")
            found = None
        if found is not None:
            checkpoints.resume(seconds_done(source.parts, found.parts))
        return replace(source, checkpoints=checkpoints, found=found)

    def _transcribe_file(self, item: Input, source: AudioSource) -> Generator[Request, Any, Transcript]:
        """Detect the language of a file if need be, run its transcribers and join their segments."""
        mel, encoded = source.mel, dict[int, Tensor]()
        language, probability = yield from self._language(item, source, encoded)
        transcribers = self._transcribers(item, source, (language, probability), encoded)
        done: list[Transcriber] = yield GatherRequest([transcriber.run() for transcriber in transcribers])
        # Copies, since a checkpoint that is being written has the segments of the transcribers.
        joined = [segment for transcriber in done for segment in transcriber.segments]
        segments = [segment | {"id": number} for number, segment in enumerate(joined)]
        flag_segments(segments, source.loudness, item.options)
        given_up = self._runner.memory_steps.describe()
        return Transcript(
            text="".join(transcriber.text for transcriber in done),
            segments=segments,
            language=language,
            language_probability=probability,
            audio_seconds=mel.audio.count / SAMPLE_RATE,
            counters=sum_counters([transcriber.counters for transcriber in done]),
            long_form=item.options.decoding.long_form.value,
            precision=self._precision,
            warnings=(given_up,) if given_up is not None else (),
        )

    def _language(
        self, item: Input, source: AudioSource, encoded: dict[int, Tensor]
    ) -> Generator[Request, Any, tuple[str, float | None]]:
        """The language of a file: of its options, of its checkpoint or detected; its probability if it was detected."""
        if item.options.language is not None:
            return item.options.language, None
        if not self._model.is_multilingual:
            return "en", None
        if source.found is not None:
            language, probability = source.found.language, source.found.language_probability
        else:
            detection = item.options.detection
            language, probability = yield from detect_language(
                source.mel, source.clips, detection, encoded, self._precision
            )
        item.on_language(language)
        return language, probability

    def _transcribers(
        self, item: Input, source: AudioSource, heard: tuple[str, float | None], encoded: dict[int, Tensor]
    ) -> list[Transcriber]:
        """One transcriber for the whole file, or one for each chunk with longForm chunked. heard: language and probability."""
        language, found = heard[0], {part.number: part for part in source.found.parts} if source.found else {}
        whole = Transcriber(
            options=item.options,
            mel=source.mel,
            loudness=source.loudness,
            language=language,
            tokenizer=self._tokenizer(language, item.options.task),
            arguments=transcribe_arguments(item.options, half=self._dtype is torch.float16),
            clips=source.clips,
            stride=N_FRAMES // self._model.dims.n_audio_ctx,
            context=self._model.dims.n_text_ctx,
            dtype=self._dtype,
            precision=self._precision,
            on_progress=clip_progress(source.clips, item.on_progress),
            encoded=encoded,
            resumed=found.get(0),
            on_checkpoint=self._keep_checkpoints(source, heard),
        )
        if item.options.decoding.long_form is not LongForm.CHUNKED:
            return [whole]
        progress = ChunkProgress(item.on_progress)
        return [
            whole.for_part(number, part, progress.callback(part[0]), found.get(number))
            for number, part in enumerate(source.parts)
        ]

    def _keep_checkpoints(
        self, source: AudioSource, heard: tuple[str, float | None]
    ) -> Callable[[PartCheckpoint], None] | None:
        """Return what takes the checkpoints of the file's parts, or None if none are kept."""
        if source.checkpoints is None:
            return None
        parts = source.found.parts if source.found else ()
        begun = InputCheckpoint(heard[0], self._precision, source.mel.audio.count, 0.0, parts, heard[1])
        return CheckpointCollector(source.checkpoints, source.parts, begun).take

    def _tokenizer(self, language: str, task: TaskKind) -> Tokenizer:
        model = self._model
        return get_tokenizer(
            model.is_multilingual, num_languages=model.num_languages, language=language, task=task.value
        )


def drain(events: "queue.SimpleQueue[E]", wait: bool) -> Iterator[E]:
    """Yield all events in the queue. wait: block until there is at least one."""
    if wait:
        yield events.get()
    while not events.empty():
        yield events.get()


def empty_share(prefetcher: Prefetcher, tasks: TaskQueue) -> float:
    """The share of the places for tasks, from 0 to 1, that are empty although inputs are left: none of them is ready."""
    return 0.0 if prefetcher.exhausted else max(0, tasks.spare_capacity) / tasks.capacity


def make_source(options: Options, mel: LogMel) -> AudioSource:
    """Describe a file before the model sees it: its clips, and its chunks with longForm chunked."""
    clips = frame_clips(options, mel.frames)
    chunked = options.decoding.long_form is LongForm.CHUNKED
    parts = [[chunk] for chunk in frame_chunks(mel, clips)] if chunked else [clips]
    loudness = Loudness(mel.audio)
    loudness.measure_bounds()  # here, beside the others, and not while a GPU waits for the scheduler
    return AudioSource(mel, loudness, clips, parts)


def frame_chunks(mel: LogMel, clips: list[FrameRange]) -> list[FrameRange]:
    """Chunks of at most 30 s of the clips, in frames; none if no clip holds audio."""
    if not clips:
        return []
    chunks = find_chunks(mel.audio, [(start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND) for start, end in clips])
    return [(round(one.start * FRAMES_PER_SECOND), round(one.end * FRAMES_PER_SECOND)) for one in chunks]


def sum_counters(counters: list[Counters]) -> Counters:
    """Add up the counters of a file's transcribers."""
    return Counters(
        windows=sum(one.windows for one in counters),
        steps=sum(one.steps for one in counters),
        fallbacks=sum(one.fallbacks for one in counters),
        retried=sum(one.retried for one in counters),
    )


class ChunkProgress:
    """Seconds done of a file whose chunks are transcribed in any order, by several threads.

    on_progress: called with the sum of the chunks' seconds.
    """

    def __init__(self, on_progress: Callable[[float], None]) -> None:
        self._on_progress = on_progress
        self._done: dict[FrameRange, float] = {}
        self._lock = threading.Lock()

    def callback(self, chunk: FrameRange) -> Callable[[float], None]:
        """Return the progress callback of a chunk; it takes a place in the file, in seconds."""

        def advance(seconds: float) -> None:
            with self._lock:
                self._done[chunk] = seconds - chunk[0] / FRAMES_PER_SECOND
                self._on_progress(sum(self._done.values()))

        return advance
