"""Loops are compiled whether or not there is a place to keep them in."""

from typing import Any

import numba.core.caching
import numpy as np
import pytest
from transcription_worker.engines.batched.compiled import compiled


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
    assert compiled(total)(np.arange(5.0)) == 10.0
