"""Errors of the device are told from those of what it was given."""

import pytest
from transcription_api import reasons
from transcription_worker.engines.checkpoints.weights import checkpoint_errors
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.errors import WorkerError


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported elsewhere",
        "CUDA error: uncorrectable ECC error encountered",
        "CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_a_gpu_that_fails_while_a_model_is_opened_makes_no_bad_model_of_it(words: str) -> None:
    with (
        pytest.raises(WorkerError, match="loading model 'own'") as caught,
        checkpoint_errors("own"),
        host_or_device_memory("loading model 'own'"),
    ):
        raise RuntimeError(words)
    assert caught.value.reason is reasons.GPU_FAULT
    assert not reasons.GPU_FAULT.permanent
    assert "\n" not in caught.value.message


def test_a_file_that_is_no_checkpoint_stays_one() -> None:
    with (
        pytest.raises(WorkerError) as caught,
        checkpoint_errors("own"),
        host_or_device_memory("loading model 'own'"),
    ):
        raise RuntimeError("Error(s) in loading state_dict for Whisper")
    assert caught.value.reason is reasons.MODEL_INVALID
