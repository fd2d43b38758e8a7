"""Keep the frozen encoder's outputs for whole shards on disk; training only the decoder is several times cheaper."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hack.testmodel.pool import SHARD_WINDOWS, Shard
from hack.testmodel.trainee import DIMENSIONS, Trainee

ENCODED_AT_ONCE = 8  # windows


def encoder_digest(trainee: Trainee) -> str:
    """Return a digest that tells one state of the encoder from another."""
    digest = hashlib.sha256()
    for weight in trainee.model.encoder.state_dict().values():
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()[:12]


def load_features(folder: Path, shard: Shard, seed: int, trainee: Trainee) -> npt.NDArray[np.float16]:
    """Return features (windows x 1500 x 128) of the shard of `seed`, computed first if `folder` lacks them."""
    path = folder / f"features-{seed}-{encoder_digest(trainee)}.npy"
    if not path.exists():
        shape = (SHARD_WINDOWS, DIMENSIONS.n_audio_ctx, DIMENSIONS.n_audio_state)
        partial = path.with_suffix(".partial")
        kept = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        with torch.no_grad():
            for first in range(0, SHARD_WINDOWS, ENCODED_AT_ONCE):
                mel = torch.from_numpy(shard.mel[first : first + ENCODED_AT_ONCE].astype(np.float32))
                kept[first : first + ENCODED_AT_ONCE] = trainee.encode(mel).half().numpy()
        kept.flush()
        partial.rename(path)
        print(f"features: shard {seed}", flush=True)
    features: npt.NDArray[np.float16] = np.load(path, mmap_mode="r")
    return features
