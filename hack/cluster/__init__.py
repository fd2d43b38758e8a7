"""The test bed: a kind cluster with a "GPU" node, from pulled images or from package registries alone.

Standard library only: it runs with the system's python3 (3.11 or newer) before any environment exists.
"""
