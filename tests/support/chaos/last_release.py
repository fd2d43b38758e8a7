"""The last release: its chart, and images built from its commit."""

import dataclasses
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.repository import ROOT
from tests.support.stack.images import OPERATOR, WORKER
from tests.support.stack.release import release_values

# There is no release yet. Another commit or tag may be chosen to upgrade from.
COMMIT = os.environ.get("LAST_RELEASE") or "f580a71b159b12c1867a69bee7549dfbc8b0a18c"


@contextmanager
def last_release() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the chart's folder and its values for the test cluster, with images that are built and loaded.

    The images have names of their own, so that those of the checkout stay.

    Raises:
        CalledProcessError: the checkout does not hold the commit, as a shallow clone does not.
    """
    operator, worker = (dataclasses.replace(image, name=f"last-{image.name}") for image in (OPERATOR, WORKER))
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        yield Path(folder, "helm/transcription-operator"), release_values(operator, worker, Path(folder))
