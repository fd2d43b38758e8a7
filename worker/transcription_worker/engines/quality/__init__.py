"""Flags on segments whose text is likely wrong."""
