"""Watches TranscriptionJob resources and runs them as Jobs."""
