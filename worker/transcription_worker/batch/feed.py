"""What an engine is told of the files of a shard, and tells of them: in one process, or across the border of two."""

from typing import Any, Protocol

from transcription_worker.batch.entries import Entry
from transcription_worker.batch.outcomes import Row


class Feed(Protocol):
    """The files for one engine. Methods are called from several threads; files are named by the number of their entry."""

    def take(self) -> Entry | None:
        """Return the next file, or None where the engine must come to the end of those that it has, before it asks again.

        None for an engine that has none says that nothing is left for it.
        """
        ...

    def settle(self, row: Row) -> None:
        """Keep what became of a file."""
        ...

    def enter_stage(self, stage: str) -> None:
        """Say that the engine enters one of transcription_api.report.STAGES."""
        ...

    def decoded(self, number: int, seconds: float) -> None:
        """Say how many seconds of a file, all its tracks together, are to be transcribed."""
        ...

    def advanced(self, number: int, track: int, seconds: float) -> None:
        """Say how many seconds of a track are transcribed."""
        ...

    def resumed(self, number: int, seconds: float) -> None:
        """Say how many seconds of a track were transcribed by a pod before."""
        ...

    def waited(self, waited: float, seconds: float) -> None:
        """Say how long the GPU has waited for audio since the engine was loaded, of so many seconds in all."""
        ...

    def know(self, **fields: Any) -> None:
        """Tell fields of the report: device, model, engine, warnings. The engine is told once it is loaded."""
        ...


class ShardEngine(Protocol):
    """One engine of a pod, in this process or in one of its own."""

    def run(self, feed: Feed) -> None:
        """Transcribe the files of a feed until there are none left.

        Raises:
            WorkerError: what concerns every file.
            EngineDiedError: its process died of a signal.
        """
        ...

    def stop(self) -> None:
        """Have `run`, in another thread, end at once."""
        ...

    def save(self) -> None:
        """Keep what is done: the pod is to end, or its time to finish what is under way is over; see `termination`."""
        ...

    def finish(self, until: float) -> None:
        """Begin with no further file, and return once none can be expected to be done before a time of time.monotonic."""
        ...


class EngineDiedError(Exception):
    """The process of an engine ended without a word. The message says how, as in: died of SIGSEGV.

    Attributes:
        was_killed: It was killed by SIGKILL, as the kernel does where memory is short.
    """

    def __init__(self, words: str, was_killed: bool) -> None:
        super().__init__(words)
        self.was_killed = was_killed
