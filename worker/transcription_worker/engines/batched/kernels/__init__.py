"""Loops for CPUs by numba, kernels for GPUs by Triton, and the trial that admits them."""
