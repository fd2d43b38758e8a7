"""The phases without a model run where no package of the engines is installed."""

import subprocess
import sys

ABSENT = ("torch", "whisper", "numba", "numpy", "triton", "safetensors", "silero_vad", "tqdm")
PROGRAM = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {ABSENT!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import transcription_worker.batch.collecting, transcription_worker.batch.planning, transcription_worker.job.command
from transcription_api.spec import Model
from transcription_worker.model import find_model_version
from transcription_worker.paths import Paths
from transcription_worker.pipeline.report import worker_version
print(find_model_version(Model(), Paths()), worker_version())
"""


def test_plan_and_collect_import_nothing_of_the_engines() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("sha256:")
