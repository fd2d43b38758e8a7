"""Flags on segments whose text looks wrong."""
