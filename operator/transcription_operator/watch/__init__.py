"""Watches and lists: what the apiserver tells, kept in a store, and the keys of what changed put into the work queue."""
