"""Set up the test bed: a kind cluster with a "GPU" node, from pulled images or from package registries only.

It uses the standard library only, since it runs with the system's python3 (3.11 or newer) before any environment exists.
"""
