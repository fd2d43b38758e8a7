"""The table of memory by model and precision agrees with the models, and tells what would fit."""

import pytest
from transcription_api.model import MODEL_NAMES
from transcription_api.model_memory import DIMENSIONS, fitting, gpu_memory_mib
from transcription_api.spec import EngineKind, Precision

HALF, FLOAT32 = Precision.FLOAT16, Precision.FLOAT32


def test_every_published_model_has_its_dimensions() -> None:
    assert sorted(DIMENSIONS) == sorted(MODEL_NAMES)


def test_a_larger_precision_or_more_rows_take_more_memory_and_auto_is_float16() -> None:
    for name in MODEL_NAMES:
        half, exact = gpu_memory_mib(name, HALF), gpu_memory_mib(name, FLOAT32)
        assert half is not None
        assert exact is not None
        assert half < exact
        assert gpu_memory_mib(name) == gpu_memory_mib(name, Precision.BFLOAT16) == half
        assert (gpu_memory_mib(name, rows=20) or 0) > half


def test_float8_takes_less_for_each_window_and_as_much_for_the_weights() -> None:
    half, eight = gpu_memory_mib("large-v3", HALF), gpu_memory_mib("large-v3", Precision.FLOAT8)
    assert half is not None
    assert eight is not None
    assert half - eight == round(2 * 2 * 32 * 1280 * 1500 / 2**20)  # two windows


def test_openai_whisper_keeps_its_weights_in_float32() -> None:
    assert (gpu_memory_mib("turbo", HALF, EngineKind.OPENAI_WHISPER) or 0) > (gpu_memory_mib("turbo", HALF) or 0)


def test_a_model_of_unknown_size_has_no_number() -> None:
    assert gpu_memory_mib("mine.pt") is None
    assert gpu_memory_mib("tiny", Precision.INT8) is None, "no GPU computes in int8"


@pytest.mark.parametrize(
    ("free", "asked", "expected"),
    [
        (8000, ("large-v3", FLOAT32), ("large-v3", HALF)),  # the same model first
        (4864, ("large-v3", FLOAT32), ("turbo", HALF)),  # an instance of MIG, 1g.5gb
        (4864, ("large-v3", HALF), ("turbo", HALF)),
        (2000, ("medium.en", HALF), ("small.en", HALF)),  # an English model for an English one
        (2000, ("mine.pt", HALF), ("small", HALF)),
        (80_000, ("turbo", HALF), ("small", HALF)),  # others take the memory: a smaller one may fit
        (500, ("large-v3", HALF), None),
    ],
)
def test_what_would_fit_is_the_same_model_in_float16_or_a_smaller_one(
    free: int, asked: tuple[str, Precision], expected: tuple[str, Precision] | None
) -> None:
    assert fitting(free, *asked) == expected
