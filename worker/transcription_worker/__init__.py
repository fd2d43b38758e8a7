"""Fetches audio from S3, transcribes it with Whisper, writes the transcript back."""
