"""The engines that turn samples into text. Only this package (and `device`) imports torch and whisper."""

import os

# Set before numba is imported, which whisper.timing does. whisper's dtw is compiled as parallel but runs in one thread; numba's
# idle threads keep spinning, and on few or shared cores every matrix product of torch then takes many times as long.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

# Set before Triton is imported, which whisper.timing and the decoder do on a GPU: fused multiply-add, which is the default.
# Unset, Triton 3.9 warns at every start that the default will change.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
