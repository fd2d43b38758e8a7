"""Kernels: numba for CPUs, Triton for GPUs, and the trial that decides whether a kernel is used."""
