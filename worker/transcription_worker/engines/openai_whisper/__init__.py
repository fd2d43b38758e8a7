"""openai-whisper itself, the reference."""
