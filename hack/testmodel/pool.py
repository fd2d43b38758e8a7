"""Keep shards of windows on disk, each drawn from its own seed, so that a run that stopped goes on with what it made."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hack.testmodel.clips import Clips
from hack.testmodel.windows import Cutter, Window

SHARD_WINDOWS = 1000
RECORDING_SECONDS = (5, 110)
MEL_BINS, MEL_FRAMES = 80, 3000


@dataclass(frozen=True)
class Shard:
    """A shard of windows, whose spectrograms are in `mel` (windows x 80 x 3000, half precision, on disk)."""

    windows: list[Window]
    mel: npt.NDArray[np.float16]


def load_shard(folder: Path, clips: Clips, seed: int) -> Shard:
    """Return the shard of `seed`, made first if `folder` lacks it."""
    text, mel = folder / f"windows-{seed}.json", folder / f"mel-{seed}.npy"
    if not text.exists():
        make_shard(folder, clips, seed)
    nothing = torch.empty(0)
    windows = [Window(w["language"], nothing, w["segments"], w["tail"]) for w in json.loads(text.read_text())]
    return Shard(windows, np.load(mel, mmap_mode="r"))


def make_shard(folder: Path, clips: Clips, seed: int) -> None:
    """Draw the shard's windows and write them; the text comes last and marks the shard as whole."""
    folder.mkdir(parents=True, exist_ok=True)
    cutter = Cutter(clips, random.Random(f"shard/{seed}"))
    mel = np.lib.format.open_memmap(
        folder / f"mel-{seed}.npy", mode="w+", dtype=np.float16, shape=(SHARD_WINDOWS, MEL_BINS, MEL_FRAMES)
    )
    kept: list[Window] = []
    while len(kept) < SHARD_WINDOWS:
        for window in cutter.windows(cutter.draw.uniform(*RECORDING_SECONDS)):
            if len(kept) < SHARD_WINDOWS:
                mel[len(kept)] = window.mel.numpy()
                kept.append(window)
    mel.flush()
    rows = [{"language": w.language, "segments": w.segments, "tail": w.tail} for w in kept]
    (folder / f"windows-{seed}.json").write_text(json.dumps(rows))
    print(f"windows: shard {seed}, {SHARD_WINDOWS} windows", flush=True)
