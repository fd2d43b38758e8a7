"""Define the stages of training, and what each teaches."""

from dataclasses import dataclass

from hack.testmodel.batches import Prompts

NO_PROMPTS = Prompts()
ALL_PROMPTS = Prompts(full=0.6, one_window=0.2, any_length=0.15, untimed=0.05)


@dataclass(frozen=True)
class ShortWindows:
    """Short windows of one of `seconds` at a time, drawn afresh, at position 0 or anywhere in the 30 s."""

    seconds: tuple[int, ...]
    batch: int
    anywhere: bool


@dataclass(frozen=True)
class Shards:
    """Whole windows out of shards `first` to `last`; every second batch comes with prompts.

    `scattered` is the share of batches without prompts whose first token is at a random position of the decoder.
    """

    first: int
    last: int
    batch: int
    batch_prompted: int
    frozen_encoder: bool
    scattered: float
    prompts: Prompts = ALL_PROMPTS


@dataclass(frozen=True)
class Stage:
    """A stage of `steps` of AdamW at the learning rate `rate`, which falls by a cosine if `falls`."""

    teaches: str
    windows: ShortWindows | Shards
    steps: int
    rate: float
    falls: bool


STAGES = (
    Stage("sounds and words", ShortWindows((5,), 16, anywhere=False), 2700, 1.5e-3, falls=False),
    Stage("several segments", ShortWindows((10,), 16, anywhere=False), 1800, 1.2e-3, falls=True),
    Stage(
        "all of the 30 s, by small windows anywhere", ShortWindows((5, 10), 12, anywhere=True), 1350, 8e-4, falls=False
    ),
    Stage("longer windows anywhere", ShortWindows((10, 20), 8, anywhere=True), 450, 8e-4, falls=False),
    Stage("whole windows", ShortWindows((15, 30), 6, anywhere=True), 1200, 8e-4, falls=True),
    Stage("whole windows, cut as in transcription", Shards(0, 5, 6, 6, False, 0.0, NO_PROMPTS), 2000, 5e-4, falls=True),
    Stage("prompts of all kinds, all positions", Shards(0, 5, 16, 8, True, 0.5), 2000, 1e-3, falls=False),
    Stage("the same, settled", Shards(0, 5, 16, 8, True, 0.3), 1600, 1e-3, falls=True),
    Stage("the same, settled again", Shards(3, 8, 12, 10, True, 0.2), 1000, 7e-4, falls=True),
)
