"""Fetch audio from S3, transcribe it with Whisper and write the transcript back."""
