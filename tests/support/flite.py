"""Have flite read English text aloud: its recorded voices sound more like a person than espeak-ng's."""

import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from tests.support.speech import SAMPLE_RATE, MissingSynthesiserError, Samples

VOICES = ("slt", "rms", "awb")  # a woman and a man from the United States, a man from Scotland; all at 16 kHz


def read_aloud(text: str, voice: str = VOICES[0]) -> Samples:
    """Return mono samples at 16 kHz, between -1 and 1.

    Raises:
        MissingSynthesiserError: flite is not installed.
        subprocess.CalledProcessError: flite failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        try:
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, capture_output=True)
        except FileNotFoundError as error:
            raise MissingSynthesiserError(
                "flite: not found on PATH; install it with: apt-get install -y flite"
            ) from error
        with wave.open(str(path)) as file:
            assert file.getframerate() == SAMPLE_RATE
            raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return (raw / np.float32(32768)).astype(np.float32)
