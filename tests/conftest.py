"""Settings of every test, made before torch or numba is imported."""

# It keeps numba to one thread. Some tests import whisper, which imports numba, before anything of the engines.
import transcription_worker.engines  # noqa: F401
from transcription_worker.threads import wait_briefly

from tests.support.gpu_marker import pytest_addoption, pytest_runtest_setup  # noqa: F401

wait_briefly()
