"""The engine: many files side by side, each by openai-whisper's own algorithm."""

import importlib.metadata
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from transcription_api.spec import DEFAULT_BEAM_SIZE, LongForm, Precision, TaskKind
from whisper.audio import FRAMES_PER_SECOND, N_FRAMES, SAMPLE_RATE
from whisper.tokenizer import Tokenizer, get_tokenizer

from transcription_worker.engines.batched.algorithm.language_detection import detect_language
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.algorithm.transcriber import Stream
from transcription_worker.engines.batched.model.model_runner import Compute
from transcription_worker.engines.batched.requests import Ask, Together
from transcription_worker.engines.batched.scheduling.capacity import window_count
from transcription_worker.engines.batched.scheduling.prefetch import Opened, Opening, Source
from transcription_worker.engines.batched.scheduling.scheduler import RUN_BY_THEMSELVES
from transcription_worker.engines.batched.scheduling.scheduler_pool import Crew
from transcription_worker.engines.batched.scheduling.task_queue import Ended, Tasks
from transcription_worker.engines.checkpoints.precision import dtype_of, store
from transcription_worker.engines.clips import frame_clips, within
from transcription_worker.engines.protocol import Counters, Input, Options, Outcome, Transcript
from transcription_worker.engines.quality.flags import flag_segments
from transcription_worker.engines.speech.chunks import find_pieces
from transcription_worker.engines.speech.loudness import Loudness
from transcription_worker.engines.whisper_arguments import refuse_language, transcribe_arguments

E = TypeVar("E")

Clip = tuple[int, int]  # frames of 10 ms, start and end

# Files that are opened before their turn; on a GPU as many as the encoder takes at once, since they are looked at once a round.
OPENED_AHEAD = 4


class BatchedEngine:
    """`batch`: windows that are decoded together; None: as many as there is memory for."""

    name = f"batched (openai-whisper {importlib.metadata.version('openai-whisper')})"

    def __init__(self, model: Any, precision: Precision = Precision.AUTO, batch: int | None = None) -> None:
        self._model = model
        self._device = torch.device(model.device)
        self._dtype = dtype_of(precision, self._device)
        store(model, self._dtype)
        self._compute = Compute(model, self._dtype)
        self.batch = batch or window_count(model.dims, DEFAULT_BEAM_SIZE, self._dtype, self._device)

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """As protocol.Engine."""
        running, events = set[Opened](), queue.SimpleQueue[Ended | Exception | None]()
        ahead = self._compute.encoded_at_once if self._device.type in RUN_BY_THEMSELVES else OPENED_AHEAD
        opening = Opening(inputs, self._open, ahead, lambda: events.put(None), self._device)
        try:
            with opening, Crew(self._compute, self.batch, events.put) as crew:
                while True:
                    yield from self._admit(opening, crew.tasks, running)
                    if opening.exhausted and not running:
                        return
                    idle = not crew.work()
                    for event in taken(events, wait=idle):
                        yield from self._outcomes(event, running)
        finally:
            # Some are left where nobody takes the other outcomes.
            for opened in running:
                opened.close()

    def _admit(self, opening: Opening, tasks: Tasks, running: set[Opened]) -> Iterator[Outcome]:
        """Files that are ready, while there is room."""
        while tasks.room > 0 and (opened := opening.take()) is not None:
            if opened.source is None:
                yield Outcome(opened.item.id, error=opened.error)
            else:
                running.add(opened)
                tasks.add(self._file(opened.item, opened.source), opened)

    def _outcomes(self, event: Ended | Exception | None, running: set[Opened]) -> Iterator[Outcome]:
        """Of a file that has ended; nothing where there is only room for others."""
        if isinstance(event, Exception):
            raise event
        if event is not None:
            yield self._outcome(event, running)

    def _outcome(self, ended: Ended, running: set[Opened]) -> Outcome:
        opened: Opened = ended.key
        opened.close()
        running.discard(opened)
        return Outcome(opened.item.id, transcript=ended.value, error=ended.error)

    def _open(self, item: Input) -> Source:
        refuse_language(self._model.is_multilingual, item.options.language)
        audio = item.open()
        try:
            with torch.inference_mode():
                return make_source(item.options, LogMel(audio, self._model.dims.n_mels, self._device))
        except BaseException:
            audio.close()
            raise

    def _file(self, item: Input, source: Source) -> Generator[Ask, Any, Transcript]:
        """The stream of one file."""
        mel = source.mel
        language, probability, encoded = item.options.language, None, dict[int, Tensor]()
        if language is None and not self._model.is_multilingual:
            language = "en"
        if language is None:
            language, probability = yield from detect_language(mel, source.clips, item.options.detection, encoded)
            item.on_language(language)
        streams = self._streams(item, source, language, encoded)
        done: list[Stream] = yield Together([stream.run() for stream in streams])
        segments = [segment for stream in done for segment in stream.segments]
        for number, segment in enumerate(segments):
            segment["id"] = number
        flag_segments(segments, source.loudness, item.options)
        return Transcript(
            text="".join(stream.text for stream in done),
            segments=segments,
            language=language,
            language_probability=probability,
            audio_seconds=mel.audio.count / SAMPLE_RATE,
            counters=sum_counters([stream.counters for stream in done]),
            long_form=item.options.decoding.long_form.value,
            precision=str(self._dtype).removeprefix("torch."),
        )

    def _streams(self, item: Input, source: Source, language: str, encoded: dict[int, Tensor]) -> list[Stream]:
        """One for the whole file, or one for each piece that is cut at silences."""
        whole = Stream(
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
            on_progress=within(source.clips, item.on_progress),
            encoded=encoded,
        )
        if item.options.decoding.long_form is not LongForm.CHUNKED:
            return [whole]
        progress = Progress(item.on_progress)
        return [whole.of(part, progress.of(part[0])) for part in source.parts]

    def _tokenizer(self, language: str, task: TaskKind) -> Tokenizer:
        model = self._model
        return get_tokenizer(
            model.is_multilingual, num_languages=model.num_languages, language=language, task=task.value
        )


