"""The command run: the one task of a pod of a Kubernetes Job, from its environment to its termination message."""
