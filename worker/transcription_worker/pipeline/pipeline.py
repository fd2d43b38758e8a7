"""The course of work of every run: inputs are prepared ahead, transcribed side by side, and written as each is done."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic

from transcription_api.spec import Channel

from transcription_worker.engines.protocol import Audio, Checkpoints, Input, Outcome
from transcription_worker.errors import WorkerError, without_frames
from transcription_worker.media.small_files import SmallFileDecoder
from transcription_worker.pipeline import write_backlog
from transcription_worker.pipeline.ahead_budget import DOWNLOADED_AHEAD, prepared_ahead
from transcription_worker.pipeline.checkpoint_store import OpenedTrack
from transcription_worker.pipeline.engine_loader import EngineLoader, LoadedEngine
from transcription_worker.pipeline.input_state import InputState, Prepared, wait_for_one
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.preparation import Preparation
from transcription_worker.pipeline.sink import EngineUsed, Sink, Transcription
from transcription_worker.pipeline.source import InputT, Source
from transcription_worker.pipeline.tracks import open_tracks, selected_seconds
from transcription_worker.pipeline.write_backlog import WriteBacklog, transcript_bytes
from transcription_worker.pipeline.write_gate import WriteGate
from transcription_worker.retry import call_with_retries
from transcription_worker.shortage import failure_of, passing_shortage, shortage
from transcription_worker.threads import available_cpus, observed_thread_count

# Inputs whose results are written at the same time: S3 takes a round trip for each object.
WRITERS = 4
# Seconds between two looks at what is under way, when no more inputs are begun.
FINISH_POLL_SECONDS = 0.05
# How often in a row an engine may break off, each time at the cost of the inputs that it had opened.
MOST_BREAKS = 10


class Pipeline(Generic[InputT]):
    """One run over all inputs of a source. The failure of one input is that input's alone."""

    def __init__(
        self,
        source: Source[InputT],
        sink: Sink[InputT],
        loader: EngineLoader,
        options: PipelineOptions,
        listener: PipelineListener[InputT],
    ) -> None:
        self.write_gate = WriteGate()
        self._source, self._sink, self._loader = source, sink, loader
        self._options, self._listener = options, listener
        ahead, pipelines = prepared_ahead(loader.device_kind, observed_thread_count()), options.pipelines
        self._preparation = Preparation(source.inputs(), self._prepare, ahead, downloaded=DOWNLOADED_AHEAD // pipelines)
        self._small_files = SmallFileDecoder(min(ahead, max(1, available_cpus() // pipelines)))
        self._backlog = WriteBacklog(write_backlog.BACKLOG_BYTES // pipelines)
        self._under_way: dict[int, InputState[InputT]] = {}
        self._writing: set[int] = set()  # numbers of the inputs whose results are being written
        self._stopped = threading.Event()
        self._uncounted: list[InputState[InputT]] = []
        self._stages: set[str] = set()
        self._stages_lock = threading.Lock()

    def run(self) -> None:
        """Return when every input is written or has failed.

        Raises:
            WorkerError: the engine or its model cannot be had, or the GPU has failed at work, or no thread can be started,
                so that no further input can be transcribed. What is transcribed by then is written; other inputs are not
                told of as failed.
        """
        try:
            self._run()
        except (OSError, RuntimeError, MemoryError) as error:
            if (known := shortage(error, self._options.scratch)) is None:
                raise
            raise known from error

    def _run(self) -> None:
        self._enter("fetch")
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as writers, self._preparation:
            waiting = self._wait_for_work()
            if not waiting:
                return
            self._enter("model")
            loaded = self._loader.load()
            self._listener.engine_loaded(loaded.used)
            self._enter("transcribe")
            for outcome in self._outcomes(loaded, waiting):
                if (wait := loaded.gpu_wait) is not None:
                    self._listener.audio_waited(wait.waited, wait.seconds)
                if (state := self._completed(outcome)) is not None:
                    if self._preparation.exhausted and not self._under_way:
                        self._enter("write")
                    self._submit_write(writers, state, loaded.used)

    def finish(self, until: float) -> None:
        """Begin with no further input, and return once none can be expected to be done before `until`.

        `until` is a time of time.monotonic. `run` returns once those that were begun are done, which may take longer.
        """
        self._stopped.set()
        while (now := time.monotonic()) < until and (self._writing or self._ends_soon(until - now)):
            time.sleep(FINISH_POLL_SECONDS)

    @property
    def stopped(self) -> bool:
        """Whether `finish` was called, so that inputs may be left."""
        return self._stopped.is_set()

    def _ends_soon(self, seconds: float) -> bool:
        now = time.monotonic()
        return any(state.expected_seconds(now) < seconds for state in list(self._under_way.values()))

    def _enter(self, stage: str) -> None:
        """Tell the stage the first time that it is entered."""
        with self._stages_lock:
            if stage not in self._stages:
                self._stages.add(stage)
                self._listener.stage_entered(stage)

    # --- in the threads that prepare

    def _prepare(self, state: InputState[InputT]) -> Prepared:
        """Raises WorkerError alone: anything else is a defect, and the failure of this one input."""
        try:
            return call_with_retries(state.item.name, lambda: self._fetch_and_decode(state), passing_shortage)
        except Exception as error:
            raise failure_of(error, self._options.scratch) from error

    def _fetch_and_decode(self, state: InputState[InputT]) -> Prepared:
        item, scratch = state.item, self._options.scratch
        options, selection = self._options.of(item)
        version = self._source.stat(item)
        self._listener.input_found(state.number, version)
        if (report := self._sink.find_results(item, version)) is not None:
            return Prepared(version, report=report)
        self._loader.check()
        self._sink.check_writable(item)
        self._preparation.reserve(state, version)
        with self._source.fetch(item, version, scratch) as path:
            self._enter("decode")
            tracks, media = open_tracks(path, scratch, selection, self._small_files.decode)
        seconds = tuple(selected_seconds(track.audio, options.clips) for track in tracks)
        self._listener.input_decoded(state.number, seconds)
        return Prepared(version, tracks, seconds, media)

    # --- in the engine's threads

    def _engine_inputs(self, waiting: list[InputState[InputT]]) -> Iterator[Input]:
        """Give each input's first track at once, though it may not be prepared, so that the engine never waits here.

        How many more tracks there are is known once the input is decoded; until then other inputs come first.
        """
        for state in self._prepared_first(waiting):
            self._under_way[state.number] = state
            split = self._options.of(state.item)[1].channel is Channel.SPLIT
            if split:
                # Further tracks come after the next inputs, so that one of these would wait for what waits for it.
                self._preparation.space.stop_waiting()
            yield self._engine_input(state, 0)
            if split:
                self._uncounted.append(state)
                yield from self._further_tracks(wait=False)
        yield from self._further_tracks(wait=True)

    def _prepared_first(self, waiting: list[InputState[InputT]]) -> Iterator[InputState[InputT]]:
        """Yield the inputs in their order, but those that are prepared before those that are not.

        An engine that has nothing else to do waits here for any of them: it would wait for a long one though others are ready.
        """
        while not self.stopped and self._look_ahead(waiting):
            if not self._under_way:
                wait_for_one(waiting)
            state = next((one for one in waiting if one.keep_for_engine()), waiting[0])
            state.keep_for_engine(unprepared=True)
            waiting.remove(state)
            yield state

    def _look_ahead(self, waiting: list[InputState[InputT]]) -> bool:
        """Add the next inputs to those that wait. False if none are left.

        A listing that breaks off is raised once nothing waits: what was listed before is transcribed.
        """
        try:
            waiting += itertools.islice(self._preparation, max(0, self._preparation.most - len(waiting)))
        except Exception:
            if not waiting:
                raise
        return bool(waiting)

    def _further_tracks(self, wait: bool) -> Iterator[Input]:
        for state in [state for state in self._uncounted if wait or state.prepared.done()]:
            self._uncounted.remove(state)
            prepared = state.prepared
            if prepared.exception() is None:
                for track in range(1, len(prepared.result().tracks)):
                    yield self._engine_input(state, track)

    def _engine_input(self, state: InputState[InputT], track: int) -> Input:
        number, listener = state.number, self._listener

        def detected(language: str) -> None:
            if track == 0:
                listener.language_detected(number, language)

        return Input(
            id=f"{number}.{track}",
            open=partial(self._open, state, track),
            options=self._options.of(state.item)[0],
            on_progress=partial(self._advanced, state, track),
            on_language=detected,
            checkpoints=partial(self._open_checkpoints, state, track),
        )

    def _open_checkpoints(self, state: InputState[InputT], track: int) -> Checkpoints | None:
        """Return what keeps the checkpoints of a track that is open."""
        prepared = state.prepared.result()

        def resumed(seconds: float, earlier_seconds: float) -> None:
            state.resume(track, seconds, earlier_seconds)
            self._listener.track_resumed(state.number, track, seconds)

        opened = OpenedTrack(track, prepared.seconds[track], resumed)
        return self._options.checkpoints.open(state.item, prepared.version, opened)

    def _advanced(self, state: InputState[InputT], track: int, seconds: float) -> None:
        """Tell of the progress, unless another track has failed the input meanwhile."""
        if not state.closed:
            state.advanced[track] = seconds
            self._listener.track_advanced(state.number, track, seconds)

    def _open(self, state: InputState[InputT], track: int) -> Audio:
        audio = state.take(track, time.monotonic())
        if track == 0:
            seconds = state.prepared.result().seconds
            self._preparation.release(state)
            self._listener.input_opened(state.number, max(seconds), len(seconds))
        return audio

    # --- in the thread that runs the engine

    def _wait_for_work(self) -> list[InputState[InputT]]:
        """Wait until an input is prepared that needs the engine. Return it and others that wait, none if none needs it."""
        waiting: list[InputState[InputT]] = []
        while self._look_ahead(waiting):
            wait_for_one(waiting)
            for state in [state for state in waiting if state.prepared.done()]:
                if self._needs_engine(state):
                    return waiting
                waiting.remove(state)
        return waiting

    def _outcomes(self, loaded: LoadedEngine, waiting: list[InputState[InputT]]) -> Iterator[Outcome]:
        """Yield the engine's outcomes. If it breaks off, the inputs that it had opened fail, and it goes on with the rest.

        Raises:
            WorkerError: the engine says that it cannot go on.
            Exception: it broke off MOST_BREAKS times without an outcome in between, or the inputs cannot be listed.
        """
        inputs, breaks = self._engine_inputs(waiting), 0
        while True:
            try:
                for outcome in loaded.engine.transcribe(inputs):
                    breaks = 0
                    yield outcome
                return
            except WorkerError:
                raise
            except Exception as error:
                breaks += 1
                if breaks == MOST_BREAKS or self._preparation.listing_failed:
                    raise
                waiting[:0] = self._fail_opened(error)
                self._uncounted.clear()
                inputs = self._engine_inputs(waiting)

    def _fail_opened(self, error: Exception) -> list[InputState[InputT]]:
        """Fail the inputs that the engine had opened when it broke off, and return those that it had not come to."""
        failure = failure_of(error, self._options.scratch)
        for number, state in list(self._under_way.items()):
            if state.opened_time:
                del self._under_way[number]
                self._end_early(state, failure)
        return list(self._under_way.values())

    def _needs_engine(self, state: InputState[InputT]) -> bool:
        """False, and the input is done with, where there is nothing to transcribe."""
        error = state.prepared.exception()
        if error is None and state.prepared.result().report is None:
            return True
        self._end_early(state, failure_of(error, self._options.scratch) if isinstance(error, Exception) else None)
        return False

    def _end_early(self, state: InputState[InputT], error: WorkerError | None) -> None:
        """Tell of an input that failed, or of one whose results were there already."""
        prepared = None if state.prepared.exception() else state.prepared.result()
        self._preparation.finish(state)
        if prepared is not None and prepared.report is not None:
            self._listener.input_reused(state.number, state.item, prepared.report)
        elif error is not None:
            if error.reason.permanent:
                self._options.checkpoints.drop(state.item)
            self._listener.input_failed(state.number, state.item, without_frames(error))

    def _completed(self, outcome: Outcome) -> InputState[InputT] | None:
        """Return the input if this was the last of its tracks and all of them are transcribed."""
        number, track = map(int, outcome.id.split("."))
        if (state := self._under_way.get(number)) is None:
            return None  # another track of the same input has failed
        try:
            state.transcripts[track] = outcome.value()
        except WorkerError as error:
            del self._under_way[number]
            self._end_early(state, error)
            return None
        if len(state.transcripts) < len(state.prepared.result().tracks):
            return None
        state.finished_time = time.monotonic()
        self._writing.add(number)  # before it is under way no more: `finish` must see it in one of the two
        return self._under_way.pop(number)

    def _submit_write(self, writers: ThreadPoolExecutor, state: InputState[InputT], engine: EngineUsed) -> None:
        """Have the results written; wait first, and with that the engine, while too many others are to be written."""
        size = sum(map(transcript_bytes, state.transcripts.values()))
        self._backlog.enter(size)
        writers.submit(self._write, state, engine).add_done_callback(lambda _: self._backlog.leave(size))

    # --- in the threads that write

    def _write(self, state: InputState[InputT], engine: EngineUsed) -> None:
        try:
            transcription = state.take_transcription(engine)
            commit = partial(self._commit, state, transcription)
            self._preparation.space.with_space(
                state.number, lambda: call_with_retries(state.item.name, commit, passing_shortage)
            )
        except Exception as error:  # noqa: BLE001 - the other inputs go on
            with self.write_gate:
                self._end_early(state, failure_of(error, self._options.scratch))
        self._writing.discard(state.number)

    def _commit(self, state: InputState[InputT], transcription: Transcription) -> None:
        with self.write_gate:
            report = self._sink.write(state.item, state.prepared.result().version, transcription)
            self._preparation.finish(state)
            self._options.checkpoints.drop(state.item)
            self._listener.input_written(state.number, state.item, transcription, report)
