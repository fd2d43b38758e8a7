"""openai-whisper's algorithm around its model, one file at a time: windows, temperature fallback, language, words."""
