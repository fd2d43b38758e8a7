"""What turns samples into text. torch and whisper are imported here alone (and in device)."""

import os

# Before numba is imported, which whisper.timing does. Its alignment of words is compiled as parallel but runs in one thread;
# the idle others stay on the cores, and where those are few or shared every product of torch then takes many times as long.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

# Before Triton is imported, which whisper.timing and the decoder do on a GPU. Products and sums in one instruction, as ever;
# unset, Triton 3.9 warns at every start that a later one will not.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
