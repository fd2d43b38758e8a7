"""The Whisper model: audio encoder, text decoder with its KV cache, and what chooses their implementation."""
