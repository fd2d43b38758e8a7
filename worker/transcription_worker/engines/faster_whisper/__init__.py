"""faster-whisper: CTranslate2's Whisper on openai-whisper's checkpoints, an optional extra of the worker."""
