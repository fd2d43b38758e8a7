"""What holds for every input of a run, save where an input has its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transcription_api.spec import AudioSelection

from transcription_worker.engines.protocol import Options
from transcription_worker.pipeline.checkpoint_store import CheckpointStore, NoCheckpoints


@dataclass(frozen=True)
class PipelineOptions:
    """The options that hold for every input, save where `of_input` gives an input its own.

    `scratch` is the folder of downloads and samples. `checkpoints` keeps how far long inputs have come. `pipelines` is how many
    share the machine's disk and memory.
    """

    engine: Options
    audio: AudioSelection
    scratch: Path
    of_input: Callable[[Any], tuple[Options, AudioSelection]] | None = None
    checkpoints: CheckpointStore[Any] = field(default_factory=NoCheckpoints)
    pipelines: int = 1

    def of(self, item: object) -> tuple[Options, AudioSelection]:
        """Return what is asked of the engine for an input, and which part of its audio is transcribed."""
        return (self.engine, self.audio) if self.of_input is None else self.of_input(item)
