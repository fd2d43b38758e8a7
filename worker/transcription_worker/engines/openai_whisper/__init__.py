"""The openai-whisper engine, the reference for the others."""
