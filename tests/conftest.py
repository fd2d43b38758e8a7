"""What holds for every test, before torch or numba is imported."""

import os

from transcription_worker.threads import wait_briefly

# As transcription_worker.engines sets it; here, since some tests import whisper before that. Tests run side by side, and the
# threads that numba leaves waiting after each word took the cores from all of them.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
wait_briefly()
