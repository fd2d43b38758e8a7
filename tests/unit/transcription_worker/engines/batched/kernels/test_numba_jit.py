"""Kernels are compiled whether or not a cache folder can be written."""

from pathlib import Path
from typing import Any

import numba
import numba.core.caching
import numpy as np
import pytest
from transcription_worker.engines.batched.kernels import numba_jit as module
from transcription_worker.engines.batched.kernels.numba_jit import SOURCE_DIGEST, SOURCES, jit, source_digest

FOLDER = Path(module.__file__).parents[1]


def total(values: Any) -> float:
    found = 0.0
    for at in range(values.shape[0]):
        found += values[at]
    return found


@pytest.mark.parametrize("places", [True, False])
def test_a_root_that_cannot_be_written_costs_time_and_no_failure(places: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not places:
        monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
        with pytest.raises(RuntimeError, match="cannot cache"):
            numba.njit(cache=True)(total)
    assert jit(total)(np.arange(5.0)) == 10.0


def test_cached_code_is_of_these_sources_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"# {name}")
    first = source_digest(tmp_path)
    for name in SOURCES:
        (tmp_path / name).write_text(f"# {name}, changed")
        assert source_digest(tmp_path) != first
        (tmp_path / name).write_text(f"# {name}")
    assert source_digest(tmp_path) == first
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    made: Any = jit(total)
    assert made(np.arange(3.0)) == 3.0
    assert list((tmp_path / "cache" / f"kernels-{SOURCE_DIGEST}").rglob("*.nbi"))
    assert str(tmp_path / "cache") == numba.config.CACHE_DIR


def test_every_file_compiled_is_among_the_sources() -> None:
    compiled = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.py") if "\n@jit\n" in path.read_text()}
    assert compiled | {"kernels/numba_jit.py"} == set(SOURCES)
