"""The Whisper model: audio encoder, text decoder with its KV cache, and the backend that implements them on a device."""
