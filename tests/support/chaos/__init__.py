"""Disturb a kind cluster and the pods on it, and mend it again."""