def taken(events: "queue.SimpleQueue[E]", wait: bool) -> Iterator[E]:
    """All that are there; with `wait` at least one."""
    if wait:
        yield events.get()
    while not events.empty():
        yield events.get()


def make_source(options: Options, mel: LogMel) -> Source:
    """The file with what is looked for in its audio before the model sees it."""
    clips = frame_clips(options, mel.frames)
    chunked = options.decoding.long_form is LongForm.CHUNKED
    parts = [[piece] for piece in frame_pieces(mel, clips)] if chunked else [clips]
    return Source(mel, Loudness(mel.audio), clips, parts)


def frame_pieces(mel: LogMel, clips: list[Clip]) -> list[Clip]:
    """Pieces of at most 30 s, in frames."""
    pieces = find_pieces(mel.audio, [(start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND) for start, end in clips])
    return [(round(one.start * FRAMES_PER_SECOND), round(one.end * FRAMES_PER_SECOND)) for one in pieces]


def sum_counters(all_counters: list[Counters]) -> Counters:
    """Of a file's streams."""
    return Counters(
        windows=sum(one.windows for one in all_counters),
        steps=sum(one.steps for one in all_counters),
        fallbacks=sum(one.fallbacks for one in all_counters),
        retried=sum(one.retried for one in all_counters),
    )


class Progress:
    """Seconds done of pieces that are transcribed in no order, by several threads."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._done: dict[Clip, float] = {}
        self._lock = threading.Lock()

    def of(self, piece: Clip) -> Callable[[float], None]:
        """To be told how far this piece is, in seconds of the file."""

        def advance(seconds: float) -> None:
            with self._lock:
                self._done[piece] = seconds - piece[0] / FRAMES_PER_SECOND
                self._tell(sum(self._done.values()))

        return advance
