"""Watches and lists: what they show goes into the informer's cache, and the keys of what changed into the work queue."""
