"""The protocol of a store of checkpoints: where an interrupted input's next worker finds how far it had come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from transcription_worker.engines.protocol import Checkpoints
from transcription_worker.pipeline.sink import InputT_contra
from transcription_worker.pipeline.source import InputVersion


@dataclass(frozen=True)
class OpenedTrack:
    """A track that an engine has begun with. `number` counts the input's tracks from 0; `seconds` are to be transcribed.

    `on_resume` is called where the engine goes on from a checkpoint, with the seconds of audio that are done and the seconds
    that the workers before took for the input.
    """

    number: int
    seconds: float
    on_resume: Callable[[float, float], None]


class CheckpointStore(Protocol[InputT_contra]):
    """Keeps checkpoints of inputs. Nothing that becomes of them is an error. Methods are called from several threads."""

    def open(self, item: InputT_contra, version: InputVersion, track: OpenedTrack) -> Checkpoints | None:
        """Return what keeps the checkpoints of a track of the input, or None where it is too short for that."""
        ...

    def drop(self, item: InputT_contra) -> None:
        """Delete the checkpoints of an input that needs them no more."""
        ...


class NoCheckpoints:
    """A store that keeps nothing."""

    def open(self, item: object, version: InputVersion, track: OpenedTrack) -> Checkpoints | None:
        """Return None: every input begins anew."""

    def drop(self, item: object) -> None:
        """Delete nothing."""
