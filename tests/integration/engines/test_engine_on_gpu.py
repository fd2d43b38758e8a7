"""The batched engine on a GPU gives what openai-whisper gives there, in float32, where the two can be compared.

`make test-gpu` runs it. test_engine.py compares the two on the CPU.
"""

from typing import Any

import pytest
import torch
import whisper
from transcription_api.spec import Precision
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper

from tests.support.engine_cases import all_cases, all_differences, transcripts
from tests.support.testmodel import model_path

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings(
        "ignore:__array_wrap__:DeprecationWarning", "ignore:Word-level timestamps on translations:UserWarning"
    ),
]

SHORT = [case for case in all_cases() if "min" not in case.name]


@pytest.fixture(scope="module")
def model() -> Any:
    # TF32 keeps ten bits of a number, and convolutions use it by default.
    torch.backends.cudnn.allow_tf32 = False
    return whisper.load_model(str(model_path()), device="cuda")


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_every_token_time_and_number_is_openai_whispers(model: Any, batch: int) -> None:
    expected = transcripts(OpenAIWhisper(model, Precision.FLOAT32), SHORT)
    assert len(SHORT) >= 40
    assert not all_differences(expected, transcripts(BatchedEngine(model, Precision.FLOAT32, batch), SHORT))
