"""openai-whisper's algorithm around its model, one file at a time: windows, fallback, language, words."""
