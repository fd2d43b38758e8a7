"""Unpack the small Whisper checkpoint that recognises the speech of tests from the repository into a cache folder."""

import argparse
import hashlib
import lzma
from pathlib import Path

from tests.support.cached_files import project_cache, write_whole

PACKED = Path(__file__).parents[2] / "tests" / "data" / "testmodel" / "model.pt.xz"
DIGEST_PREFIX = 16  # hexadecimal digits of the packed file's digest that name its cache folder


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder(packed: Path = PACKED) -> Path:
    """Return the folder that the checkpoint is unpacked to; each checkpoint has its own."""
    return project_cache() / "testmodel" / sha256(packed)[:DIGEST_PREFIX]


def model_path(packed: Path = PACKED) -> Path:
    """Return the checkpoint that `whisper.load_model` opens, unpacked first if the cache lacks it.

    The file appears complete or not at all, even if several processes unpack it at the same time. Raises FileNotFoundError without the
    packed file and lzma.LZMAError when that is broken.
    """
    target = cache_folder(packed) / "model.pt"
    if not target.exists():
        write_whole(target, lambda partial: partial.write_bytes(lzma.decompress(packed.read_bytes())))
    return target


def model_sha256(packed: Path = PACKED) -> str:
    """Return the digest of the unpacked checkpoint, in the form of a spec's model.sha256."""
    return sha256(model_path(packed))


def main() -> None:
    """Pack a checkpoint."""
    parser = argparse.ArgumentParser(description="Pack a checkpoint as the test model of the repository")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=PACKED)
    asked = parser.parse_args()
    asked.out.write_bytes(lzma.compress(asked.checkpoint.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{asked.out}: {asked.out.stat().st_size} bytes, unpacked sha256 {sha256(asked.checkpoint)}")


if __name__ == "__main__":
    main()
