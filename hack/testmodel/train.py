"""Train the test model: `python -m hack.testmodel.train --out model.pt`.

Clips, windows and features go to `--work` (about 9 GB) and are made once. `--init` with `--first-stage` goes on from a
checkpoint. After each stage the checkpoint is written, so a run that was stopped goes on the same way.
"""

import argparse
import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hack.testmodel.batches import Prompts, Writer, collate
from hack.testmodel.clips import Clips, load_clips
from hack.testmodel.features import load_features
from hack.testmodel.pool import load_shard
from hack.testmodel.stages import NO_PROMPTS, STAGES, Shards, ShortWindows, Stage
from hack.testmodel.trainee import DIMENSIONS, Trainee, used_tokens
from hack.testmodel.windows import TICK, Cutter, Window

CLIPS = 16_000  # 8 hours of speech
WARM_UP = 100  # steps over which a stage's learning rate rises
RATE_FLOOR = 0.03  # share of the rate that a falling stage ends with
SAVE_EVERY = 500  # steps
PRINT_EVERY = 50  # steps
SMOOTHING = 0.97  # of the loss that is printed

Draw = Callable[[bool], Tensor]  # the loss of one batch, with prompts or without


class Training:
    """One training run, with its clips, its model and its random numbers."""

    def __init__(self, clips: Clips, work: Path, seed: int):
        self.clips, self.work, self.draw = clips, work, random.Random(seed)
        torch.manual_seed(seed)
        self.trainee = Trainee(used_tokens(clips))
        self.filler = used_tokens(clips)[0]

    def sequences(self, writer: Writer, windows: list[Window], prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Return the inputs and labels of a batch."""
        return collate([writer.sequence(window, prompts) for window in windows], self.trainee.compact, self.filler)

    def short(self, kind: ShortWindows) -> Draw:
        """Return a function that draws short windows and returns their loss; they never have prompts."""
        cutter = Cutter(self.clips, self.draw)
        writer = Writer([], self.draw)

        def loss(_: bool) -> Tensor:
            seconds = self.draw.choice(kind.seconds)
            shift = self.draw.randint(0, int((30 - seconds) / TICK)) if kind.anywhere else 0
            windows = [cutter.short_window(seconds, shift) for _ in range(kind.batch)]
            features = self.trainee.encode(torch.stack([window.mel for window in windows]), shift)
            return self.trainee.loss(features, *self.sequences(writer, windows, NO_PROMPTS))

        return loss

    def whole(self, kind: Shards) -> Draw:
        """Return a function that draws whole windows of the shards and returns their loss, with a frozen encoder or both halves."""
        seeds = range(kind.first, kind.last + 1)
        shards = [load_shard(self.work, self.clips, seed) for seed in seeds]
        writer = Writer([window for shard in shards for window in shard.windows], self.draw)
        sources: list[npt.NDArray[np.float16]] = [shard.mel for shard in shards]
        if kind.frozen_encoder:
            pairs = zip(shards, seeds, strict=True)
            sources = [load_features(self.work, shard, seed, self.trainee) for shard, seed in pairs]

        def loss(prompted: bool) -> Tensor:
            prompts = kind.prompts if prompted else NO_PROMPTS
            size = kind.batch_prompted if prompted else kind.batch
            chosen = [(self.draw.randrange(len(shards)), self.draw.randrange(len(sources[0]))) for _ in range(size)]
            sound = torch.from_numpy(np.stack([sources[k][i] for k, i in chosen]).astype(np.float32))
            features = sound if kind.frozen_encoder else self.trainee.encode(sound)
            inputs, labels = self.sequences(writer, [shards[k].windows[i] for k, i in chosen], prompts)
            scatter = not prompted and self.draw.random() < kind.scattered
            place = self.draw.randint(0, DIMENSIONS.n_text_ctx - inputs.shape[1]) if scatter else 0
            return self.trainee.loss(features, inputs, labels, place)

        return loss

    def run(self, stage: Stage, name: str, out: Path) -> None:
        """Train one stage, printing the loss without and with prompts."""
        frozen = isinstance(stage.windows, Shards) and stage.windows.frozen_encoder
        draw = self.whole(stage.windows) if isinstance(stage.windows, Shards) else self.short(stage.windows)
        parameters = self.trainee.parameters(decoder_only=frozen)
        optimiser = torch.optim.AdamW(parameters, lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.01)
        began, mean = time.monotonic(), [math.nan, math.nan]
        for step in range(stage.steps):
            optimiser.param_groups[0]["lr"] = stage.rate * scale(step, stage)
            loss = draw(bool(step % 2))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            mean[step % 2] = smooth(mean[step % 2], loss.item())
            if step % PRINT_EVERY == PRINT_EVERY - 1:
                spent = time.monotonic() - began
                print(f"{name} step {step + 1} loss {mean[0]:.4f} {mean[1]:.4f} at {spent:.0f} s", flush=True)
            if step % SAVE_EVERY == SAVE_EVERY - 1:
                self.trainee.save(out)
        self.trainee.save(out)


def smooth(mean: float, value: float) -> float:
    """Return the running mean, which starts with its first value."""
    return value if math.isnan(mean) else SMOOTHING * mean + (1 - SMOOTHING) * value


def scale(step: int, stage: Stage) -> float:
    """Return the share of the learning rate at `step`."""
    warm = min(1.0, (step + 1) / WARM_UP)
    if not stage.falls:
        return warm
    return warm * max(RATE_FLOOR, 0.5 * (1 + math.cos(math.pi * step / stage.steps)))


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/testmodel"), help="folder for clips and windows")  # noqa: S108
    parser.add_argument("--init", type=Path, help="checkpoint to start from")
    parser.add_argument("--new-positions", action="store_true", help="start the decoder's positions anew after --init")
    parser.add_argument("--first-stage", type=int, default=0, help=f"0 to {len(STAGES) - 1}")
    parser.add_argument("--last-stage", type=int, default=len(STAGES) - 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Train from the first stage asked for to the last."""
    asked = parse_arguments()
    torch.set_num_threads(asked.threads)
    asked.work.mkdir(parents=True, exist_ok=True)
    training = Training(load_clips(asked.work / "clips.npz", CLIPS), asked.work, asked.seed + 1000 * asked.first_stage)
    if asked.init:
        training.trainee.load(asked.init)
    if asked.new_positions:
        training.trainee.place_positions()
    for number in range(asked.first_stage, asked.last_stage + 1):
        stage = STAGES[number]
        print(f"stage {number}: {stage.teaches}, {stage.steps} steps", flush=True)
        training.run(stage, f"stage {number}", asked.out)


if __name__ == "__main__":
    main()
