"""Name the folders and ports of the worker's container, and the cache folders of the libraries that it uses."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from transcription_api import names

# The variable that sets another root for every folder, so that the worker also runs outside a container.
ENV_ROOT = "TRANSCRIPTION_ROOT"
# The variable that sets another port for GET /progress, for the same reason.
ENV_PROGRESS_PORT = "TRANSCRIPTION_PROGRESS_PORT"

# Without these variables each library writes below the home folder or beside its own files, both read-only in the pod.
CACHE_VARIABLES = {
    "XDG_CACHE_HOME": "cache",
    "NUMBA_CACHE_DIR": "cache/numba",
    "TRITON_CACHE_DIR": "cache/triton",
    "TRITON_HOME": "cache",
    "TORCHINDUCTOR_CACHE_DIR": "cache/inductor",
    "CUDA_CACHE_PATH": "cache/cuda",
    "TMPDIR": "tmp",
}


@dataclass(frozen=True)
class Paths:
    """Every folder of transcription_api.names below one root, which is / in a container."""

    root: Path = Path("/")

    def at(self, path: str) -> Path:
        """Return where an absolute path of the container lies below the root."""
        return self.root / path.lstrip("/")

    @property
    def scratch(self) -> Path:
        return self.at(names.SCRATCH_DIR)

    @property
    def model_cache(self) -> Path:
        return self.at(names.MODEL_CACHE_DIR)

    @property
    def model_volume(self) -> Path:
        return self.at(names.MODEL_VOLUME_DIR)

    @property
    def termination_log(self) -> Path:
        return self.at(names.TERMINATION_MESSAGE_PATH)


def container_paths() -> Paths:
    """Return the paths of this container."""
    return Paths(Path(os.environ.get(ENV_ROOT, "/")))


def progress_port() -> int:
    return int(os.environ.get(ENV_PROGRESS_PORT, names.PROGRESS_PORT))


def point_caches_at(scratch: Path) -> None:
    """Point HOME and the libraries' cache variables at folders below `scratch`, which are created.

    It must be called before torch, triton and numba are imported, because they read these variables once.
    """
    os.environ["HOME"] = str(scratch)
    # Libraries' progress bars would garble the log, which has lines about our own progress.
    os.environ["TQDM_DISABLE"] = "1"
    for variable, folder in CACHE_VARIABLES.items():
        path = Path(os.environ.setdefault(variable, str(scratch / folder)))
        path.mkdir(parents=True, exist_ok=True)


def keep_caches_in(scratch: Path) -> None:
    """Call point_caches_at only where the user's own cache folder cannot be written, as in the image.

    Elsewhere the caches of earlier runs stay in use. The libraries' progress bars are shown on a terminal only.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/")) / ".cache")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        writable = os.access(cache, os.W_OK)
    except OSError:
        writable = False
    disabled = os.environ.get("TQDM_DISABLE")
    if not writable:
        point_caches_at(scratch)
    if disabled is None and sys.stderr.isatty():
        os.environ.pop("TQDM_DISABLE", None)
    else:
        os.environ["TQDM_DISABLE"] = "1"
